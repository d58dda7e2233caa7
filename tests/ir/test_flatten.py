"""Nested graphs made flat behave as before."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import oracle
import pytest

from nirjax.errors import NIRWarning
from nirjax.ir import nodes as ir
from nirjax.ir.diff import diff
from nirjax.ir.flatten import flatten
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write
from nirjax.ir.inline import inline
from nirjax.ir.shapes import infer_shapes

DATA = Path(__file__).parents[1] / "data"


def number(value: float) -> np.ndarray:
    return np.full(2, value, np.float32)


def lif() -> ir.LIF:
    return ir.LIF(number(2), number(2), number(0), number(1), number(0))


def weights(seed: int) -> ir.Linear:
    return ir.Linear(np.random.default_rng(seed).integers(-2, 5, (2, 2)).astype(np.float32) / 2)


def graph(nodes: dict[str, ir.NIRNode], *paths: str) -> NIRGraph:
    named = {"in": ir.Input((2,)), **nodes, "out": ir.Output((2,))}
    return NIRGraph(named, tuple(edge for path in paths for edge in pairwise(path.split())))


RECURRENT = graph({"lif": lif(), "w": weights(1)}, "in lif w lif out")
FANNED = graph({"a": lif(), "b": weights(2), "c": lif()}, "in a out", "in b c out")

GRAPHS = {
    "plain chain": graph({"sub": graph({"lif": lif()}, "in lif out")}, "in sub out"),
    "recurrence inside": graph({"fc": weights(0), "sub": RECURRENT, "fc2": weights(3)}, "in fc sub fc2 out"),
    "recurrence around": graph({"sub": graph({"lif": lif()}, "in lif out"), "w": weights(4)}, "in sub w sub out"),
    "fan-out at a port in a cycle": graph({"sub": FANNED, "w": weights(5)}, "in sub w sub out"),
    "two levels": graph({"sub": graph({"deep": RECURRENT}, "in deep out")}, "in sub out"),
    "port to port": graph({"sub": graph({"lif": lif()}, "in out", "in lif out")}, "in sub out"),
    "an edge that is there already": graph({"sub": graph({"lif": lif()}, "in lif out")}, "in sub out", "in sub.in"),
    "skip over a subgraph": graph({"sub": graph({}, "in out"), "fc": weights(6)}, "in sub fc out", "in fc"),
}


@pytest.mark.filterwarnings("ignore::nirjax.errors.NIRWarning")
@pytest.mark.parametrize("name", GRAPHS)
def test_a_flat_graph_behaves_as_the_nested_one(name: str, tmp_path: Path) -> None:
    nested, flat = GRAPHS[name], flatten(GRAPHS[name])
    assert not any(isinstance(node, NIRGraph) for node in flat.nodes.values())
    x = np.random.default_rng(0).integers(0, 2, (40, 3, 2)).astype(np.float64)
    answers = []
    for one in (nested, flat):
        write(tmp_path / "a.nir", one)
        answers.append(oracle.run(str(tmp_path / "a.nir"), x, dt=1)[0])
    (first,), (second,) = (list(answer.values()) if isinstance(answer, dict) else [answer] for answer in answers)
    np.testing.assert_array_equal(first, second)
    assert np.any(first != 0), "neurons fire"


def test_ports_disappear_where_they_can() -> None:
    assert set(flatten(GRAPHS["recurrence inside"]).nodes) == {"in", "fc", "sub.lif", "sub.w", "fc2", "out"}


def test_a_port_with_several_ways_out_stays_as_an_identity() -> None:
    flat = flatten(GRAPHS["fan-out at a port in a cycle"])
    assert isinstance(flat.nodes["sub.in"], ir.Scale)
    assert flat.nodes["sub.in"].scale.shape == ()
    infer_shapes(inline(flat))


def test_a_flat_graph_stays_as_it_is() -> None:
    assert diff(flatten(RECURRENT), RECURRENT) == []


def test_metadata_of_the_graph_and_of_nodes_stays() -> None:
    scale = ir.Scale(number(1), metadata={"b": 2})
    nested = NIRGraph({"sub": NIRGraph({"s": scale}, ())}, (), metadata={"a": 1})
    assert flatten(nested).metadata == {"a": 1}
    assert flatten(nested).nodes["sub.s"] is scale


def test_metadata_of_subgraphs_and_their_ports_moves_to_the_graph(tmp_path: Path) -> None:
    wide = NIRGraph(
        {
            "in": ir.Input((2,), metadata={"kept": 1}),
            "a": ir.Scale(number(1)),
            "b": ir.Scale(number(2)),
            "out": ir.Output((2,), metadata={"port": "gone"}),
        },
        (("in", "a"), ("in", "b"), ("a", "out"), ("b", "out")),
        metadata={"subgraph": "wide", "more": {"x": 1}},
    )
    inner = graph({"x/y": wide}, "in x/y out")
    nested = NIRGraph(graph({"sub": inner}).nodes, (("in", "sub"), ("sub", "out")), metadata={"flattened": "taken"})
    flat = flatten(nested)
    assert flat.nodes["sub.x/y.in"].metadata == {"kept": 1}
    assert isinstance(flat.nodes["sub.x/y.in"], ir.Scale)
    assert "sub.x/y.out" not in flat.nodes
    moved = {"sub.x\\y": {"subgraph": "wide", "more": {"x": 1}}, "sub.x\\y.out": {"port": "gone"}}
    assert flat.metadata == {"flattened": "taken", "flattened_": moved}
    write(tmp_path / "a.nir", flat)
    assert diff(read(tmp_path / "a.nir", trusted=True), flat) == []


def test_flat_graphs_can_be_written(tmp_path: Path) -> None:
    for path in [*(DATA / "golden").rglob("*.nir"), *(DATA / "battery").glob("*.nir")]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NIRWarning)
            flat = flatten(read(path, trusted=True, repair=True))
            write(tmp_path / "a.nir", flat)
            assert diff(read(tmp_path / "a.nir", trusted=True), flat) == []
