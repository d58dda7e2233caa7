"""How a plan runs: any topology, any block length, in one piece or in chunks, loops only where there is a cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

import nirjax
from engine import graphs
from engine.graphs import affine, filled, graph, if_, lif, linear, ports, spikes
from engine.topologies import (
    TOPOLOGIES,
    chain,
    convolutional,
    delay_in_a_cycle,
    feed_forward_delay,
    nested_ports,
    recurrent,
    recurrent_with_delay,
    several_ports,
    skip,
)
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph
from nirjax.primitives.base import Primitive

Build = Callable[[], NIRGraph]


def inputs_of(made: NIRGraph, time: int = 12, batch: tuple[int, ...] = (2,)) -> Any:
    x = {name: spikes(time, *batch, *node.shape, seed=at) for at, (name, node) in enumerate(made.inputs.items())}
    return x if len(x) > 1 else next(iter(x.values()))


@pytest.mark.parametrize("build", TOPOLOGIES, ids=lambda build: build.__name__)
def test_any_topology(build: Build) -> None:
    made = build()
    x = inputs_of(made)
    expected, traces = oracle.run(graphs.as_dict(made), x, dt=1.0, record=True)
    run = nirjax.from_nir(made, dt=1).run(x, record="*.output")
    assert {name for name in traces if name.endswith(".output")} == set(run.traces)
    for name, trace in run.traces.items():
        np.testing.assert_allclose(trace, traces[name], rtol=1e-6, atol=1e-6, err_msg=name)
    assert jax.tree.structure(run.output) == jax.tree.structure(expected)
    assert 0.01 <= np.mean([traces[name].mean() for name in traces if name.endswith(".spikes")]) <= 0.6


# ------------------------------------------------------------------------------------ blocks, chunks, steps, folds


CUT = [feed_forward_delay, recurrent_with_delay, convolutional, chain, delay_in_a_cycle]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("build", CUT[:3], ids=lambda build: build.__name__)
def test_no_number_depends_on_the_block_length(build: Build) -> None:
    """Output, state and gradients, bit for bit: all numbers are short enough in binary that nothing is rounded."""
    made = build()
    x = inputs_of(made, time=7)
    model = nirjax.from_nir(made, dt=1, dtype="float64", surrogate=nirjax.surrogate.boxcar(2))
    weights = graphs.on_grid((7, 2, 3), seed=9)

    def loss(model: nirjax.Model, x: jax.Array) -> Any:
        y, state = model(x)
        return jnp.sum(y * weights), (y, state)

    def run(schedule: nirjax.Schedule) -> Any:
        differentiated = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        (_, aux), gradients = differentiated(model.replace(schedule=schedule), x)
        return aux, gradients[0].params, gradients[1]

    whole = run(nirjax.Schedule(None, recompute=False))
    assert all(np.count_nonzero(leaf) for leaf in jax.tree.leaves(whole[1:]))
    for block in (3,) if build is convolutional else (1, 3):
        jax.tree.map(np.testing.assert_array_equal, run(nirjax.Schedule(block)), whole)


@pytest.mark.parametrize("build", CUT, ids=lambda build: build.__name__)
def test_chunks_of_any_length_give_what_one_run_gives(build: Build) -> None:
    made = build()
    x = inputs_of(made, time=20, batch=())
    model = nirjax.from_nir(made, dt=1)
    record = [name for name in model.variables if not name.endswith(".output")]
    whole = model.run(x, record=record)
    rng = np.random.default_rng(3)
    parts, state, at = [], None, 0
    while at < len(x):
        length = int(rng.choice([1, 3]))
        parts.append(model.run(x[at : at + length], state, record=record))
        state, at = parts[-1].state, at + length
    np.testing.assert_array_equal(np.concatenate([part.output for part in parts]), whole.output)
    jax.tree.map(np.testing.assert_array_equal, state, whole.state)
    for name, trace in whole.traces.items():
        np.testing.assert_array_equal(np.concatenate([part.traces[name] for part in parts]), trace, err_msg=name)


@pytest.mark.parametrize("build", [delay_in_a_cycle, several_ports], ids=lambda build: build.__name__)
def test_single_steps_give_what_one_run_gives(build: Build) -> None:
    made = build()
    x = inputs_of(made)
    model = nirjax.from_nir(made, dt=1)
    expected, last = model(x)
    state, ys = model.init_state((2,)), []
    for t in range(12):
        y, state = model.step(jax.tree.map(lambda one, t=t: one[t], x), state)
        ys.append(y)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda *y: np.stack(y), *ys), expected)
    jax.tree.map(np.testing.assert_array_equal, state, last)


@pytest.mark.parametrize("block", [1, 5, None])
def test_a_fold_is_the_reduction_of_the_whole(block: int | None) -> None:
    x = inputs_of(recurrent())
    model = nirjax.from_nir(recurrent(), dt=1, schedule=nirjax.Schedule(block))
    y, last = model(x)
    (count, high), state = model.fold(
        x, lambda carry, ys: (carry[0] + ys.sum(0), jnp.maximum(carry[1], ys.max())), (jnp.zeros((2, 3)), jnp.zeros(()))
    )
    np.testing.assert_array_equal(count, y.sum(0))
    assert high == y.max()
    jax.tree.map(np.testing.assert_array_equal, state, last)


def test_a_fold_stacks_nothing_over_time() -> None:
    model = nirjax.from_nir(recurrent(), dt=1, schedule=10)
    x = jax.ShapeDtypeStruct((1000, 3), jnp.float32)
    folded = jax.make_jaxpr(lambda x: model.fold(x, lambda carry, ys: carry + ys.sum(0), jnp.zeros(3)))(x)
    shapes = [variable.aval.shape for eqn, _ in equations(folded.jaxpr) for variable in eqn.outvars]
    assert not [shape for shape in shapes if int(np.prod(shape)) >= 3000 and shape != (100, 10, 3)]  # x itself, cut


# ------------------------------------------------------------------------------------------ what the loops contain


def equations(jaxpr: Any, trips: int = 1) -> Iterator[tuple[Any, int]]:
    """Every equation, inner ones included, and how often it is run."""
    for eqn in jaxpr.eqns:
        yield eqn, trips
        inner = trips * eqn.params["length"] if eqn.primitive.name == "scan" else trips
        for value in jax.tree.leaves(list(eqn.params.values()), is_leaf=is_jaxpr):
            if is_jaxpr(value):
                yield from equations(getattr(value, "jaxpr", value), inner)


def is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


PRODUCTS = ("dot_general", "channels_last_convolution", "conv_general_dilated")


def products(function: Callable[..., Any], *arguments: Any) -> list[int]:
    """How often each matrix product or convolution is run."""
    found = equations(jax.make_jaxpr(function)(*arguments).jaxpr)
    return sorted(trips for eqn, trips in found if eqn.primitive.name in PRODUCTS)


@pytest.mark.parametrize(("block", "blocks"), [(None, 1), (20, 5), (1, 100)])
@pytest.mark.parametrize("build", [skip, convolutional, nested_ports], ids=lambda build: build.__name__)
def test_a_feed_forward_graph_multiplies_once_a_block(build: Build, block: int | None, blocks: int) -> None:
    made = build()
    model = nirjax.from_nir(made, dt=1, schedule=nirjax.Schedule(block))
    x = jax.ShapeDtypeStruct((100, 2, *next(iter(made.inputs.values())).shape), jnp.float32)
    matrices = sum(name.endswith(".weight") for name in model.parameters)
    assert products(model, x) == [blocks] * matrices
    backward = products(jax.grad(lambda model, x: model(x)[0].sum()), model, x)
    assert set(backward) == {blocks}


@pytest.mark.parametrize("build", TOPOLOGIES, ids=lambda build: build.__name__)
def test_loops_as_kernels_and_late_biases_change_nothing(build: Build) -> None:
    """Outputs, and gradients of all parameters, are those of plain scans with each bias where the graph has it."""
    made = build()
    fused, plain = (nirjax.from_nir(made, dt=1, schedule=nirjax.Schedule(None, fused=f)) for f in ("auto", "never"))
    x = {name: spikes(6, 2, *node.shape) for name, node in made.inputs.items()}

    def loss(model: nirjax.Model) -> jax.Array:
        found = jax.tree.leaves(model(x)[0])
        return sum(jnp.sum(y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)) for y in found)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-5), fused(x)[0], plain(x)[0])
    gradients = jax.jit(jax.grad(loss))(fused), jax.jit(jax.grad(loss))(plain)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-4), gradients[0].params, gradients[1].params)


@pytest.mark.parametrize(("block", "blocks"), [(None, 1), (20, 5)])
def test_a_recurrent_graph_multiplies_every_step_only_in_its_cycle(block: int | None, blocks: int) -> None:
    nodes = {**ports(), "fc": affine(), "lif": lif(), "rec": affine(seed=5), "fc2": affine(seed=2), "lif2": lif()}
    made = graph(nodes, "in fc lif fc2 lif2 out", "lif rec lif")
    model = nirjax.from_nir(made, dt=1, schedule=nirjax.Schedule(block, fused="never"))
    x = jax.ShapeDtypeStruct((100, 3), jnp.float32)
    assert products(model, x, model.init_state()) == [blocks, blocks, 100]
    assert products(model, x) == sorted([1, blocks, blocks, 100])  # and once, what the feedback carries at rest


@pytest.mark.parametrize("build", TOPOLOGIES, ids=lambda build: build.__name__)
def test_the_program_does_not_grow_with_time(build: Build) -> None:
    made = build()

    def size(schedule: int | str, time: int) -> int:
        model = nirjax.from_nir(made, dt=1, schedule=schedule)
        x = {name: jax.ShapeDtypeStruct((time, *node.shape), jnp.float32) for name, node in made.inputs.items()}
        return len(list(equations(jax.make_jaxpr(model)(x).jaxpr)))

    assert size("auto", 10) == size("auto", 1000)
    assert size(16, 32) == size(16, 1600)


def test_a_shape_is_traced_once() -> None:
    traced = []

    def counted(site: Any, params: Any, x: Any) -> Any:
        traced.append(x.shape)
        return params["scale"] * x

    made = graph({**ports(), "gain": filled(ir.Scale, scale=2), "lif": lif()}, "in gain lif out")
    model = nirjax.from_nir(made, dt=1, primitives=[Primitive(ir.Scale, apply=counted)])
    other = model.replace(params=jax.tree.map(lambda leaf: leaf * 2, model.params))
    for _ in range(2):
        _, state = model(spikes(5, 3))
        other(spikes(5, 3, seed=1))
        model(spikes(5, 3), state)
        model(spikes(5, 3, seed=2), state)
    assert traced == [(5, 3), (5, 3)]  # without and with a state
    model(spikes(6, 3))
    assert len(traced) == 3


def test_recording_nothing_costs_nothing() -> None:
    model = nirjax.from_nir(recurrent(), dt=1)
    x = jax.ShapeDtypeStruct((10, 3), jnp.float32)
    plain = jax.make_jaxpr(lambda x: model(x)[0])(x)
    assert str(jax.make_jaxpr(lambda x: model.run(x, record=()).output)(x)) == str(plain)
    (loop,) = [eqn for eqn, _ in equations(plain.jaxpr) if eqn.primitive.name == "time_loop"]
    assert [v.aval.shape for v in loop.outvars if v.aval.shape[0] == 10] == [(10, 3)]  # the spikes alone are stacked
    more = jax.make_jaxpr(lambda x: model.run(x, record="lif.v").traces)(x)
    (loop,) = [eqn for eqn, _ in equations(more.jaxpr) if eqn.primitive.name == "time_loop"]
    assert [v.aval.shape for v in loop.outvars if v.aval.shape[0] == 10] == [(10, 3), (10, 3)]


# ------------------------------------------------------------------------------- what a feedback edge carries when


def integrator(**changes: float) -> NIRGraph:
    """in -> n -> out with n -> w -> n, where n adds up its input and w(0) = 0.5."""
    w = ir.Affine(np.float32([[4]]), np.float32([0.5]))
    return graph({**ports((1,)), "n": if_(1, **{"v_threshold": 9} | changes), "w": w}, "in n out", "n w n")


def test_a_register_starts_at_rest() -> None:
    """A recurrent bias acts at the first step; under a dialect whose registers start at zero, one step later."""
    model = nirjax.from_nir(integrator(), dt=1)
    assert model.feedback == (("w", "n"),)
    np.testing.assert_array_equal(model.init_state()["w -> n"]["register"], [0.5])
    v = model.run(np.zeros((4, 1)), record="n.v").traces["n.v"]
    np.testing.assert_array_equal(v[:, 0], [0.5, 1, 1.5, 2])
    zero = nirjax.Dialect("zero", registers="zero")
    v = model.replace(dialect=zero).run(np.zeros((4, 1)), record="n.v").traces["n.v"]
    np.testing.assert_array_equal(v[:, 0], [0, 0.5, 1, 1.5])


def test_rest_is_looked_for_through_stateless_nodes() -> None:
    """What is at rest in front of the edge: Linear(Affine(0)) + the start of a leaky integrator, no spikes."""
    nodes = {**ports((1,)), "n": lif(1), "a": ir.Affine(np.float32([[1]]), np.float32([0.5]))}
    nodes |= {"b": ir.Linear(np.float32([[3]])), "li": filled(ir.LI, 1, tau=2, r=2, v_leak=7)}
    made = graph(nodes, "in n out", "n a b n", "n li b")
    start = nirjax.from_nir(made, dt=1).init_state((2,))
    np.testing.assert_array_equal(start["b -> n"]["register"], np.full((2, 1), 1.5))
    rule = {"li": {"start": "v_leak"}}
    start = nirjax.from_nir(made, dt=1, overrides=rule).init_state()
    np.testing.assert_array_equal(start["b -> n"]["register"], [1.5 + 3 * 7])


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_a_delay_in_a_cycle_costs_itself(delay: float) -> None:
    """A neuron's spike comes back to it the delay later, and no register adds a step."""
    nodes = {**ports((1,)), "n": if_(1, v_threshold=0.9), "d": ir.Delay(np.float32([delay]))}
    model = nirjax.from_nir(graph(nodes, "in n out", "n d n"), dt=1)
    assert model.feedback == ()
    y, _ = model(np.eye(12, 1))
    np.testing.assert_array_equal(np.flatnonzero(y), np.arange(0, 12, delay))


def test_a_delay_of_less_than_a_step_in_a_cycle_needs_a_register_besides() -> None:
    nodes = {**ports((1,)), "n": if_(1, v_threshold=0.9), "d": ir.Delay(np.float32([0.75])), "w": linear(1, 1)}
    made = graph(nodes | {"w": ir.Linear(np.float32([[4]]))}, "in n out", "n d w n")
    model = nirjax.from_nir(made, dt=1)
    assert model.feedback == (("w", "n"),)
    v = model.run(np.eye(3, 1), record=["w.output"]).traces["w.output"]
    np.testing.assert_array_equal(v[:, 0], [1, 4, 4])  # a quarter of the present spike, three quarters of the last
