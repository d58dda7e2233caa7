"""Cycles of random graphs against their definitions."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirjax.errors import AlgebraicLoopError, GraphError
from nirjax.ir.cycles import components, feedback_edges, in_order, one_cycle, refuse_algebraic_loops

Edges = list[tuple[str, str]]

NAMES = list("abcdefg")
some_edges = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=16, unique=True)
some_order = st.permutations(NAMES)


def reachable(edges: Edges, start: str) -> set[str]:
    """Everything at the end of a path of at least one edge."""
    found: set[str] = set()
    queue = [start]
    while queue:
        name = queue.pop()
        new = {b for a, b in edges if a == name} - found
        found |= new
        queue.extend(new)
    return found


@given(some_order, some_edges)
def test_components_are_the_classes_of_mutual_reachability_sources_first(names: list[str], edges: Edges) -> None:
    reach = {name: reachable(edges, name) | {name} for name in names}
    found = components(names, edges)
    assert sorted(name for part in found for name in part) == sorted(names)
    for at, part in enumerate(found):
        for name in part:
            assert {other for other in names if other in reach[name] and name in reach[other]} == set(part)
        for later in found[at + 1 :]:
            assert not reach[later[0]] & set(part)


@given(some_order, some_edges, st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
def test_feedback_edges_lie_on_cycles_and_leave_none(names: list[str], edges: Edges, starts: list[str]) -> None:
    found = feedback_edges(names, edges, starts)
    assert len(set(found)) == len(found)
    for source, destination in found:
        assert (source, destination) in edges
        assert source == destination or source in reachable(edges, destination)
    left = [edge for edge in edges if edge not in found]
    assert not any(name in reachable(left, name) for name in names)


@given(some_order, some_edges)
def test_an_order_lets_every_edge_go_forward_or_names_a_cycle(names: list[str], edges: Edges) -> None:
    if any(name in reachable(edges, name) for name in names):
        with pytest.raises(GraphError, match="feedback") as caught:
            in_order(names, edges)
        path = str(caught.value.found).split(" -> ")
        assert path[0] == path[-1]
        assert all(edge in edges for edge in pairwise(path))
    else:
        place = {name: at for at, name in enumerate(in_order(names, edges))}
        assert sorted(place) == sorted(names)
        assert all(place[a] < place[b] for a, b in edges)


@given(some_order)
def test_an_order_without_edges_is_the_order_given(names: list[str]) -> None:
    assert in_order(names, []) == names


@given(some_order, some_edges)
def test_a_cycle_is_one(names: list[str], edges: Edges) -> None:
    if not any(name in reachable(edges, name) for name in names):
        with pytest.raises(ValueError, match="no cycle"):
            one_cycle(names, edges)
        return
    cycle = one_cycle(names, edges)
    assert len(set(cycle)) == len(cycle)
    assert all(edge in edges for edge in zip(cycle, [*cycle[1:], cycle[0]], strict=True))


def test_the_recurrent_weight_s_edge_is_the_feedback() -> None:
    """input -> fc1 -> lif -> w_rec -> lif: the edge back into the neuron, in whatever order the file has them."""
    edges = [("w_rec", "lif"), ("lif", "out"), ("in", "fc1"), ("lif", "w_rec"), ("fc1", "lif")]
    assert feedback_edges(["fc1", "in", "lif", "out", "w_rec"], edges, ["in"]) == (("w_rec", "lif"),)


def test_what_two_paths_reach_is_no_feedback() -> None:
    edges = [("in", "lif"), ("lif", "fc"), ("fc", "lif"), ("fc", "out")]
    assert feedback_edges(["in", "lif", "fc", "out"], edges, ["in"]) == (("fc", "lif"),)
    assert feedback_edges(["in", "a", "b"], [("in", "a"), ("in", "b"), ("a", "b")], ["in"]) == ()


def test_the_search_starts_at_the_inputs_then_in_file_order() -> None:
    edges = [("a", "b"), ("b", "a"), ("in", "b")]
    assert feedback_edges(["a", "b", "in"], edges, ["in"]) == (("a", "b"),)
    assert feedback_edges(["a", "b", "in"], edges, []) == (("b", "a"),)


def test_a_long_chain_and_a_long_cycle_need_no_deep_recursion() -> None:
    names = [str(n) for n in range(20_000)]
    chain = list(pairwise(names))
    assert in_order(names, chain) == names
    assert len(components(names, chain)) == len(names)
    cycle = [*chain, (names[-1], names[0])]
    assert feedback_edges(names, cycle, [names[0]]) == (cycle[-1],)
    assert len(components(names, cycle)) == 1


def test_a_loop_in_which_nothing_holds_a_state_is_refused() -> None:
    found, edges = [["in"], ["a", "b"], ["n", "w"]], [("a", "b"), ("b", "a"), ("n", "w"), ("w", "n")]
    refuse_algebraic_loops(found, edges, holds=lambda name: name in ("n", "b"), field=lambda name: "edges")
    with pytest.raises(AlgebraicLoopError, match="a -> b -> a") as caught:
        refuse_algebraic_loops(found, edges, holds=lambda name: name == "n", field=lambda name: "edges")
    assert caught.value.node == "a"
    with pytest.raises(AlgebraicLoopError) as caught:
        refuse_algebraic_loops(found, edges, lambda name: name == "n", lambda name: "delay" if name == "b" else "edges")
    assert (caught.value.node, caught.value.field) == ("b", "delay")
