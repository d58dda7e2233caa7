"""From a model back to a graph: the same names, edges, metadata and dtypes, new numbers where they changed."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

from nirjax.engine.model import Model
from nirjax.errors import NIRError, NIRWarning
from nirjax.ir.digest import content_digest
from nirjax.ir.graph import NIRGraph
from nirjax.ir.grids import KEY, Grid, grids_of
from nirjax.ir.inline import Path
from nirjax.ir.nodes import NIRNode


def to_nir(model: Model, *, provenance: bool = False) -> NIRGraph:
    """The model's graph with the model's parameters.

    A parameter that still equals the source's, cast to the model's dtype, is the source's own array, bit for bit;
    another one is cast to the source's dtype (float32, with a warning, where the source holds integers).

    The grids of a quantised model go into the metadata of its nodes (`nirjax.ir.grids`). A grid that the source's
    metadata tells of stays where the parameter still lies on it, and is left out where it does not.

    Args:
        provenance: add an entry `nirjax` to the graph's metadata: version, dt, dialect, digest of the source, and the
            names of the parameters that changed.

    Raises:
        ParameterError: a trained value that NIR does not allow, such as a negative time constant.
    """
    plan = model.program.plan
    changed: dict[Path, dict[str, Any]] = {}
    names: list[str] = []
    for name, fields in model.params.items():
        for field, leaf in fields.items():
            gridded = field in model.grids.get(name, {})
            array = _exported(getattr(plan.sites[name].node, field), leaf, f"{name}.{field}", gridded)
            if array is not None:
                changed.setdefault(plan.paths[name], {})[field] = array
                names.append(f"{name}.{field}")
        node, path = plan.sites[name].node, plan.paths[name]
        metadata = _metadata(node, changed.get(path, {}), model.grids.get(name, {}), name)
        if metadata is not None:
            changed.setdefault(path, {})["metadata"] = metadata
    graph = _rebuilt(model.graph, (), changed)
    if provenance:
        graph = dataclasses.replace(graph, metadata={**graph.metadata, "nirjax": _provenance(model, names)})
    return graph


def _exported(source: np.ndarray, leaf: Any, name: str, gridded: bool) -> np.ndarray | None:
    """The array to write in place of the source's; None where the leaf still is the source, to the last digit if it
    lies on a grid."""
    value = np.asarray(leaf)
    if np.array_equal(value, source if gridded else np.asarray(jnp.asarray(source, value.dtype))):
        return None
    if source.dtype.kind in "iu":
        warnings.warn(
            f"{name!r} holds {source.dtype} in the file and was changed: it goes out as float32",
            NIRWarning,
            stacklevel=3,
        )
        return value.astype(np.float32)
    return value.astype(source.dtype)


def _metadata(node: NIRNode, changed: dict[str, Any], grids: dict[str, Grid], name: str) -> dict[str, Any] | None:
    """The node's metadata with the grids that its parameters lie on; None where nothing of it changes."""
    old = grids_of(node)
    stale = [field for field in changed if field in old and not old[field].holds(changed[field])]
    kept = {field: entry for field, entry in node.metadata[KEY].items() if field not in stale} if old else {}
    for field, grid in grids.items():
        source = getattr(node, field)
        grid = dataclasses.replace(grid, scale=np.asarray(grid.scale))
        if not grid.holds(changed.get(field, source)):
            text = f"{name}.{field} cannot stay on its grid in the file's {source.dtype}"
            warnings.warn(text, NIRWarning, stacklevel=3)
        kept[field] = grid.as_metadata()
    if not grids and not stale:
        return None
    others = {key: value for key, value in node.metadata.items() if key != KEY}
    return {**others, KEY: kept} if kept else others


def _rebuilt(graph: NIRGraph, above: Path, changed: dict[Path, dict[str, Any]]) -> NIRGraph:
    if not any(path[: len(above)] == above for path in changed):
        return graph
    nodes: dict[str, NIRNode] = {}
    for name, node in graph.nodes.items():
        path = (*above, name)
        if isinstance(node, NIRGraph):
            nodes[name] = _rebuilt(node, path, changed)
        elif path in changed:
            nodes[name] = _replaced(node, path, changed[path])
        else:
            nodes[name] = node
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NIRWarning)
        return dataclasses.replace(graph, nodes=nodes)


def _replaced(node: NIRNode, path: Path, fields: dict[str, Any]) -> NIRNode:
    try:
        return dataclasses.replace(node, **fields)
    except NIRError as error:
        raise error.located(node=".".join(path)) from None


def _provenance(model: Model, changed: list[str]) -> dict[str, Any]:
    from nirjax import __version__

    return {
        "version": __version__,
        "dt": np.float64(model.dt),
        "dialect": model.dialect.name,
        "parent": content_digest(model.graph),
        "changed": " ".join(changed),
    }
