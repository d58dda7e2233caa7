"""From a graph to a plan: stages, feedback, ports, shapes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nirjax
from engine.graphs import affine, conv2d, filled, graph, if_, lif, linear, ports, spikes
from nirjax.errors import (
    AlgebraicLoopError,
    GraphError,
    NIRWarning,
    ParameterError,
    PatternError,
    ShapeError,
    UnknownNodeError,
    UnsupportedByTarget,
)
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph
from nirjax.primitives.base import Primitive


def stages(model: nirjax.Model) -> list[tuple[tuple[str, ...], bool]]:
    return [(stage.members, stage.cyclic) for stage in model.program.plan.stages]


def recurrent() -> NIRGraph:
    nodes = {**ports(), "fc": affine(), "lif": lif(), "rec": affine(seed=5), "fc2": affine(seed=2)}
    return graph(nodes, "in fc lif fc2 out", "lif rec lif")


# ---------------------------------------------------------------------------------------------- stages and cycles


def test_each_component_is_a_stage_in_the_order_of_execution() -> None:
    model = nirjax.from_nir(recurrent(), dt=1)
    one, cycle = (("fc",), False), (("lif", "rec"), True)
    assert stages(model) == [(("in",), False), one, cycle, (("fc2",), False), (("out",), False)]
    assert model.feedback == (("rec", "lif"),)


def test_the_order_of_nodes_and_edges_in_the_file_changes_no_number() -> None:
    made = recurrent()
    x = spikes(8, 3)
    expected, _ = nirjax.from_nir(made, dt=1)(x)
    rng = np.random.default_rng(0)
    for _ in range(3):
        names, edges = rng.permutation(list(made.nodes)), [made.edges[at] for at in rng.permutation(len(made.edges))]
        model = nirjax.from_nir(NIRGraph({str(name): made.nodes[str(name)] for name in names}, edges), dt=1)
        assert model.feedback == (("rec", "lif"),)
        np.testing.assert_array_equal(model(x)[0], expected)


def test_what_the_feedback_argument_says_is_what_is_delayed() -> None:
    """in -> a -> b -> a with neurons that add up: the edge a -> b may be the late one as well as b -> a."""
    nodes = {**ports((1,)), "a": if_(1, v_threshold=0.9), "b": if_(1, v_threshold=0.9)}
    model = nirjax.from_nir(graph(nodes, "in a b out", "b a"), dt=1)
    x = np.eye(6, 1)
    assert model.feedback == (("b", "a"),)
    np.testing.assert_array_equal(np.flatnonzero(model(x)[0]), range(6))
    other = nirjax.from_nir(model.graph, dt=1, feedback=[("a", "b")])
    assert other.feedback == (("a", "b"),)
    np.testing.assert_array_equal(np.flatnonzero(other(x)[0]), range(1, 6))
    both = nirjax.from_nir(model.graph, dt=1, feedback=[("a", "b"), ("b", "a")])
    np.testing.assert_array_equal(np.flatnonzero(both(x)[0]), [1, 3, 5])


def test_a_feedback_edge_that_is_none_lists_the_edges() -> None:
    with pytest.raises(PatternError, match=r"'rec', 'lif'") as caught:
        nirjax.from_nir(recurrent(), dt=1, feedback=[("lif", "in")])
    assert caught.value.field == "feedback"


def test_a_feedback_choice_that_leaves_a_loop_names_it() -> None:
    with pytest.raises(GraphError, match=r"lif -> rec -> lif|rec -> lif -> rec"):
        nirjax.from_nir(recurrent(), dt=1, feedback=[])


def test_a_feedback_edge_off_every_cycle_is_refused() -> None:
    """What enters a cycle from outside is computed for the whole block: a register there would not be filled."""
    with pytest.raises(GraphError, match="feedback"):
        nirjax.from_nir(recurrent(), dt=1, feedback=[("rec", "lif"), ("fc2", "out")])


def test_a_delay_s_edge_needs_no_register() -> None:
    nodes = {**ports(), "lif": lif(), "delay": ir.Delay(np.float32([1, 2, 3]))}
    model = nirjax.from_nir(graph(nodes, "in lif out", "lif delay lif"), dt=1)
    assert model.feedback == ()
    assert stages(model)[1][1]


def test_a_neuron_that_fires_before_it_integrates_needs_no_register() -> None:
    made = graph({**ports(), "lif": lif()}, "in lif lif out")
    assert nirjax.from_nir(made, dt=1).feedback == (("lif", "lif"),)
    early = {"lif": {"order": ("fire", "integrate", "reset")}}
    assert nirjax.from_nir(made, dt=1, overrides=early).feedback == ()


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("inner", "nodes", "field"),
    [
        ({"a": linear(), "b": affine()}, "ab", "edges"),
        ({"a": linear(), "b": ir.Delay(np.float32([1, 0, 2]))}, "b", "delay"),
        ({"a": filled(ir.Threshold, threshold=1), "b": filled(ir.Scale, scale=1)}, "ab", "edges"),
    ],
)
def test_an_algebraic_loop_names_its_cycle(inner: dict[str, ir.NIRNode], nodes: str, field: str) -> None:
    with pytest.raises(AlgebraicLoopError, match=r"a -> b -> a|b -> a -> b") as caught:
        nirjax.from_nir(graph({**ports(), **inner}, "in a b out", "b a"), dt=1)
    assert caught.value.node in nodes
    assert caught.value.field == field


def test_a_stateless_self_loop_is_an_algebraic_loop() -> None:
    with pytest.raises(AlgebraicLoopError, match="fc -> fc"):
        nirjax.from_nir(graph({**ports(), "fc": linear()}, "in fc fc out"), dt=1)


def test_a_loop_through_a_subgraph_is_named_by_its_paths() -> None:
    inner = graph({**ports(), "w": linear()}, "in w out")
    with pytest.raises(AlgebraicLoopError, match=r"sub\.in -> sub\.w -> sub\.out"):
        nirjax.from_nir(graph({**ports(), "sub": inner}, "in sub sub out"), dt=1)


def test_an_output_that_no_input_reaches() -> None:
    made = graph({**ports(), "lif": lif(), "other": ir.Output((3,)), "b": lif()}, "in lif out", "b other")
    with pytest.raises(GraphError, match="reaches") as caught:
        nirjax.from_nir(made, dt=1)
    assert caught.value.node == "other"


def test_a_graph_whose_nodes_all_lie_on_a_cycle_has_no_place_for_ports() -> None:
    with pytest.raises(GraphError, match="no Input"):
        nirjax.from_nir(graph({"a": lif(), "b": affine()}, "a b a"), dt=1)
    with pytest.raises(GraphError, match="no Input"):
        nirjax.from_nir(NIRGraph({}), dt=1)


def test_edges_into_an_input_or_out_of_an_output() -> None:
    with pytest.raises(GraphError, match="enters an Input"):
        nirjax.from_nir(graph({**ports(), "lif": lif()}, "in lif out", "lif in"), dt=1)
    with pytest.raises(GraphError, match="leaves an Output"):
        nirjax.from_nir(graph({**ports(), "lif": lif()}, "in lif out lif"), dt=1)


@pytest.mark.parametrize(
    ("nodes", "path", "node"),
    [
        ({"fc": affine(4, 3), "lif": lif(3)}, "in fc lif out", "lif"),
        ({"fc": affine(3, 5)}, "in fc out", "fc"),
        ({"conv": conv2d()}, "in conv out", "conv"),
        ({"lif": lif(), "out": ir.Output((2,))}, "in lif out", "out"),
    ],
)
def test_shapes_that_do_not_fit_name_the_node(nodes: dict[str, ir.NIRNode], path: str, node: str) -> None:
    with pytest.raises(ShapeError) as caught:
        nirjax.from_nir(graph({**ports(), **nodes}, path), dt=1)
    assert caught.value.node == node


def test_a_shape_that_nothing_tells() -> None:
    nodes = {**ports(), "lif": lif(), "lost": ir.Scale(np.float32(2)), "sink": ir.Scale(np.float32(1))}
    with pytest.raises(ShapeError, match="not known") as caught:
        nirjax.from_nir(graph(nodes, "in lif out", "lost sink"), dt=1)
    assert caught.value.node == "lost"


def test_scalar_parameters_suit_any_shape() -> None:
    nodes = {**ports((2, 3)), "lif": lif(()), "scale": ir.Scale(np.float32(0.5))}
    x = spikes(5, 4, 2, 3)
    y, state = nirjax.from_nir(graph(nodes, "in scale lif out"), dt=1)(x)
    wide, _ = nirjax.from_nir(graph({**nodes, "lif": lif((2, 3))}, "in scale lif out"), dt=1)(x)
    assert state["lif"]["v"].shape == (4, 2, 3)
    np.testing.assert_array_equal(y, wide)


class Unknown(ir.NIRNode):
    """A node type of one's own."""

    def accepts(self) -> ir.Shape:
        return (3,)


