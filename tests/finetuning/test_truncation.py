"""Truncated backpropagation: the gradient of a loop over single steps whose state is cut off at every K-th."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine.graphs import affine, filled, graph, lif, ports

import nirjax
from finetuning.tasks import data
from finetuning.tasks import model as feedforward
from nirjax.errors import ArgumentError
from nirjax.finetuning import losses
from nirjax.ir import nodes as ir

STEPS = 7


def recurrent() -> nirjax.Model:
    """A cycle, whose register starts at a bias, and a readout that starts at its leak."""
    nodes = {
        **ports(),
        "fc": affine(),
        "lif": lif(tau=4),
        "back": affine(seed=1),
        "li": filled(ir.LI, 3, tau=3, r=1, v_leak=0.2),
    }
    edges = "in fc lif li out", "lif back lif"
    return nirjax.from_nir(graph(nodes, *edges), dt=1, surrogate=nirjax.surrogate.fast_sigmoid(1))


def by_hand(model: nirjax.Model, x: Any, window: int) -> Any:
    """All outputs, step by step, the state cut off before every step whose number is a multiple of the window."""

    def advance(state: Any, given: Any) -> Any:
        cut, x_t = given
        state = jax.tree.map(lambda s: jnp.where(cut, jax.lax.stop_gradient(s), s), state)
        y, state = model.step(x_t, state)
        return state, y

    number = np.arange(len(x))
    _, outputs = jax.lax.scan(advance, model.init_state(x.shape[1:2]), ((number > 0) & (number % window == 0), x))
    return outputs


def objective(output: Any) -> Any:
    """Sees every step of every neuron differently, and not linearly."""
    weights = jnp.asarray(np.random.default_rng(1).normal(size=output.shape), output.dtype)
    return jnp.tanh((weights * output).sum(0)).sum() + (output**2).sum()


@pytest.mark.parametrize(("window", "recompute"), [(1, True), (3, True), (3, False), (STEPS - 1, False), (100, True)])
def test_the_gradient_is_that_of_steps_with_a_cut_at_every_window(window: int, recompute: bool) -> None:
    model = recurrent()
    x = np.random.default_rng(0).normal(0.5, 1, (STEPS, 2, 3)).astype(np.float32)
    schedule = nirjax.Schedule(window, recompute=recompute, truncate=True)

    def loss(params: Any) -> Any:
        return objective(model.replace(params=params, schedule=schedule)(x)[0])

    def wanted(params: Any) -> Any:
        return objective(by_hand(model.replace(params=params), x, window))

    value, gradient = jax.jit(jax.value_and_grad(loss))(model.params)
    expected_value, expected = jax.jit(jax.value_and_grad(wanted))(model.params)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), gradient, expected)


def test_a_shorter_window_gives_another_gradient_and_the_same_numbers() -> None:
    model, x = recurrent(), np.ones((STEPS, 1, 3), np.float32)

    @functools.partial(jax.jit, static_argnames="window")
    def loss(params: Any, window: int) -> Any:
        return objective(model.replace(params=params, schedule=nirjax.Schedule(window, truncate=True))(x)[0])

    values, gradients = zip(*(jax.value_and_grad(loss)(model.params, window) for window in (2, STEPS)), strict=True)
    np.testing.assert_allclose(*values, rtol=1e-6)
    assert np.abs(gradients[0]["back"]["weight"] - gradients[1]["back"]["weight"]).max() > 1e-3


def test_the_state_that_is_given_and_the_state_that_is_left_have_gradients() -> None:
    model, x = recurrent(), np.ones((6, 3), np.float32)
    model = model.replace(schedule=nirjax.Schedule(2, truncate=True))

    def loss(state: Any, params: Any) -> Any:
        output, after = model.replace(params=params)(x, state)
        return output[0].sum() + after["li"]["v"].sum()

    by_state, by_params = jax.grad(loss, argnums=(0, 1))(model.init_state(), model.params)
    assert np.any(by_state["li"]["v"])
    assert np.any(by_params["li"]["tau"])


@pytest.mark.parametrize("folded", [True, False])
def test_finetune_steps_along_the_truncated_gradient_of_the_whole_loss(folded: bool) -> None:
    start, (x, y), window = feedforward(), data(4), 3
    params, rest = nirjax.partition(start, "*.weight")

    def loss(params: Any) -> Any:
        output = by_hand(nirjax.combine(params, rest), np.swapaxes(x, 0, 1), window)
        return losses.spike_count_cross_entropy(output, y).mean()

    gradient = jax.jit(jax.grad(loss))(params)
    result = nirjax.finetune(
        start, (x, y), trainable="*.weight", steps=1, optimizer=optax.sgd(0.1), batch_size=4, truncation=window,
        progress=False, metrics=None if folded else {"sum": lambda run, batch: run.output.sum((0, 2))},
    )  # fmt: skip
    for node in params:
        expected = params[node]["weight"] - 0.1 * gradient[node]["weight"]
        np.testing.assert_allclose(result.model.params[node]["weight"], expected, rtol=1e-5, atol=1e-6)
    assert result.model.program == start.program


@pytest.mark.parametrize("window", [0, -1, 1.5, True, "all"])
def test_a_window_is_a_number_of_steps(window: Any) -> None:
    with pytest.raises(ArgumentError, match="truncation"):
        nirjax.finetune(feedforward(), data(), optimizer=optax.sgd(0.1), epochs=1, truncation=window)
