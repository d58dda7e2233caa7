"""Shape inference against counting windows one by one, and over graphs of every form."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nirjax.errors import ShapeError
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph
from nirjax.ir.inline import inline
from nirjax.ir.shapes import infer_shapes, known_shapes


def positions(n: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """How many windows fit, by putting each one down."""
    starts = range(-before, n + after, stride)
    return sum(start + dilation * (kernel - 1) < n + after for start in starts)


def same(kernel: int, dilation: int) -> tuple[int, int]:
    """Padding that keeps the size at stride 1: the odd one behind."""
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2


_SETTINGS = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
_AXIS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))


@given(
    axes=st.lists(_AXIS, min_size=1, max_size=2),
    padding=st.sampled_from(["number", "same", "valid"]),
    groups=st.sampled_from([1, 2, 4]),
)
@_SETTINGS
def test_convolutions(axes: list[tuple[int, ...]], padding: str, groups: int) -> None:
    sizes, kernels, strides, pads, dilations = (tuple(axis) for axis in zip(*axes, strict=True))
    node = (ir.Conv1d if len(axes) == 1 else ir.Conv2d)(
        input_shape=None,
        weight=np.ones((4, 3, *kernels), np.float32),
        stride=np.array(strides),
        padding=padding if padding != "number" else np.array(pads),
        dilation=np.array(dilations),
        groups=np.array(groups),
        bias=np.ones(4, np.float32),
    )
    around = {
        "number": [(p, p) for p in pads],
        "same": [same(k, d) for k, d in zip(kernels, dilations, strict=True)],
        "valid": [(0, 0)] * len(axes),
    }[padding]
    expected = tuple(
        positions(n, k, s, before, after, d)
        for n, k, s, (before, after), d in zip(sizes, kernels, strides, around, dilations, strict=True)
    )
    shape = (3 * groups, *sizes)
    if 0 in expected:
        with pytest.raises(ShapeError, match="larger than its input"):
            node.gives(shape)
    else:
        assert node.gives(shape) == (4, *expected)
    if padding == "same" and set(strides) == {1}:
        assert node.gives(shape)[1:] == sizes


@given(axes=st.lists(_AXIS, min_size=2, max_size=2), cls=st.sampled_from([ir.SumPool2d, ir.AvgPool2d]))
@_SETTINGS
def test_pooling(axes: list[tuple[int, ...]], cls: type[ir.NIRNode]) -> None:
    sizes, kernels, strides, pads, _ = (tuple(axis) for axis in zip(*axes, strict=True))
    node = cls(np.array(kernels), np.array(strides), np.array(pads))
    expected = tuple(positions(n, k, s, p, p, 1) for n, k, s, p in zip(sizes, kernels, strides, pads, strict=True))
    if 0 in expected:
        with pytest.raises(ShapeError, match="larger than its input"):
            node.gives((2, *sizes))
    else:
        assert node.gives((2, *sizes)) == (2, *expected)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), first=st.integers(0, 3), last=st.integers(-4, 3))
@_SETTINGS
def test_flatten(shape: list[int], first: int, last: int) -> None:
    rank = len(shape)
    node = ir.Flatten(None, np.int64(first), np.int64(last))
    end = last + rank if last < 0 else last
    if first >= rank or not 0 <= end < rank or first > end:
        with pytest.raises(ShapeError):
            node.gives(tuple(shape))
    else:
        assert node.gives(tuple(shape)) == np.zeros(shape).reshape(*shape[:first], -1, *shape[end + 1 :]).shape


def conv(kernel: tuple[int, ...], channels: tuple[int, int], **changes: object) -> ir.Conv2d:
    fields = {
        "input_shape": None,
        "weight": np.ones((channels[1], channels[0], *kernel), np.float32),
        "stride": np.array([1, 1]),
        "padding": np.array([0, 0]),
        "dilation": np.array([1, 1]),
        "groups": np.array(1),
        "bias": np.ones(channels[1], np.float32),
    }
    return ir.Conv2d(**{**fields, **changes})  # type: ignore[arg-type]


def test_shapes_flow_through_a_network_in_any_node_order() -> None:
    """In: (2, 9, 8) -> conv 3x5 -> (4, 7, 4) -> pool 2x2 -> (4, 3, 2) -> flatten -> 24 -> linear -> 5."""
    nodes = {
        "in": ir.Input((2, 9, 8)),
        "conv": conv((3, 5), (2, 4)),
        "scalar": ir.Scale(np.float32(2)),
        "pool": ir.SumPool2d(np.array(2), np.array(2), np.array(0)),
        "flat": ir.Flatten(None, np.int64(0), np.int64(-1)),
        "fc": ir.Linear(np.ones((5, 24), np.float32)),
        "out": ir.Output((5,)),
    }
    chain = ["in", "conv", "scalar", "pool", "flat", "fc", "out"]
    expected = [(2, 9, 8), (4, 7, 4), (4, 7, 4), (4, 3, 2), (24,), (5,), (5,)]
    for order in itertools.islice(itertools.permutations(chain), 0, 5040, 97):
        edges = sorted(itertools.pairwise(chain), key=lambda edge: order.index(edge[0]))
        shapes = infer_shapes(inline(NIRGraph({name: nodes[name] for name in order}, tuple(edges))))
        assert [shapes[name].output for name in chain] == expected


def test_shapes_flow_around_a_cycle() -> None:
    nodes = {
        "in": ir.Input((2, 5, 5)),
        "lif": ir.LIF(*[np.float32(1)] * 5),
        "conv": conv((3, 3), (2, 2), padding="same"),
        "out": ir.Output((2, 5, 5)),
    }
    edges = (("conv", "lif"), ("lif", "conv"), ("in", "lif"), ("lif", "out"))
    assert {shape.output for shape in infer_shapes(inline(NIRGraph(nodes, edges))).values()} == {(2, 5, 5)}


def test_a_mismatch_names_edge_node_and_field() -> None:
    nodes = {"in": ir.Input((4,)), "fc": ir.Linear(np.ones((2, 3), np.float32)), "out": ir.Output((2,))}
    with pytest.raises(ShapeError) as caught:
        infer_shapes(inline(NIRGraph(nodes, (("in", "fc"), ("fc", "out")))))
    assert (caught.value.node, caught.value.field) == ("fc", "weight")
    assert "'in'" in str(caught.value)


def test_two_shapes_that_meet_are_refused() -> None:
    nodes = {"a": ir.Input((2,)), "b": ir.Input((3,)), "lif": ir.LIF(*[np.float32(1)] * 5), "out": ir.Output((2,))}
    with pytest.raises(ShapeError, match="different shapes") as caught:
        known_shapes(inline(NIRGraph(nodes, (("a", "lif"), ("b", "lif"), ("lif", "out")))))
    assert caught.value.node == "lif"


def test_an_unknown_shape_matters_only_to_the_strict_form() -> None:
    flat = inline(NIRGraph({"pool": ir.SumPool2d(np.array(2), np.array(2), np.array(0))}, ()))
    assert known_shapes(flat) == {}
    with pytest.raises(ShapeError, match="not known") as caught:
        infer_shapes(flat)
    assert caught.value.node == "pool"


def test_a_signal_that_is_too_large_is_refused() -> None:
    with pytest.raises(ShapeError, match="too large"):
        conv((1, 1), (1, 1), padding=np.array([2**40, 2**40])).gives((1, 4, 4))