def test_a_node_type_without_a_meaning() -> None:
    made = graph({**ports(), "mine": Unknown()}, "in mine out")
    with pytest.raises(UnknownNodeError, match="primitives=") as caught:
        nirjax.from_nir(made, dt=1)
    assert (caught.value.node, caught.value.found) == ("mine", "Unknown")
    model = nirjax.from_nir(made, dt=1, primitives=[Primitive(Unknown, apply=lambda site, params, x: 3 * x)])
    np.testing.assert_array_equal(model(np.ones((2, 3)))[0], np.full((2, 3), 3))


# ------------------------------------------------------------------------------------------------ ports and names


def test_ports_are_added_where_there_are_none() -> None:
    bare = graph({"fc": affine(2, 3), "lif": lif(2), "readout": affine(4, 2)}, "fc lif", "fc readout")
    model = nirjax.from_nir(bare, dt=1)
    y, _ = model(spikes(5, 3))
    assert {name: value.shape for name, value in y.items()} == {"output_lif": (5, 2), "output_readout": (5, 4)}
    assert model.program.plan.inputs == ("input_fc",)
    assert model.graph is bare


def test_ports_are_added_behind_nodes_whose_names_look_like_ports() -> None:
    bare = graph({"fc": affine(), "input_layer": lif()}, "fc input_layer")
    y, _ = nirjax.from_nir(bare, dt=1)(spikes(5, 3))
    assert y.shape == (5, 3)


