"""Nested graphs laid out flat."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nirjax.errors import GraphError
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph
from nirjax.ir.inline import inline, port_kind
from nirjax.ir.raw import DEEPEST

SCALE = ir.Scale(np.ones(2, np.float32))


def chain(**nodes: ir.NIRNode) -> NIRGraph:
    named = {"in": ir.Input((2,)), **nodes, "out": ir.Output((2,))}
    return NIRGraph(named, tuple(pairwise(named)))


def test_paths_and_edges() -> None:
    flat = inline(chain(sub=chain(deep=chain(s=SCALE)), after=SCALE))
    assert list(flat.nodes) == [
        *("in", "sub.in", "sub.deep.in", "sub.deep.s", "sub.deep.out", "sub.out", "after", "out")
    ]
    assert set(flat.edges) == {
        ("in", "sub.in"),
        ("sub.in", "sub.deep.in"),
        ("sub.deep.in", "sub.deep.s"),
        ("sub.deep.s", "sub.deep.out"),
        ("sub.deep.out", "sub.out"),
        ("sub.out", "after"),
        ("after", "out"),
    }
    assert (flat.inputs, flat.outputs) == (("in",), ("out",))
    assert flat.paths["sub.deep.s"] == ("sub", "deep", "s")
    assert [port_kind(flat, name) for name in ("in", "out", "sub.in", "after")] == ["input", "output", "inner", None]


def test_names_stay_unique_where_dots_collide() -> None:
    """The shallower node has the name: an exact name wins over a path."""
    graph = NIRGraph({**chain(sub=chain(s=SCALE)).nodes, "sub.s": SCALE}, ())
    flat = inline(graph)
    assert flat.paths["sub.s"] == ("sub.s",)
    assert flat.paths["sub/s"] == ("sub", "s")
    assert len(flat.nodes) == len(flat.paths) == 6


@pytest.mark.parametrize(("edge", "node"), [(("s", "in"), "in"), (("out", "s"), "out")])
def test_edges_into_inputs_and_out_of_outputs_are_refused(edge: tuple[str, str], node: str) -> None:
    graph = chain(s=SCALE)
    with pytest.raises(GraphError) as caught:
        inline(NIRGraph(graph.nodes, (*graph.edges, edge)))
    assert (caught.value.node, caught.value.field) == (node, "edges")


def test_nesting_has_a_limit() -> None:
    graph = chain(s=SCALE)
    for _ in range(DEEPEST - 1):
        graph = chain(s=graph)
    assert len(inline(graph).nodes) == 2 * DEEPEST + 1
    with pytest.raises(GraphError, match="too deep"):
        inline(chain(s=graph))
