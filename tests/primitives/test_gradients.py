"""Gradients in float64 against central differences, for every node type, parameter and the input.

Where there are spikes, the step is replaced by the function whose derivative the surrogate is: the logistic function
for the sigmoid surrogate. Everything else, the rule that uses the surrogate included, is as it always is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import graph
from jax.flatten_util import ravel_pytree

import nirjax
from nirjax import surrogate
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph
from nirjax.primitives.registry import REGISTRY

SLOPE = 3.0
STEP = 1e-5
RANDOM = np.random.default_rng(0)


def uniform(*shape: int, low: float = 0.3, high: float = 1.2) -> np.ndarray:
    return RANDOM.uniform(low, high, shape)


def neuron(cls: type[ir.NIRNode]) -> ir.NIRNode:
    """Every parameter of every neuron is another number; time constants of some steps, thresholds within reach."""
    low = {
        "tau": 2,
        "tau_syn": 2,
        "tau_mem": 3,
        "r": 1,
        "w_in": 0.5,
        "v_threshold": 0.5,
        "v_leak": -0.2,
        "v_reset": -0.3,
    }
    return cls(**{name: uniform(2, low=low[name], high=low[name] + 1) for name in cls.parameter_names()})


CONV = {"stride": 1, "padding": "same", "dilation": 1, "groups": 2}
EXAMPLES: dict[type[ir.NIRNode], tuple[ir.NIRNode, tuple[int, ...]]] = {
    ir.Input: (ir.Input((2,)), (2,)),
    ir.Output: (ir.Output((2,)), (2,)),
    ir.Affine: (ir.Affine(uniform(3, 2), uniform(3)), (2,)),
    ir.Linear: (ir.Linear(uniform(2, 3, 2)), (2, 2)),
    ir.Scale: (ir.Scale(uniform(2)), (2,)),
    ir.Conv1d: (ir.Conv1d(4, uniform(2, 1, 2), bias=uniform(2), **CONV), (2, 4)),
    ir.Conv2d: (ir.Conv2d((3, 2), uniform(2, 1, 2, 2), bias=uniform(2), **CONV), (2, 3, 2)),
    ir.SumPool2d: (ir.SumPool2d((2, 2), (1, 2), (1, 0)), (1, 3, 2)),
    ir.AvgPool2d: (ir.AvgPool2d((2, 2), (1, 2), (1, 0)), (1, 3, 2)),
    ir.Flatten: (ir.Flatten((2, 2), 0, -1), (2, 2)),
    ir.Delay: (ir.Delay(np.array([0.4, 2.7])), (2,)),
    ir.Threshold: (ir.Threshold(uniform(2)), (2,)),
    **{cls: (neuron(cls), (2,)) for cls in (ir.LIF, ir.CubaLIF, ir.IF, ir.LI, ir.CubaLI, ir.I)},
}
SPIKING = (ir.Threshold, ir.LIF, ir.CubaLIF, ir.IF)


def test_every_node_type_is_here() -> None:
    assert set(EXAMPLES) == set(REGISTRY)


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> surrogate.Surrogate:
    """Spikes are the logistic function of the distance to the threshold, and its derivative is their surrogate.

    The surrogate is new each time, since a compiled program is looked up by it.
    """

    def logistic(comparison: str, u: jax.Array, threshold: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(SLOPE * (u - threshold))

    def derivative(x: jax.Array) -> jax.Array:
        return surrogate.sigmoid(SLOPE).derivative(x)

    monkeypatch.setattr(surrogate, "_fires", logistic)
    return surrogate.custom(derivative)


def assert_gradient_is_difference(loss: Callable[[jax.Array], jax.Array], point: Any) -> jax.Array:
    """The gradient at a point, once it is found equal to central differences."""
    both = jax.jit(jax.value_and_grad(loss))
    numeric = [(both(point + step)[0] - both(point - step)[0]) / (2 * STEP) for step in STEP * np.eye(point.size)]
    gradient = both(point)[1]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-8)
    return gradient


def check(made: NIRGraph, shape: tuple[int, ...], **choices: Any) -> nirjax.Model:
    """The gradient with respect to every parameter, the initial state and the input, of output and last state."""
    model = nirjax.from_nir(made, dt=1, dtype="float64", **choices)
    x = uniform(4, *shape, low=-0.5, high=1.5)
    state = jax.tree.map(lambda leaf: leaf + uniform(*leaf.shape, low=0, high=0.4), model.init_state())
    point, unravel = ravel_pytree((model.params, state, x))

    def loss(point: jax.Array) -> jax.Array:
        params, state, x = unravel(point)
        y, last = model.replace(params=params)(x, state)
        held = sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(last))
        return jnp.sum(jnp.sin(y + jnp.arange(y.size).reshape(y.shape))) + held

    params, _, inputs = unravel(assert_gradient_is_difference(loss, np.asarray(point)))
    assert all(np.count_nonzero(leaf) for leaf in jax.tree.leaves((params, inputs)))
    return model


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("cls", EXAMPLES, ids=lambda cls: cls.__name__)
def test_the_gradient_is_the_finite_difference(cls: type[ir.NIRNode], smooth: surrogate.Surrogate) -> None:
    node, shape = EXAMPLES[cls]
    made = graph({"in": ir.Input(shape), "n": node, "out": ir.Output(node.gives(shape))}, "in n out")
    if cls in (ir.Input, ir.Output):  # as a subgraph's port, where they are nodes like any other
        inner = graph({"in": ir.Input(shape), "out": ir.Output(shape)}, "in out")
        made = graph({"in": ir.Input(shape), "n": inner, "out": ir.Output(shape)}, "in n out")
    choices = {"surrogate": smooth} if cls in SPIKING else {}
    model = check(made, shape, **choices)
    assert set(model.params.get("n", {})) == set(cls.parameter_names())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("cls", [ir.CubaLIF, ir.LI, ir.CubaLI], ids=lambda cls: cls.__name__)
def test_the_gradient_of_the_closed_form(cls: type[ir.NIRNode], smooth: surrogate.Surrogate) -> None:
    node, shape = EXAMPLES[cls]
    made = graph({"in": ir.Input(shape), "n": node, "out": ir.Output(shape)}, "in n out")
    check(made, shape, dialect="exact", surrogate=smooth)


@pytest.mark.usefixtures("x64")
def test_the_gradient_of_the_closed_form_at_equal_time_constants(smooth: surrogate.Surrogate) -> None:
    fields = {name: getattr(EXAMPLES[ir.CubaLI][0], name) for name in ir.CubaLI.parameter_names()}
    node = ir.CubaLI(**{**fields, "tau_syn": np.array([2.0, 3.0]), "tau_mem": np.array([2.0, 3.005])})
    check(graph({"in": ir.Input((2,)), "n": node, "out": ir.Output((2,))}, "in n out"), (2,), dialect="exact")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_the_gradient_of_other_resets_and_orders(reset: str, smooth: surrogate.Surrogate) -> None:
    node, shape = EXAMPLES[ir.LIF]
    order = ("fire", "integrate", "reset", "fire") if reset == "subtract" else ("integrate", "fire", "reset")
    made = graph({"in": ir.Input(shape), "n": node, "out": ir.Output(shape)}, "in n out")
    rule = {"n": {"reset": reset, "order": order}}
    model = nirjax.from_nir(made, dt=1, dtype="float64", surrogate=smooth, overrides=rule)
    x = uniform(4, 2, low=0, high=2)

    def loss(tau: Any) -> jax.Array:
        return jnp.sum(jnp.sin(model.replace(params={"n": {**model.params["n"], "tau": tau}})(x)[0]))

    assert_gradient_is_difference(loss, np.asarray(node.tau))


@pytest.mark.usefixtures("x64")
def test_the_gradient_through_a_cycle_with_a_delay(smooth: surrogate.Surrogate) -> None:
    """A delay, a neuron inside and one outside, two blocks and a rest."""
    nodes = {"in": ir.Input((2,)), "a": neuron(ir.CubaLIF), "rec": ir.Affine(uniform(2, 2), uniform(2))}
    nodes |= {"d": ir.Delay(np.array([1.3, 2.2])), "b": neuron(ir.LIF), "out": ir.Output((2,))}
    check(graph(nodes, "in a rec a", "a d a", "a b out"), (2,), surrogate=smooth, schedule=2)


@pytest.mark.usefixtures("x64")
def test_the_gradient_through_a_register_at_rest(smooth: surrogate.Surrogate) -> None:
    """What a feedback edge carries at the start hangs on the bias."""
    nodes = {"in": ir.Input((2,)), "a": neuron(ir.LIF), "rec": ir.Affine(uniform(2, 2), uniform(2))}
    made = graph(nodes | {"out": ir.Output((2,))}, "in a rec a", "a out")
    model = nirjax.from_nir(made, dt=1, dtype="float64", surrogate=smooth)
    x = uniform(2, 2)

    def loss(bias: Any) -> jax.Array:
        return jnp.sum(model.replace(params={**model.params, "rec": {**model.params["rec"], "bias": bias}})(x)[0])

    assert_gradient_is_difference(loss, np.asarray(made.nodes["rec"].bias))


def test_the_smooth_step_is_gone() -> None:
    assert surrogate.spike(jnp.float32(0.5), jnp.float32(0.4), surrogate.atan()) == 1
