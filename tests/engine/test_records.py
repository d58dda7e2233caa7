"""Patterns on names."""

import numpy as np
import pytest

import nirjax
from engine.graphs import affine, cubalif, filled, graph, lif, ports, spikes
from nirjax.errors import PatternError
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph
from nirjax.ir.patterns import matching

NAMES = ["a.v", "a.spikes", "sub.b.v", "sub.b.i", "sub.b.spikes"]


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ("a.v", ["a.v"]),
        (["*.v"], ["a.v", "sub.b.v"]),
        (["sub.b.i", "a.*"], ["a.v", "a.spikes", "sub.b.i"]),
        (["*", "!sub.*"], ["a.v", "a.spikes"]),
        (["*", "!sub.*", "sub.b.i"], ["a.v", "a.spikes", "sub.b.i"]),
        (["*.[vi]"], ["a.v", "sub.b.v", "sub.b.i"]),
        ([], []),
    ],
)
def test_patterns_choose_in_the_order_of_the_names(patterns: list[str] | str, chosen: list[str]) -> None:
    assert list(matching(patterns, NAMES, argument="record")) == chosen


@pytest.mark.parametrize("pattern", ["v", "A.v", "a", "*.w", "!*.w"])
def test_a_pattern_that_matches_nothing_lists_the_names(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        matching(["*", pattern], NAMES, argument="record")
    assert (caught.value.field, caught.value.found) == ("record", pattern)
    assert all(name in str(caught.value) for name in NAMES)
    assert isinstance(caught.value, KeyError)


def inner() -> NIRGraph:
    return graph({**ports(), "fc": affine(), "b": cubalif()}, "in fc b out")


def model() -> nirjax.Model:
    return nirjax.from_nir(graph({**ports(), "a": lif(), "sub": inner()}, "in a sub out"), dt=1)


def test_the_names_of_a_model_reach_into_its_subgraphs() -> None:
    assert model().variables == (
        *("in.output", "out.output", "a.v", "a.spikes", "a.output"),
        *("sub.in.output", "sub.out.output", "sub.fc.output", "sub.b.v", "sub.b.i", "sub.b.spikes", "sub.b.output"),
    )
    assert model().parameters[:3] == ("a.tau", "a.r", "a.v_leak")
    assert "sub.fc.weight" in model().parameters


def test_traces_hold_what_the_state_holds_after_each_step() -> None:
    x = spikes(6, 2, 3)
    run = model().run(x, record=["*.v", "*.i", "*.spikes", "*.output"])
    state = None
    for t in range(len(x)):
        y, state = model()(x[t : t + 1], state)
        for name in ("a", "sub.b"):
            for variable, value in state[name].items():
                np.testing.assert_array_equal(run.traces[f"{name}.{variable}"][t], value)
        np.testing.assert_array_equal(run.traces["sub.b.spikes"][t], y[0])
    assert set(run.traces) == set(model().variables)
    np.testing.assert_array_equal(run.traces["in.output"], x)
    np.testing.assert_array_equal(run.traces["out.output"], run.output)


def test_an_empty_record_gives_no_traces() -> None:
    assert model().run(spikes(2, 3)).traces == {}


def test_an_unknown_trace_lists_what_there_is() -> None:
    with pytest.raises(PatternError, match=r"a\.spikes.*sub\.b\.i"):
        model().run(spikes(2, 3), record=["a.current"])


def test_a_spikeless_neuron_has_no_spikes_to_record() -> None:
    made = graph({**ports(), "li": filled(ir.LI, tau=2, r=1, v_leak=0)}, "in li out")
    assert "li.spikes" not in nirjax.from_nir(made, dt=1).variables
