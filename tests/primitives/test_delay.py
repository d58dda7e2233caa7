"""Delays: whole and fractional ones, in blocks and in streams, their capacity, and their gradient."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import graph, if_

import nirjax
from nirjax.errors import ParameterError
from nirjax.ir import nodes as ir
from nirjax.primitives.delay import steps_of
from primitives.sites import params_of, primitive_of, site_of


def delayed(delay: Any, *, dt: float = 1.0, source: Any = np.float32, **choices: Any) -> nirjax.Model:
    """in -> delay -> out, with a file of the type `source`."""
    node = ir.Delay(np.asarray(delay, source))
    shape = node.delay.shape
    made = graph({"in": ir.Input(shape), "d": node, "out": ir.Output(shape)}, "in d out")
    return nirjax.from_nir(made, dt=dt, **choices)


def with_delay(model: nirjax.Model, delay: Any) -> nirjax.Model:
    return model.replace(params={"d": {"delay": jnp.asarray(delay, model.program.dtype)}})


def looked_back(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The definition: (1 - f) x[t - k] + f x[t - k - 1] for d = k + f steps, zero before the first step."""
    y = np.zeros(x.shape)
    for at in np.ndindex(d.shape):
        k, f = int(d[at] // 1), d[at] % 1
        past = np.concatenate([np.zeros((k + 1, *x[..., *at].shape[1:])), x[..., *at]])
        y[..., *at] = (1 - f) * past[1 : len(x) + 1] + f * past[: len(x)]
    return y


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# ---------------------------------------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("steps", [0, 1, 2, 500])
def test_a_whole_number_of_steps(steps: int) -> None:
    x = normal(520, 1)
    y, _ = delayed([steps * 1e-4], dt=1e-4)(x)
    np.testing.assert_array_equal(y[:steps], 0)
    np.testing.assert_array_equal(y[steps:], x[: len(x) - steps])


def test_a_fraction_of_a_step_interpolates() -> None:
    d = np.array([[0, 0.25, 1], [1.5, 3.75, 12]])
    x = normal(10, 2, 2, 3)
    y, _ = delayed(d)(x)
    np.testing.assert_allclose(y, looked_back(x, d), rtol=1e-6, atol=1e-7)


def test_one_delay_for_a_signal_of_any_shape() -> None:
    x = normal(6, 2, 3)
    made = graph({"in": ir.Input((3,)), "d": ir.Delay(np.float32(2)), "out": ir.Output((3,))}, "in d out")
    y, _ = nirjax.from_nir(made, dt=1)(x)
    np.testing.assert_array_equal(y[2:], x[:-2])


TYPES = [(np.float32, "float32"), (np.float64, "float32"), (np.float64, "float64")]


@pytest.mark.parametrize(("dtype", "runs_in"), TYPES)
def test_multiples_of_dt_are_whole_steps(dtype: Any, runs_in: str) -> None:
    """26 of the first 200 float32 multiples of 1e-4 are not a multiple of it in float32 arithmetic; nor is 3e-4."""
    steps = np.arange(1, 201)
    delay = steps.astype(dtype) * dtype(1e-4)
    np.testing.assert_array_equal(steps_of(delay, 1e-4), steps)
    x = normal(203, 200)
    with jax.enable_x64(runs_in == "float64"):
        y = np.asarray(delayed(delay, dt=1e-4, source=dtype, dtype=runs_in)(x)[0])
    for n in steps:
        np.testing.assert_array_equal(y[n:, n - 1], x[:-n, n - 1])


def test_what_is_not_a_multiple_is_not_made_one() -> None:
    np.testing.assert_array_equal(steps_of(np.array([2.0001, 1.9999, 0.5]), 1.0), [2.0001, 1.9999, 0.5])
    assert steps_of(np.float32([0.3]), 0.1)[0] == 3


def test_a_block_is_the_scan_of_its_steps() -> None:
    d = np.float32([0, 0.3, 1, 2.6, 5])
    site = site_of(ir.Delay(d), (5,))
    primitive, params = primitive_of(site), params_of(site)
    constants, state = primitive.prepare(site, params), primitive.init(site, params, (2,))
    xs = jnp.asarray(normal(12, 2, 5))
    last, ys = primitive.block(site, constants, state, xs)
    state, one = jax.lax.scan(lambda state, x: primitive.step(site, constants, state, x), state, xs)
    np.testing.assert_allclose(one, ys, rtol=1e-6)
    np.testing.assert_array_equal(state["history"], last["history"])


@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_a_stream_shorter_or_longer_than_the_delay(chunk: int) -> None:
    d = np.array([0, 1, 2.5, 5])
    x = normal(21, 2, 4)
    model, parts, state = delayed(d), [], None
    for at in range(0, 21, chunk):
        y, state = model(x[at : at + chunk], state)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts), looked_back(x, d), rtol=1e-6, atol=1e-7)


# ----------------------------------------------------------------------------------------------------- its capacity


