"""Random graphs of all node types, for property tests."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph

FLOATS = ("<f4", "<f8", "<f2", ">f4", ">f8")
_ANY_RANK = ("Scale", "Threshold", "Delay", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=6)
NAMES = _TEXT.filter(lambda name: name != ".")


@st.composite
def graphs(draw: Any, depth: int = 3, max_nodes: int = 6, declared: bool = False) -> NIRGraph:
    """A graph that can be read back: chains and skips of nodes of all types, cycles, subgraphs, metadata, odd names.

    With `declared`, every node that may declare its input shape does: nir.write can write no others.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = draw(st.lists(NAMES, min_size=max_nodes + 2, max_size=max_nodes + 2, unique=True))
    shape = draw(st.sampled_from([(3,), (1,), (2, 7), (2, 6, 5), (1, 8, 8), ()]))
    nodes: dict[str, ir.NIRNode] = {names[0]: ir.Input(np.array(shape, np.int64))}
    entering, leaving, edges = {}, {names[0]: shape}, []
    last = names[0]
    for name in names[1 : draw(st.integers(1, max_nodes + 1))]:
        shape = leaving[last]
        if depth > 1 and len(shape) == 1 and draw(st.integers(0, 3)) == 0:
            nodes[name] = draw(subgraphs(depth - 1, shape))
        else:
            nodes[name] = _node(draw, rng, shape, declared)
        entering[name], leaving[name] = shape, _gives(nodes[name], shape)
        edges.append((last, name))
        alike = [other for other in entering if other != last and leaving[other] == shape]
        if alike and draw(st.booleans()):
            edges.append((draw(st.sampled_from(alike)), name))
        last = name
    back = [name for name in entering if entering[name] == leaving[last]]
    if back and draw(st.booleans()):
        edges.append((last, draw(st.sampled_from(back))))
    nodes[names[-1]] = ir.Output(np.array(leaving[last], np.int64))
    edges.append((last, names[-1]))
    metadata = draw(_METADATA) if draw(st.booleans()) else {}
    order = draw(st.permutations(list(nodes)))
    return NIRGraph({name: nodes[name] for name in order}, tuple(dict.fromkeys(edges)), metadata=metadata)