def test_ports_are_added_beside_nodes_that_have_their_names() -> None:
    two = graph({"a": lif(), "input_a": linear(), "sum": lif(), "out": ir.Output((3,))}, "a sum out", "input_a sum")
    model = nirjax.from_nir(two, dt=1)
    assert len(model.program.plan.inputs) == 2
    assert "input_a.weight" in model.parameters


def test_a_port_whose_shape_is_not_known() -> None:
    with pytest.raises(GraphError, match="not known") as caught:
        nirjax.from_nir(graph({"s": ir.Scale(np.float32(2)), "lif": lif(), "out": ir.Output((3,))}, "s lif out"), dt=1)
    assert caught.value.node == "s"


def test_an_exact_name_wins_over_a_path() -> None:
    """The top level has a node `sub.lif`, and the subgraph `sub` a node `lif`: the deeper one gets a slash."""
    inner = graph({**ports(), "lif": lif()}, "in lif out")
    made = graph({**ports(), "sub": inner, "sub.lif": lif(r=4)}, "in sub sub.lif out")
    model = nirjax.from_nir(made, dt=1)
    assert model.params["sub.lif"]["r"][0] == 4
    assert model.params["sub/lif"]["r"][0] == 2


def test_an_edge_that_appears_twice_acts_once_with_a_warning() -> None:
    with pytest.warns(NIRWarning, match="twice"):
        made = graph({**ports(), "li": filled(ir.LI, tau=2, r=2, v_leak=0)}, "in li out", "in li")
    y, _ = nirjax.from_nir(made, dt=1)(np.ones((1, 3)))
    np.testing.assert_array_equal(y, [[1, 1, 1]])


