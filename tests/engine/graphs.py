"""Small graphs for tests: written in a line, on a grid where sums are exact, and as the dicts that the oracle takes."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np

from nirjax.errors import NIRWarning
from nirjax.ir import nodes as ir
from nirjax.ir.fields import spec_of
from nirjax.ir.graph import NIRGraph


def graph(nodes: dict[str, ir.NIRNode], *paths: str) -> NIRGraph:
    """A graph whose edges are read off paths: "in lif out" is in -> lif -> out."""
    edges = [pair for path in paths for pair in pairwise(path.split())]
    return NIRGraph(nodes, edges)


def ports(shape: tuple[int, ...] = (3,)) -> dict[str, ir.NIRNode]:
    """An Input `in` and an Output `out`."""
    return {"in": ir.Input(shape), "out": ir.Output(shape)}


def filled(cls: type[ir.NIRNode], size: int | tuple[int, ...] = 3, dtype: Any = np.float32, **values: float) -> Any:
    """A node whose real parameters are arrays filled with one number each."""
    return cls(**{name: np.full(size, value, dtype) for name, value in values.items()})


def lif(size: int | tuple[int, ...] = 3, **changes: float) -> ir.LIF:
    """With dt = 1 it keeps half of its membrane, takes its input whole, and fires above 1."""
    return filled(ir.LIF, size, **{"tau": 2, "r": 2, "v_leak": 0, "v_threshold": 1, "v_reset": 0} | changes)


def cubalif(size: int | tuple[int, ...] = 3, **changes: float) -> ir.CubaLIF:
    """With dt = 1 current and membrane each keep half of themselves."""
    given = {"tau_syn": 2, "tau_mem": 2, "r": 2, "v_leak": 0, "v_threshold": 1, "v_reset": 0, "w_in": 2} | changes
    return filled(ir.CubaLIF, size, **given)


def if_(size: int | tuple[int, ...] = 3, **changes: float) -> ir.IF:
    """With dt = 1 it adds up its input and fires above 1."""
    return filled(ir.IF, size, **{"r": 1, "v_threshold": 1, "v_reset": 0} | changes)


def on_grid(shape: tuple[int, ...], seed: int, low: int = -3, high: int = 5) -> np.ndarray:
    """Random multiples of 1/4: sums and products of a few of them are exact in float32."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.float32) / 4


def affine(outputs: int = 3, inputs: int = 3, seed: int = 0) -> ir.Affine:
    return ir.Affine(on_grid((outputs, inputs), seed), on_grid((outputs,), seed + 100, 0, 3))


def linear(outputs: int = 3, inputs: int = 3, seed: int = 0) -> ir.Linear:
    return ir.Linear(on_grid((outputs, inputs), seed))


def conv2d(seed: int = 0, channels: tuple[int, int] = (2, 2), **changes: Any) -> ir.Conv2d:
    """A 2 x 2 kernel on a 4 x 4 image, padded to keep its size."""
    fields = {"input_shape": (4, 4), "stride": 1, "padding": "same", "dilation": 1, "groups": 1} | changes
    weight = on_grid((channels[1], channels[0], 2, 2), seed, -1, 3)
    return ir.Conv2d(weight=weight, bias=on_grid((channels[1],), seed + 1, 0, 2), **fields)


def spikes(*shape: int, seed: int = 0, rate: float = 0.5) -> np.ndarray:
    """Random zeros and ones, float32."""
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.float32)


# ------------------------------------------------------------------------------- to and from the oracle's dicts


def as_dict(node: ir.NIRNode) -> dict[str, Any]:
    """A graph (or node) as the dict that `oracle.run` takes."""
    if isinstance(node, NIRGraph):
        return {
            "type": "NIRGraph",
            "nodes": {name: as_dict(inner) for name, inner in node.nodes.items()},
            "edges": [tuple(edge) for edge in node.edges],
        }
    fields: dict[str, Any] = {"type": type(node).__name__}
    for name in node.field_names():
        spec, value = spec_of(type(node), name), getattr(node, name)
        value = value[spec.port] if spec.kind == "shape" else value
        if value is not None:
            fields[spec.stored or name] = value
    return fields


def from_dict(content: dict[str, Any]) -> NIRGraph:
    """A graph from the oracle's dict, values and their types kept."""
    nodes: dict[str, ir.NIRNode] = {}
    for name, fields in content["nodes"].items():
        if fields["type"] == "NIRGraph":
            nodes[name] = from_dict(fields)
            continue
        cls = ir.NODE_TYPES[fields["type"]]
        own = {field: spec_of(cls, field).stored or field for field in cls.field_names()}
        nodes[name] = cls(**{field: fields[stored] for field, stored in own.items() if stored in fields})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NIRWarning)  # edges that appear twice
        return NIRGraph(nodes, content["edges"])
