"""Merged linear nodes: the same signal, fewer nodes, and nothing merged that must not be."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from engine.graphs import as_dict, from_dict
from oracle.random_graphs import random_case

import nirjax
from nirjax.errors import NIRError
from nirjax.ir import nodes as ir
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write
from nirjax.ir.inline import inline
from nirjax.ir.merging import merge_linear, merged
from nirjax.ir.shapes import infer_shapes


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def affine(outputs: int = 4, inputs: int = 3, seed: int = 0) -> ir.Affine:
    return ir.Affine(values(outputs, inputs, seed=seed), values(outputs, seed=seed + 1))


def linear(outputs: int = 4, inputs: int = 3, seed: int = 0) -> ir.Linear:
    return ir.Linear(values(outputs, inputs, seed=seed))


def scale(*shape: int, seed: int = 5) -> ir.Scale:
    return ir.Scale(values(*shape, seed=seed))


def by_channel(channels: int, *space: int) -> ir.Scale:
    return ir.Scale(np.broadcast_to(values(channels, *(1,) * len(space), seed=6), (channels, *space)))


def filled(value: float) -> ir.Scale:
    return ir.Scale(np.full(3, value, np.float32))


def lif(size: int = 4) -> ir.LIF:
    return ir.LIF(*(np.full(size, value, np.float32) for value in (2, 2, 0, 0.5, 0)))


def conv2d(groups: int = 1, padding: Any = 1) -> ir.Conv2d:
    return ir.Conv2d(None, values(4, 2 // groups, 3, 3), 2, padding, 1, groups, values(4, seed=1))


def conv1d() -> ir.Conv1d:
    return ir.Conv1d(None, values(4, 2, 3), 1, "same", 1, 1, values(4, seed=1))


def sum_pool() -> ir.SumPool2d:
    return ir.SumPool2d(2, 2, np.array([0, 1]))


def mean_pool() -> ir.AvgPool2d:
    return ir.AvgPool2d(np.array([2, 3]), 1, 0)


def chain(shape: tuple[int, ...], nodes: dict[str, ir.NIRNode]) -> NIRGraph:
    """The nodes one behind the other, with an Input and an Output."""
    named: dict[str, ir.NIRNode] = {"in": ir.Input(shape), **nodes}
    for node in nodes.values():
        shape = node.gives(shape)
    return NIRGraph(named | {"out": ir.Output(shape)}, tuple(pairwise([*named, "out"])))


def run(graph: NIRGraph, x: Any) -> dict[str, np.ndarray]:
    """All traces, in float64."""
    return oracle.run(as_dict(graph), x, dt=1.0, record=True)[1]


IMAGE = (2, 6, 6)
MERGES = {
    "scale, affine": ((3,), {"s": scale(3), "fc": affine()}, {"fc": ["s", "fc"]}),
    "one number, linear": ((3,), {"s": scale(), "fc": linear()}, {"fc": ["s", "fc"]}),
    "affine, scale": ((3,), {"fc": affine(), "s": scale(4)}, {"fc": ["fc", "s"]}),
    "linear, one number": ((3,), {"fc": linear(), "s": scale()}, {"fc": ["fc", "s"]}),
    "scale, scale": ((3,), {"s": scale(3), "t": scale(3, seed=7)}, {"t": ["s", "t"]}),
    "one number, scale": ((3,), {"s": scale(), "t": scale(3)}, {"t": ["s", "t"]}),
    "scale, one number": ((3,), {"s": scale(3), "t": scale()}, {"s": ["s", "t"]}),
    "many around one": (
        (3,),
        {"s": scale(3), "fc": affine(), "t": scale(4), "u": scale()},
        {"fc": ["s", "fc", "t", "u"]},
    ),
    "affine, affine": ((3,), {"a": affine(8, 3), "b": affine(2, 8)}, {"b": ["a", "b"]}),
    "linear, affine": ((3,), {"a": linear(8, 3), "b": affine(2, 8)}, {"b": ["a", "b"]}),
    "affine, linear": ((3,), {"a": affine(8, 3), "b": linear(2, 8)}, {"b": ["a", "b"]}),
    "linear, linear": ((3,), {"a": linear(8, 3), "b": linear(2, 8)}, {"b": ["a", "b"]}),
    "weights with axes": (
        (2, 3),
        {
            "s": scale(2, 3),
            "a": ir.Affine(values(2, 8, 3), values(2, 8)),
            "b": ir.Linear(values(2, 2, 8)),
            "t": scale(2, 2),
        },
        {"b": ["s", "a", "b", "t"]},
    ),
    "channels, convolution": (IMAGE, {"s": by_channel(*IMAGE), "c": conv2d()}, {"c": ["s", "c"]}),
    "channels, groups": (IMAGE, {"s": by_channel(*IMAGE), "c": conv2d(2, "valid")}, {"c": ["s", "c"]}),
    "convolution, channels": (IMAGE, {"c": conv2d(), "s": by_channel(4, 3, 3)}, {"c": ["c", "s"]}),
    "convolution in one dimension": (
        (2, 5),
        {"s": by_channel(2, 5), "c": conv1d(), "t": by_channel(4, 5), "u": scale()},
        {"c": ["s", "c", "t", "u"]},
    ),
    "past a pool": (IMAGE, {"c": conv2d(), "p": sum_pool(), "s": by_channel(4, 1, 2)}, {"c": ["c", "s"]}),
    "past a pool, ahead": (IMAGE, {"s": by_channel(*IMAGE), "p": mean_pool(), "c": conv2d()}, {"c": ["s", "c"]}),
    "past a pool, into a scale": (
        IMAGE,
        {"s": by_channel(*IMAGE), "p": mean_pool(), "t": scale(2, 5, 4)},
        {"t": ["s", "t"]},
    ),
    "one number, past a pool, into channels": (
        IMAGE,
        {"s": by_channel(*IMAGE), "p": sum_pool(), "t": scale()},
        {"s": ["s", "t"]},
    ),
    "past a Flatten": (
        IMAGE,
        {"s": scale(), "p": sum_pool(), "f": ir.Flatten(None, 0, -1), "fc": affine(3, 24)},
        {"fc": ["s", "fc"]},
    ),
    "a sum into a mean": (IMAGE, {"p": ir.SumPool2d(3, 1, 0), "s": ir.Scale(np.float32(1 / 9))}, {"p": ["p", "s"]}),
    "a mean into a sum": (IMAGE, {"s": ir.Scale(np.full(IMAGE, 6.0)), "p": mean_pool()}, {"p": ["s", "p"]}),
    "an inner port": ((3,), {"s": ir.Scale(np.float32(1)), "fc": affine()}, {"fc": ["s", "fc"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", MERGES)
def test_a_chain_gives_the_same_with_fewer_nodes(name: str) -> None:
    shape, nodes, stands_for = MERGES[name]
    graph = chain(shape, nodes)
    after, notices = merged(graph)
    x = np.random.default_rng(1).normal(size=(4, 2, *shape))
    np.testing.assert_allclose(run(after, x)["out.output"], run(graph, x)["out.output"], rtol=1e-5, atol=1e-5)
    assert {key: list(node.metadata["merged"]) for key, node in after.nodes.items() if node.metadata} == stands_for
    gone = {name for names in stands_for.values() for name in names} - set(stands_for)
    assert list(after.nodes) == [name for name in graph.nodes if name not in gone]
    assert len(notices) == len(gone)
    assert infer_shapes(inline(after))["out"] == infer_shapes(inline(graph))["out"]


def test_the_numbers_are_the_products_rounded_once() -> None:
    s, fc, t, last = scale(3), affine(8, 3), scale(8, seed=9), affine(2, 8, seed=4)
    after = merge_linear(chain((3,), {"s": s, "fc": fc, "last": last}))
    weight = last.weight.astype(np.float64) @ (fc.weight.astype(np.float64) * s.scale).astype(np.float32)
    bias = last.weight.astype(np.float64) @ fc.bias + last.bias
    np.testing.assert_array_equal(after.nodes["last"].weight, weight.astype(np.float32))
    np.testing.assert_array_equal(after.nodes["last"].bias, bias.astype(np.float32))
    after = merge_linear(chain((3,), {"fc": fc, "t": t}))
    exact = t.scale.astype(np.float64)[:, None] * fc.weight
    np.testing.assert_array_equal(after.nodes["fc"].weight, exact.astype(np.float32))
    assert after.nodes["fc"].weight.dtype == np.float32


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("f2", "f2", "f4"), ("f4", "f8", "f8"), (">f4", "f4", "f4"), ("i8", "f4", "f4"), ("i2", "i8", "f4")],
)
def test_the_numbers_have_the_widest_of_the_types(first: str, second: str, expected: str) -> None:
    nodes = {"s": ir.Scale(np.array([2, 3, 4], first)), "fc": ir.Linear(np.ones((2, 3), second))}
    after = merge_linear(chain((3,), nodes)).nodes["fc"]
    assert after.weight.dtype == np.dtype(expected)
    np.testing.assert_array_equal(after.weight, [[2, 3, 4]] * 2)


def graph(nodes: dict[str, ir.NIRNode], *paths: str, size: int = 3) -> NIRGraph:
    named = {"in": ir.Input((3,)), **nodes, "out": ir.Output((size,))}
    return NIRGraph(named, tuple(edge for path in paths for edge in pairwise(path.split())))


KEPT = {
    "two readers": graph({"s": scale(3), "a": linear(3), "b": linear(3)}, "in s a out", "s b out"),
    "two writers": graph({"a": linear(3), "b": linear(3), "s": scale(3)}, "in a s out", "in b s"),
    "an output beside it": graph({"a": linear(3), "s": scale(3), "too": ir.Output((3,))}, "in a s out", "a too"),
    "spikes between": graph({"s": scale(3), "lif": lif(3), "fc": linear(3)}, "in s lif fc out"),
    "a threshold between": graph({"s": scale(3), "t": ir.Threshold(np.float32(1)), "u": scale(3)}, "in s t u out"),
    "a delay between": graph({"s": scale(3), "d": ir.Delay(np.float32([1, 2, 3])), "u": scale(3)}, "in s d u out"),
    "more weights": graph({"a": linear(1, 3), "b": linear(3, 1)}, "in a b out"),
    "as many weights": graph({"a": linear(2, 4), "b": linear(4, 2)}, "a b"),
    "beyond the type": chain((3,), {"s": filled(1e30), "t": filled(1e30)}),
    "below the type": chain((3,), {"s": filled(1e-30), "t": filled(1e-20)}),
    "products beyond the type": chain(
        (3,), {"a": ir.Linear(np.full((9, 3), 1e30, np.float32)), "b": ir.Linear(np.full((1, 9), 1e30, np.float32))}
    ),
    "other numbers in space": chain(IMAGE, {"s": scale(*IMAGE), "c": conv2d()}),
    "other numbers before a pool": chain(IMAGE, {"s": scale(*IMAGE), "p": sum_pool(), "c": conv2d()}),
    "channels before a Flatten": chain(
        IMAGE, {"s": by_channel(*IMAGE), "f": ir.Flatten(None, 0, -1), "fc": affine(3, 72)}
    ),
    "a pool alone": chain(IMAGE, {"s": scale(), "p": sum_pool()}),
    "a shape that nothing else tells": NIRGraph({"s": by_channel(*IMAGE), "c": conv2d()}, (("s", "c"),)),
    "a ring": NIRGraph({"s": scale(3), "fc": linear(3)}, (("s", "fc"), ("fc", "s"))),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_is_not_merged(name: str) -> None:
    assert merged(KEPT[name]) == (KEPT[name], [])


def nested() -> NIRGraph:
    inner = graph({"s": scale(3), "fc": linear(3), "lif": lif(3)}, "in s fc lif out", "lif fc")
    inner = dataclasses.replace(inner, edges=tuple(edge for edge in inner.edges if edge != ("lif", "fc")))
    return graph({"t": scale(3), "sub": inner, "u": scale(3)}, "in t sub u out")


def test_subgraphs_are_merged_within() -> None:
    after, notices = merged(nested())
    assert list(after.nodes) == ["in", "t", "sub", "u", "out"]
    assert list(after.nodes["sub"].nodes) == ["in", "fc", "lif", "out"]
    assert [notice.node for notice in notices] == ["sub.fc"]
    x = np.random.default_rng(1).normal(size=(20, 2, 3))
    np.testing.assert_array_equal(run(after, x)["out.output"], run(nested(), x)["out.output"])


def recurrent(order: str) -> NIRGraph:
    """A neuron that feeds back on itself through three linear nodes, in the given order of the file."""
    size = {"in": ir.Input((3,)), "out": ir.Output((3,)), "lif": lif(3)}
    nodes = size | {"a": scale(3), "b": affine(3, 3), "c": scale(3, seed=8)}
    edges = tuple(edge for path in ("in lif out", "lif a b c lif") for edge in pairwise(path.split()))
    return NIRGraph({name: nodes[name] for name in order.split()}, edges)


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ("in out lif a b c", "in out lif b"),
        ("c b a lif in out", "c b a lif in out"),
        ("c a b in lif out", "c b in lif out"),
    ],
)
def test_in_a_cycle_no_edge_is_merged_that_could_be_fed_back(order: str, kept: str) -> None:
    before = recurrent(order)
    after = merge_linear(before)
    assert " ".join(after.nodes) == kept
    x = np.random.default_rng(2).normal(size=(30, 2, 3)) + 0.5
    expected, found = run(before, x), run(after, x)
    assert 0.05 < expected["lif.spikes"].mean() < 0.9
    np.testing.assert_array_equal(found["lif.spikes"], expected["lif.spikes"])


def test_what_a_register_delays_stays_delayed() -> None:
    """No input reaches the cycle, so that the search starts at `b`, and the edge into it holds the register: what
    `clock` gives is delayed too. Merged, it would not be."""
    clock = dataclasses.replace(lif(3), v_leak=np.full(3, 0.8, np.float32))
    nodes = {"b": ir.Scale(np.float32(2)), "lif": lif(3), "a": ir.Scale(np.float32(0.75)), "clock": clock}
    before = graph(nodes | {"sum": ir.Scale(np.float32(1))}, "b lif a b", "clock a", "in sum out", "lif sum")
    before = dataclasses.replace(before, nodes={name: before.nodes[name] for name in [*nodes, "sum", "in", "out"]})
    assert oracle.run(as_dict(before), np.zeros((9, 3)), dt=1.0, record=True)[1]["lif.spikes"].any()
    assert merged(before) == (before, [])


def test_merging_again_changes_nothing() -> None:
    once = merge_linear(recurrent("in out lif a b c"))
    assert merge_linear(once) is once


def test_metadata_of_all_stays() -> None:
    nodes = {
        "s": dataclasses.replace(scale(3), metadata={"a": 1, "b": 2}),
        "fc": dataclasses.replace(affine(), metadata={"b": 3}),
    }
    before = dataclasses.replace(chain((3,), nodes), metadata={"c": 4})
    after = merge_linear(before)
    assert after.metadata == {"c": 4}
    assert {key: value for key, value in after.nodes["fc"].metadata.items() if key != "merged"} == {"a": 1, "b": 3}


def test_a_merged_graph_can_be_written(tmp_path: Path) -> None:
    after = merge_linear(nested())
    write(tmp_path / "a.nir", after)
    again = read(tmp_path / "a.nir", trusted=True)
    assert diff(again, after) == []
    assert list(again.nodes["sub"].nodes["fc"].metadata["merged"]) == [b"s", b"fc"]


# --------------------------------------------------------------------------------------------------- random graphs


def with_scales(rng: np.random.Generator, made: NIRGraph) -> NIRGraph:
    """The graph with Scales put into a third of its edges, in any place of the file."""
    shapes = {name: signal.output for name, signal in infer_shapes(inline(made)).items()}
    nodes: list[tuple[str, ir.NIRNode]] = list(made.nodes.items())
    edges = list(dict.fromkeys(made.edges))
    for at, (a, b) in enumerate(tuple(edges)):
        if rng.random() < 0.35 and a in shapes:
            name = f"scale{at}"
            shape = shapes[a] if rng.random() < 0.5 else ()
            nodes.insert(int(rng.integers(len(nodes) + 1)), (name, ir.Scale(rng.uniform(0.5, 1.5, shape))))
            edges[edges.index((a, b))] = (a, name)
            edges.append((name, b))
    return NIRGraph(dict(nodes), tuple(edges), metadata=made.metadata)


def test_random_graphs_spike_as_before() -> None:
    merges = spikes = compared = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        content, x, dt = random_case(rng)
        made = with_scales(rng, from_dict(content))
        after, notices = merged(made)
        merges += len(notices)
        expected = oracle.run(as_dict(made), x, dt=dt, record=True)[1]
        if min((trace.min() for name, trace in expected.items() if name.endswith(".margin")), default=1) < 1e-9:
            continue
        found = oracle.run(as_dict(after), x, dt=dt, record=True)[1]
        for name, trace in found.items():
            kind = name.rpartition(".")[2]
            if kind == "spikes":
                np.testing.assert_array_equal(trace, expected[name], err_msg=f"{seed} {name}")
                spikes += int(trace.sum())
        for name in inline(made).outputs:
            np.testing.assert_allclose(
                found[f"{name}.output"], expected[f"{name}.output"], rtol=1e-7, atol=1e-7, err_msg=f"{seed} {name}"
            )
        compared += 1
    assert compared > 40
    assert merges > 60
    assert spikes > 1000


def test_the_engine_spikes_as_before_in_single_precision() -> None:
    before = recurrent("in out lif a b c")
    after = merge_linear(before)
    assert len(after.nodes) < len(before.nodes)
    x = np.random.default_rng(3).normal(size=(40, 4, 3)).astype(np.float32) + 0.5
    answers = [np.asarray(nirjax.from_nir(one, dt=1)(x)[0]) for one in (before, after)]
    assert 0.05 < answers[0].mean() < 0.9
    np.testing.assert_array_equal(answers[0], answers[1])


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(NIRError, match="not a graph"):
        merge_linear(3)