# ------------------------------------------------------------------------------------------- time steps and delays


@pytest.mark.parametrize(("field", "changes"), [("tau_mem", {"tau_mem": 0.9}), ("tau_syn", {"tau_syn": 0.5})])
def test_a_time_constant_shorter_than_the_step(field: str, changes: dict[str, float]) -> None:
    neuron = {"tau_syn": 2, "tau_mem": 2, "r": 1, "v_leak": 0, "w_in": 1} | changes
    made = graph({**ports(), "li": filled(ir.CubaLI, **neuron)}, "in li out")
    with pytest.warns(NIRWarning, match=rf"'li', field '{field}'.*shorter than the time step"):
        nirjax.from_nir(made, dt=1)
    nirjax.from_nir(made, dt=0.5)
    nirjax.from_nir(made, dt=1, dialect="exact")


def test_a_time_constant_of_one_step_is_no_surprise() -> None:
    made = graph({**ports(), "li": filled(ir.LI, tau=1e-3, r=1, v_leak=0)}, "in li out")
    y, _ = nirjax.from_nir(made, dt=1e-3)(np.eye(3))
    np.testing.assert_allclose(y, np.eye(3), atol=1e-6)


def test_an_exporter_that_multiplied_time_by_dt() -> None:
    made = graph({**ports(), "li": filled(ir.LI, tau=2e-6, r=2, v_leak=0)}, "in li out")
    model = nirjax.from_nir(made, dt=1e-3, dialect=nirjax.Dialect("scaled", time_unit="dt"))
    np.testing.assert_allclose(model(np.eye(3))[0][:, 0], [1, 0.5, 0.25], rtol=1e-6)


def test_a_delay_that_is_too_long_to_hold() -> None:
    made = graph({**ports(), "d": ir.Delay(np.float32([1, 2, 3000]))}, "in d out")
    with pytest.raises(ParameterError, match="too long") as caught:
        nirjax.from_nir(made, dt=1e-4)
    assert (caught.value.node, caught.value.field) == ("d", "delay")
    nirjax.from_nir(made, dt=1e-4, max_delay=0.1)


# ------------------------------------------------------------------------------------------- dialects of one node


def test_an_override_changes_the_nodes_that_it_matches() -> None:
    made = graph({**ports(), "a": lif(), "b": lif()}, "in a out", "in b out")
    model = nirjax.from_nir(made, dt=1, overrides={"a": {"reset": "subtract"}})
    run = model.run(np.full((3, 3), 1.25), record="*.v")
    np.testing.assert_array_equal(run.traces["a.v"][0], [0.25] * 3)
    np.testing.assert_array_equal(run.traces["b.v"][0], [0] * 3)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"c": {"reset": "zero"}}, PatternError, "one of.*'a', 'b'"),
        ({"in": {"reset": "zero"}}, PatternError, "one of.*'a', 'b'"),
        ({"a": {"reset": "zero"}, "*": {"comparison": ">="}}, PatternError, "two overrides"),
        ({"a": {"resett": "zero"}}, nirjax.ArgumentError, "reset"),
        ({"a": {"reset": "none at all"}}, nirjax.ArgumentError, "subtract"),
    ],
)
def test_an_override_that_cannot_be(overrides: Any, error: type[Exception], message: str) -> None:
    made = graph({**ports(), "a": lif(), "b": lif()}, "in a out", "in b out")
    with pytest.raises(error, match=message):
        nirjax.from_nir(made, dt=1, overrides=overrides)


def test_a_node_that_a_dialect_refuses() -> None:
    made = graph({**ports(), "a": lif()}, "in a out")
    with pytest.raises(UnsupportedByTarget) as caught:
        nirjax.from_nir(made, dt=1, dialect=nirjax.Dialect("picky", refused=frozenset({"LIF"})))
    assert caught.value.node == "a"