@st.composite
def subgraphs(draw: Any, depth: int, shape: tuple[int, ...]) -> NIRGraph:
    """A chain that keeps its shape: what the reference package's own inference, run on subgraphs, can take."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = draw(st.lists(NAMES, min_size=5, max_size=5, unique=True))
    nodes: dict[str, ir.NIRNode] = {names[0]: ir.Input(np.array(shape, np.int64))}
    for name in names[1 : draw(st.integers(2, 4))]:
        if depth > 1 and draw(st.integers(0, 3)) == 0:
            nodes[name] = draw(subgraphs(depth - 1, shape))
        else:
            cls = ir.NODE_TYPES[draw(st.sampled_from(_ANY_RANK))]
            nodes[name] = cls(**{key: _positive(rng, shape, np.dtype("<f4")) for key in cls.parameter_names()})
    nodes[names[-1]] = ir.Output(np.array(shape, np.int64))
    chain = list(nodes)
    return NIRGraph(nodes, tuple(pairwise(chain)), metadata=draw(_METADATA) if draw(st.booleans()) else {})


def _gives(node: ir.NIRNode, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if isinstance(node, NIRGraph) else node.gives(shape)


def _node(draw: Any, rng: np.random.Generator, shape: tuple[int, ...], declared: bool) -> ir.NIRNode:
    kinds = list(_ANY_RANK)
    if len(shape) >= 1:
        kinds += ["Linear", "Affine", "Flatten"]
    if len(shape) == 2:
        kinds += ["Conv1d", "Conv1d"]
    if len(shape) == 3:
        kinds += ["Conv2d", "Conv2d", "SumPool2d", "AvgPool2d"]
    cls = ir.NODE_TYPES[draw(st.sampled_from(kinds))]
    dtype = np.dtype(draw(st.sampled_from(FLOATS)))
    metadata = draw(_METADATA) if draw(st.integers(0, 3)) == 0 else {}
    if cls.elementwise:
        size = () if shape == () else shape
        fields = {name: _positive(rng, size, dtype) for name in cls.parameter_names()}
        return cls(**fields, metadata=metadata)
    return _MAKERS[cls.__name__](draw, rng, shape, dtype, metadata, declared)


def _positive(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.asarray(rng.uniform(0.01, 2, shape)).astype(dtype)


def _linear(draw: Any, rng: Any, shape: Any, dtype: Any, metadata: Any, declared: bool) -> ir.NIRNode:
    out = draw(st.integers(1, 5))
    return ir.Linear(rng.normal(size=(*shape[:-1], out, shape[-1])).astype(dtype), metadata=metadata)


def _affine(draw: Any, rng: Any, shape: Any, dtype: Any, metadata: Any, declared: bool) -> ir.NIRNode:
    out = draw(st.integers(1, 5))
    weight = rng.normal(size=(*shape[:-1], out, shape[-1])).astype(dtype)
    return ir.Affine(weight, rng.normal(size=(*shape[:-1], out)).astype(dtype), metadata=metadata)


def _flatten(draw: Any, rng: Any, shape: Any, dtype: Any, metadata: Any, declared: bool) -> ir.NIRNode:
    start = draw(st.integers(0, len(shape) - 1))
    given = np.array(shape) if declared or draw(st.booleans()) else None
    return ir.Flatten(given, np.int64(start), np.int64(draw(st.sampled_from([-1, len(shape) - 1]))), metadata=metadata)


def _conv(axes: int) -> Any:
    def make(draw: Any, rng: Any, shape: Any, dtype: Any, metadata: Any, declared: bool) -> ir.NIRNode:
        groups = draw(st.sampled_from([g for g in (1, 2) if shape[0] % g == 0]))
        kernel = tuple(draw(st.integers(1, min(3, n))) for n in shape[1:])
        weight = rng.normal(size=(groups * draw(st.integers(1, 2)), shape[0] // groups, *kernel)).astype(dtype)
        padding = draw(st.sampled_from(["same", "valid", 0, 1]))
        single = axes == 1
        return (ir.Conv1d if single else ir.Conv2d)(
            input_shape=(shape[1] if single else np.array(shape[1:])) if declared or draw(st.booleans()) else None,
            weight=weight,
            stride=np.int64(1) if padding == "same" or single else np.array([draw(st.integers(1, 2)), 1]),
            padding=padding if isinstance(padding, str) or single else np.array([padding, 0]),
            dilation=np.int64(1),
            groups=np.int64(groups),
            bias=rng.normal(size=weight.shape[0]).astype(dtype),
            metadata=metadata,
        )

    return make


def _pool(cls: Any) -> Any:
    def make(draw: Any, rng: Any, shape: Any, dtype: Any, metadata: Any, declared: bool) -> ir.NIRNode:
        window = np.array([draw(st.integers(1, n)) for n in shape[1:]])
        stride = np.array([draw(st.integers(1, 3)) for _ in range(2)])
        return cls(window, stride, np.array([0, draw(st.integers(0, 1))]), metadata=metadata)

    return make


_MAKERS = {
    "Linear": _linear,
    "Affine": _affine,
    "Flatten": _flatten,
    "Conv1d": _conv(1),
    "Conv2d": _conv(2),
    "SumPool2d": _pool(ir.SumPool2d),
    "AvgPool2d": _pool(ir.AvgPool2d),
}

_LEAVES: Any = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, width=32),
    st.booleans(),
    st.builds(np.arange, st.integers(0, 5)),
    st.builds(lambda n: np.linspace(-1, 1, n, dtype=np.float32), st.integers(1, 4)),
    st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=4), min_size=1, max_size=3),
)
_METADATA: Any = st.dictionaries(NAMES, _LEAVES | st.dictionaries(NAMES, _LEAVES, max_size=2), max_size=3)