def test_the_history_is_as_long_as_the_longest_delay_needs() -> None:
    assert delayed([0, 0]).init_state((3,))["d"]["history"].shape == (0, 3, 2)
    assert delayed([0, 2.5]).init_state((3,))["d"]["history"].shape == (4, 3, 2)
    assert delayed([0, 2.5], max_delay=7).init_state()["d"]["history"].shape == (8, 2)


def test_a_delay_is_clipped_to_what_its_history_holds() -> None:
    x = normal(12, 3)
    model = delayed([1, 2, 3], max_delay=5)
    longer, _ = with_delay(model, [4.5, 5, 9])(x)
    np.testing.assert_allclose(longer, looked_back(x, np.array([4.5, 5, 5])), rtol=1e-6, atol=1e-7)
    shorter, _ = with_delay(model, [0.5, 0, -2])(x)
    np.testing.assert_allclose(shorter, looked_back(x, np.array([0.5, 0, 0])), rtol=1e-6, atol=1e-7)
    cut, _ = delayed([1, 2, 3], max_delay=2)(x)
    np.testing.assert_array_equal(cut, looked_back(x, np.array([1, 2, 2])))


def test_beyond_its_capacity_a_delay_has_no_gradient() -> None:
    model = with_delay(delayed([1, 2, 3], max_delay=5), [2.5, 7, -1])
    gradient = jax.grad(lambda model: jnp.sum(model(normal(12, 3))[0] ** 2))(model).params["d"]["delay"]
    np.testing.assert_array_equal(gradient != 0, [True, False, False])


def test_a_delay_that_keeps_a_cycle_open_stays_a_step_long() -> None:
    """Training may shorten it below a step; a cycle without a register cannot run then, so it acts as one step."""
    nodes = {"in": ir.Input((1,)), "out": ir.Output((1,)), "n": if_(1, v_threshold=0.9), "d": ir.Delay(np.float32([3]))}
    model = nirjax.from_nir(graph(nodes, "in n out", "n d n"), dt=1)
    short = model.replace(params={**model.params, "d": {"delay": jnp.array([0.25])}})
    np.testing.assert_array_equal(np.flatnonzero(short(np.eye(5, 1))[0]), range(5))


def test_a_cycle_is_kept_open_by_no_less_than_a_step_of_capacity() -> None:
    nodes = {"in": ir.Input((1,)), "out": ir.Output((1,)), "n": if_(1, v_threshold=0.9), "d": ir.Delay(np.float32([3]))}
    made = graph(nodes, "in n out", "n d n")
    with pytest.raises(ParameterError, match="max_delay"):
        nirjax.from_nir(made, dt=1, max_delay=0)


def test_a_negative_delay_is_not_written() -> None:
    with pytest.raises(ParameterError) as caught:
        nirjax.to_nir(with_delay(delayed([1, 2]), [1, -0.5]))
    assert (caught.value.node, caught.value.field) == ("d", "delay")


# ------------------------------------------------------------------------------------------------------ its gradient


@pytest.mark.usefixtures("x64")
def test_the_gradient_of_a_learnt_delay_is_the_finite_difference_on_a_smooth_input() -> None:
    dt = 0.01
    delay = np.array([0.0033, 0.0175, 0.05201, 0.1008])
    model = delayed(delay, dt=dt, source=np.float64, dtype="float64", max_delay=0.2)
    t = dt * np.arange(60)[:, None]
    x = np.sin(3 * t + np.arange(4)) + t**2
    weights = np.cos(2 * t)

    def loss(delay: Any) -> jax.Array:
        y, _ = model.replace(params={"d": {"delay": jnp.asarray(delay)}})(x)
        return jnp.sum(weights[20:] * y[20:] ** 2)

    step = 1e-7
    numeric = [(loss(delay + step * unit) - loss(delay - step * unit)) / (2 * step) for unit in np.eye(4)]
    gradient = jax.grad(loss)(delay)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5)
    # And it is that of the continuous signal, x(t - delay), to the order of the interpolation.
    late = t - delay
    signal, slope = np.sin(3 * late + np.arange(4)) + late**2, 3 * np.cos(3 * late + np.arange(4)) + 2 * late
    np.testing.assert_allclose(gradient, (weights * -2 * signal * slope)[20:].sum(0), rtol=0.05)


def test_at_a_whole_number_of_steps_the_derivative_is_one_sided() -> None:
    """dy/ddelay = (x[t - k - 1] - x[t - k]) / dt, also at no delay and at the longest that is held."""
    d, dt = np.array([0, 1, 3]), 0.5
    x = normal(8, 3)
    model = delayed(d * dt, dt=dt)
    slope = jax.jvp(lambda model: model(x)[0], (model,), (jax.tree.map(jnp.ones_like, model),))[1]
    np.testing.assert_allclose(slope, (looked_back(x, d + 1) - looked_back(x, d)) / dt, rtol=1e-5, atol=1e-6)
