"""The loop as one operation, against `lax.scan` and JAX's own derivatives of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from kernels.loops import LOOP, arrays, neuron
from nirjax.kernels.time_loop import Loop, time_loop

KEPT = (True, False)


def as_scan(*inputs: Array) -> list[Array]:
    """What `time_loop` gives, by `lax.scan` alone."""

    def advance(state: Any, x: Array) -> Any:
        *after, y = neuron(*inputs[:2], *state, x)
        return tuple(after), (y, state[0])

    last, (ys, before) = lax.scan(advance, tuple(inputs[2:4]), inputs[4])
    return [*last, ys, before]


def as_operation(*inputs: Array, loop: Loop = LOOP) -> list[Array]:
    last, ys, before = time_loop(loop, inputs, KEPT)
    return [*last, *ys, *before]


def anew(*inputs: Array) -> list[Array]:
    """The operation whose derivatives compute the states anew."""
    return as_operation(*inputs, loop=dataclasses.replace(LOOP, anew=True))


both = pytest.mark.parametrize("operation", [as_operation, anew])


def weighted(run: Any) -> Any:
    """A number that everything which `run` gives goes into, each element with a weight of its own."""

    def loss(*inputs: Array) -> Array:
        return sum(jnp.sum(one * jnp.sin(1 + jnp.arange(one.size)).reshape(one.shape)) for one in run(*inputs))

    return loss


def assert_close(found: Any, wanted: Any, tolerance: float = 1e-12) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, tolerance, tolerance), found, wanted)


EVERY = tuple(range(5))


@both
@pytest.mark.parametrize("steps", [1, 9])
def test_it_is_the_scan(operation: Any, steps: int) -> None:
    inputs = arrays(steps, (2, 3))
    jax.tree.map(np.testing.assert_array_equal, jax.jit(operation)(*inputs), jax.jit(as_scan)(*inputs))


@both
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("by", [EVERY, (4,), (0, 2)], ids=str)
def test_gradients_are_those_of_the_scan(operation: Any, by: tuple[int, ...]) -> None:
    inputs = arrays(7, (2, 3), np.float64)
    found, wanted = (jax.jit(jax.grad(weighted(run), by))(*inputs) for run in (operation, as_scan))
    assert all(np.count_nonzero(one) for one in found)
    assert_close(found, wanted)


@both
@pytest.mark.usefixtures("x64")
def test_forward_mode_is_that_of_the_scan(operation: Any) -> None:
    inputs = arrays(7, (2, 3), np.float64)
    found, wanted = (jax.jit(lambda *x, run=run: jax.jvp(run, x, x))(*inputs) for run in (operation, as_scan))
    assert_close(found, wanted)


@both
@pytest.mark.usefixtures("x64")
def test_second_derivatives_do_not_depend_on_the_modes(operation: Any) -> None:
    """Forward over reverse, reverse over forward and reverse over reverse, against forward over forward."""
    inputs = arrays(5, (3,), np.float64)
    loss = weighted(operation)

    def along(first: Any) -> Any:
        return lambda *x: sum(jnp.sum(g * one) for g, one in zip(first(*x), inputs, strict=True))

    def forward(*x: Array) -> Array:
        return jax.jvp(loss, x, tuple(inputs))[1]

    reverse = along(jax.grad(loss, EVERY))
    wanted = jax.jvp(forward, tuple(inputs), tuple(inputs))[1]
    assert abs(wanted) > 1e-3
    assert_close(jax.jvp(reverse, tuple(inputs), tuple(inputs))[1], wanted, 1e-10)
    assert_close(along(jax.grad(forward, EVERY))(*inputs), wanted, 1e-10)
    assert_close(along(jax.grad(reverse, EVERY))(*inputs), wanted, 1e-10)


@both
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mapped", [(4,), (0, 1), (2,), EVERY], ids=str)
def test_vmap_is_one_call_after_the_other(operation: Any, mapped: tuple[int, ...]) -> None:
    inputs = arrays(4, (2, 3), np.float64)
    stacked = [jnp.stack([x, 0.9 * x, 0.8 * x], -1) if at in mapped else x for at, x in enumerate(inputs)]
    axes = [-1 if at in mapped else None for at in EVERY]
    function = jax.value_and_grad(weighted(operation), EVERY)
    found = jax.vmap(function, axes)(*stacked)
    for place, factor in enumerate((1, 0.9, 0.8)):
        one = function(*(factor * x if at in mapped else x for at, x in enumerate(inputs)))
        assert_close(jax.tree.map(lambda leaf, place=place: leaf[place], found), one)


@both
def test_what_is_not_asked_for_is_not_computed(operation: Any) -> None:
    """A gradient of x alone holds no sums for constants and states."""
    inputs = arrays(6, (4,))
    flops = [
        jax.jit(jax.grad(weighted(operation), by)).lower(*inputs).compile().cost_analysis()["flops"]
        for by in ((4,), EVERY)
    ]
    assert flops[0] < flops[1]


@both
def test_no_steps_have_a_derivative(operation: Any) -> None:
    inputs = arrays(0, (3,))
    found = jax.grad(lambda v: operation(*inputs[:2], v, *inputs[3:])[0].sum())(inputs[2])
    np.testing.assert_array_equal(found, 1)


def test_anew_nothing_is_kept_but_x() -> None:
    """Of a loop on its own, what the way back is given is as much as went in."""
    inputs = arrays(6, (4,))
    for operation, states in ((as_operation, 2), (anew, 0)):
        back = jax.vjp(lambda x, operation=operation: operation(*inputs[:4], x)[2], inputs[4])[1]
        sequences = [one for one in jax.tree.leaves(back) if one.shape == inputs[4].shape]
        assert len(sequences) == 1 + states
