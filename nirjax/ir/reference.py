"""Objects of the reference package `nir`, taken and given. Nothing here needs the package but `to_reference`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.errors import ArgumentError, GraphError, MissingExtraError, NIRError, quoted
from nirjax.ir.graph import NIRGraph
from nirjax.ir.inline import inline
from nirjax.ir.nodes import NODE_TYPES, AvgPool2d, Conv1d, Conv2d, NIRNode, SumPool2d
from nirjax.ir.shapes import Signal, known_shapes

if TYPE_CHECKING:
    import nir


def as_graph(source: Any, *, repair: bool | str = False, node_types: Iterable[type[NIRNode]] = ()) -> NIRGraph:
    """A graph from whatever stands for one: a NIRGraph, a `nir.NIRGraph`, or a path to a `.nir` file.

    Args:
        source: the graph.
        repair, node_types: as for `nirjax.read`.

    Raises:
        ArgumentError: something else. What `nirjax.read` and `from_reference` raise.
    """
    if isinstance(source, NIRGraph):
        return source
    if isinstance(source, str | os.PathLike):
        from nirjax.ir.hdf5 import read

        return read(source, repair=repair, node_types=node_types)
    if type(source).__name__ == "NIRGraph" and hasattr(source, "nodes") and hasattr(source, "edges"):
        return from_reference(source)
    hint = "NIRGraph.from_list(node) makes a graph of one node." if hasattr(source, "input_type") else None
    raise ArgumentError(
        "not a graph",
        field="graph",
        found=quoted(source),
        expected="a path, a nirjax.NIRGraph or a nir.NIRGraph",
        hint=hint,
    )


def from_reference(graph: Any) -> NIRGraph:
    """The same graph as a nirjax.NIRGraph, of a `nir.NIRGraph`.

    Raises:
        GraphError, ParameterError: naming the node and the field.
    """
    node = _from_node(graph, "")
    if not isinstance(node, NIRGraph):
        raise ArgumentError("not a graph", field="graph", found=type(graph).__name__, expected="a nir.NIRGraph")
    return node


def _from_node(node: Any, path: str) -> NIRNode:
    metadata = getattr(node, "metadata", None)
    metadata = metadata if isinstance(metadata, Mapping) else {}
    kind = type(node).__name__
    if kind == "NIRGraph":
        nodes = {
            str(name): _from_node(inner, f"{path}.{name}" if path else str(name)) for name, inner in node.nodes.items()
        }
        try:
            return NIRGraph(nodes, tuple((str(a), str(b)) for a, b in node.edges), metadata=metadata)
        except NIRError as error:
            raise (error.inside(path) if path else error.located(node="")) from None
    if kind not in NODE_TYPES:
        raise GraphError("a node type that NIR does not have", node=path, field="type", found=kind)
    cls = NODE_TYPES[kind]
    try:
        return cls(**{name: getattr(node, name, None) for name in cls.field_names()}, metadata=metadata)
    except NIRError as error:
        raise error.located(node=path) from None


def to_reference(graph: NIRGraph) -> nir.NIRGraph:
    """The same graph as an object of the reference package, with copies of the arrays.

    Raises:
        MissingExtraError: `nir` is not installed.
        GraphError: a node type that NIR does not have.
    """
    try:
        import nir
    except ImportError:
        raise MissingExtraError(
            "the reference package is not installed", expected="nir", hint="pip install 'nirjax[nir]' brings it."
        ) from None
    return _to_node(graph, nir, (), _shapes(graph))


def _shapes(graph: NIRGraph) -> dict[tuple[str, ...], Signal]:
    try:
        flat = inline(graph)
        return {flat.paths[name]: signal for name, signal in known_shapes(flat).items()}
    except NIRError:
        return {}


def _to_node(node: NIRNode, nir: Any, path: tuple[str, ...], shapes: Mapping[tuple[str, ...], Signal]) -> Any:
    metadata = _thawed(node.metadata)
    if isinstance(node, NIRGraph):
        nodes = {name: _to_node(inner, nir, (*path, name), shapes) for name, inner in node.nodes.items()}
        return nir.NIRGraph(nodes, list(node.edges), metadata, type_check=False)
    kind = type(node).__name__
    if NODE_TYPES.get(kind) is not type(node):
        raise GraphError("a node type that NIR does not have", node=".".join(path), field="type", found=kind)
    made = getattr(nir, kind)(**{name: _thawed(getattr(node, name)) for name in node.field_names()}, metadata=metadata)
    if path in shapes and isinstance(node, Conv1d | Conv2d | SumPool2d | AvgPool2d):
        # the reference package leaves these open, or takes kernels for square and overlooks groups
        made.input_type = {"input": np.array(shapes[path].input)}
        made.output_type = {"output": np.array(shapes[path].output)}
    return made


def _thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _thawed(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return value.astype(_WORDS)
    if isinstance(value, np.ndarray):
        return value.copy() if value.ndim else value[()]
    return value


_WORDS = np.dtype("O", metadata={"vlen": str})  # as h5py marks strings, so that nir.write can write them
