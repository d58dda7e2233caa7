"""Graphs: names, edges, ports."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

from nirjax.errors import GraphError, NIRWarning
from nirjax.ir import nodes as ir
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph, depth_of

SCALE = ir.Scale(np.ones(2, np.float32))
PORTS = {"in": ir.Input((2,)), "out": ir.Output((2,))}


def chain(**nodes: ir.NIRNode) -> NIRGraph:
    """in -> nodes -> out."""
    named = {"in": PORTS["in"], **nodes, "out": PORTS["out"]}
    return NIRGraph(named, tuple(pairwise(named)))


@pytest.mark.parametrize("edge", [("ghost", "out"), ("in", "ghost")])
def test_an_edge_to_a_missing_node_names_it(edge: tuple[str, str]) -> None:
    with pytest.raises(GraphError, match="ghost") as caught:
        NIRGraph(PORTS, (edge,))
    assert (caught.value.node, caught.value.field) == ("ghost", "edges")


@pytest.mark.parametrize("edges", [(("in",),), (("in", 3),), ("in",), (("in", "out", "in"),)])
def test_an_edge_is_a_pair_of_names(edges: tuple[object, ...]) -> None:
    with pytest.raises(GraphError) as caught:
        NIRGraph(PORTS, edges)  # type: ignore[arg-type]
    assert caught.value.field == "edges"


@pytest.mark.parametrize("name", ["", "a\0b", 3])
def test_a_name_is_a_text(name: object) -> None:
    with pytest.raises(GraphError) as caught:
        NIRGraph({name: SCALE})  # type: ignore[dict-item]
    assert caught.value.field == "nodes"


def test_a_node_is_a_node() -> None:
    with pytest.raises(GraphError) as caught:
        NIRGraph({"a": np.ones(3)})  # type: ignore[dict-item]
    assert caught.value.node == "a"
    with pytest.raises(GraphError):
        NIRGraph([SCALE])  # type: ignore[arg-type]


def test_an_edge_twice_is_a_warning() -> None:
    with pytest.warns(NIRWarning, match="twice"):
        graph = NIRGraph(PORTS, (("in", "out"), ("in", "out")))
    assert graph.edges == (("in", "out"), ("in", "out")), "content is kept"
    assert pickle.loads(pickle.dumps(graph)).edges == graph.edges


def test_edges_may_name_a_subgraph_or_its_ports() -> None:
    sub = NIRGraph(
        {"a": ir.Input((2,)), "b": ir.Input((2,)), "s": SCALE, "o": ir.Output((2,))}, (("a", "s"), ("s", "o"))
    )
    graph = NIRGraph({**PORTS, "sub": sub}, (("in", "sub.a"), ("in", "sub.b"), ("sub", "out")))
    assert [graph.destination(edge) for edge in graph.edges] == [("sub", "a"), ("sub", "b"), ("out",)]
    assert graph.source(("sub", "out")) == ("sub", "o")
    assert graph.source(("sub.o", "out")) == ("sub", "o")


def test_a_subgraph_with_two_inputs_must_be_told_which() -> None:
    sub = NIRGraph({"a": ir.Input((2,)), "b": ir.Input((2,)), "o": ir.Output((2,))}, (("a", "o"),))
    with pytest.raises(GraphError, match="which") as caught:
        NIRGraph({**PORTS, "sub": sub}, (("in", "sub"),))
    assert caught.value.node == "sub"


def test_edges_reach_only_ports_of_a_subgraph() -> None:
    sub = chain(s=SCALE)
    for end in ("sub.s", "sub.out", "sub.ghost"):
        with pytest.raises(GraphError):
            NIRGraph({**PORTS, "sub": sub}, (("in", end),))


def test_an_exact_name_wins_over_a_path() -> None:
    graph = NIRGraph({**PORTS, "sub": chain(s=SCALE), "sub.in": SCALE}, (("in", "sub.in"), ("sub.in", "out")))
    assert graph.destination(("in", "sub.in")) == ("sub.in",)


def test_ports_and_types() -> None:
    graph = chain(s=SCALE)
    assert list(graph.inputs) == ["in"]
    assert list(graph.outputs) == ["out"]
    np.testing.assert_array_equal(graph.input_type["in"], [2])
    np.testing.assert_array_equal(graph.output_type["out"], [2])


def test_a_graph_survives_pickling() -> None:
    graph = NIRGraph({**PORTS, "sub": chain(s=SCALE)}, (("in", "sub"), ("sub", "out")), metadata={"a": {"b": 1}})
    assert diff(pickle.loads(pickle.dumps(graph)), graph) == []


def test_a_graph_is_printed_with_its_nodes_and_edges() -> None:
    text = repr(NIRGraph({**PORTS, "sub": chain(s=SCALE)}, (("in", "sub"),)))
    assert "Scale(scale=[1.0, 1.0])" in text
    assert "('in', 'sub')" in text


def test_depth() -> None:
    assert depth_of(chain(s=SCALE)) == 1
    assert depth_of(chain(a=chain(b=chain(s=SCALE)))) == 3


def test_from_list_needs_to_know_the_ends() -> None:
    pool = ir.SumPool2d(np.array(2), np.array(2), np.array(0))
    with pytest.raises(GraphError, match="not known"):
        NIRGraph.from_list(pool)
    with pytest.raises(GraphError, match="at least one"):
        NIRGraph.from_list()
    assert list(NIRGraph.from_list([SCALE, SCALE]).nodes) == ["input", "scale", "scale_1", "output"]
