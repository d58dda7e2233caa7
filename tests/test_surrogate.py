"""Spike functions: exact comparisons going forward, surrogate derivatives that are what they say going back."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nirjax import surrogate
from nirjax.errors import ArgumentError
from nirjax.surrogate import Surrogate, spike, spike_count

X = np.array([-1.7, -0.75, -0.5, -0.3, -0.01, 0.0, 0.02, 0.26, 0.5, 0.74, 2.2])


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


CLOSED_FORMS: list[tuple[Surrogate, Any]] = [
    (surrogate.fast_sigmoid(25), lambda x: 1 / (1 + 25 * np.abs(x)) ** 2),
    (surrogate.fast_sigmoid(2), lambda x: 1 / (1 + 2 * np.abs(x)) ** 2),
    (surrogate.atan(2), lambda x: 1 / (1 + (np.pi * x) ** 2)),
    (surrogate.atan(3), lambda x: 1.5 / (1 + (1.5 * np.pi * x) ** 2)),
    (surrogate.sigmoid(4), lambda x: 4 * logistic(4 * x) * (1 - logistic(4 * x))),
    (surrogate.triangular(0.5), lambda x: np.where(np.abs(x) < 0.5, 2 - 4 * np.abs(x), 0)),
    (surrogate.boxcar(1), lambda x: np.where(np.abs(x) <= 0.5, 1.0, 0.0)),
    (surrogate.boxcar(0.5), lambda x: np.where(np.abs(x) <= 0.25, 2.0, 0.0)),
    (surrogate.gaussian(0.5), lambda x: np.exp(-2 * x**2) / (0.5 * math.sqrt(2 * math.pi))),
    (surrogate.exponential(0.5, 2), lambda x: 4 * np.exp(-2 * np.abs(x))),
    (surrogate.straight_through(), np.ones_like),
    (surrogate.custom(lambda x: 1 / (1 + x**4)), lambda x: 1 / (1 + x**4)),
]
IDS = [f"{type(one).__name__}-{at}" for at, (one, _) in enumerate(CLOSED_FORMS)]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("chosen", "closed_form"), CLOSED_FORMS, ids=IDS)
def test_the_derivative_is_the_closed_form(chosen: Surrogate, closed_form: Any) -> None:
    np.testing.assert_allclose(chosen.derivative(jnp.asarray(X)), closed_form(X), rtol=1e-12, atol=1e-12)
    threshold = jnp.full(X.shape, 0.75)
    u = jnp.asarray(X) + threshold
    z, pull = jax.vjp(lambda u, threshold: spike(u, threshold, chosen), u, threshold)
    np.testing.assert_array_equal(z, X > 0)
    du, dthreshold = pull(jnp.ones_like(u))
    np.testing.assert_allclose(du, closed_form(np.asarray(u - threshold)), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(dthreshold, -du)


@pytest.mark.parametrize(
    ("chosen", "area"),
    [
        *((surrogate.fast_sigmoid(5), 2 / 5), (surrogate.atan(2), 1), (surrogate.sigmoid(5), 1)),
        *((surrogate.triangular(2), 1), (surrogate.boxcar(2), 1), (surrogate.gaussian(0.3), 1)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Surrogate) else "",
)
def test_the_area_under_a_derivative(chosen: Surrogate, area: float) -> None:
    """Each is the derivative of a step from 0 to 1, but for SuperSpike's, whose height at the threshold is 1."""
    x = np.tan(np.linspace(-1.5707, 1.5707, 200_001))
    assert np.trapezoid(np.asarray(chosen.derivative(jnp.asarray(x))), x) == pytest.approx(area, rel=2e-3)


def test_a_tie_stays_a_tie() -> None:
    """Where u equals the threshold, also in numbers so large or small that a difference would vanish or round."""
    u = jnp.array([0.1, 1.0, 1e30, 1e-30, -2.0, 0.0], jnp.float32)
    assert not spike(u, u, surrogate.atan(), ">").any()
    assert spike(u, u, surrogate.atan(), ">=").all()
    assert spike(jnp.nextafter(u, jnp.inf), u, surrogate.atan(), ">")[:4].all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_spikes_and_gradients_have_the_type_of_the_membrane(dtype: str) -> None:
    u = jnp.linspace(-1, 1, 5).astype(dtype)
    for chosen, _ in CLOSED_FORMS:
        z, gradient = jax.value_and_grad(lambda u, chosen=chosen: spike(u, jnp.asarray(0.3, dtype), chosen).sum())(u)
        assert z.dtype == gradient.dtype == jnp.dtype(dtype)
        assert chosen.derivative(u).dtype == jnp.dtype(dtype)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("chosen", [surrogate.sigmoid(3), surrogate.atan(2), surrogate.gaussian(0.5)], ids=repr)
def test_jvp_vjp_vmap_and_their_mixtures(chosen: Surrogate) -> None:
    u, threshold = jnp.asarray(X), jnp.full(X.shape, 0.1)
    du, dthreshold = jnp.cos(u), jnp.sin(u)
    g, slope = chosen.derivative(u - threshold), jax.vmap(jax.grad(chosen.derivative))(u - threshold)

    def fire(u: jax.Array, threshold: jax.Array) -> jax.Array:
        return spike(u, threshold, chosen)

    z, dz = jax.jvp(fire, (u, threshold), (du, dthreshold))
    np.testing.assert_array_equal(z, u > threshold)
    np.testing.assert_allclose(dz, g * (du - dthreshold), rtol=1e-12)
    np.testing.assert_array_equal(jax.vmap(fire, in_axes=(0, None))(u, threshold[0]), z)
    gradient = jax.vmap(jax.grad(fire))
    np.testing.assert_allclose(gradient(u, threshold), g, rtol=1e-12)
    second = jax.jvp(gradient, (u, threshold), (du, dthreshold))[1]
    np.testing.assert_allclose(second, slope * (du - dthreshold), rtol=1e-12)
    twice = jax.vmap(jax.grad(jax.grad(fire), argnums=1))(u, threshold)
    np.testing.assert_allclose(twice, -slope, rtol=1e-12)
    forward = jax.jvp(lambda u: jax.jvp(fire, (u, threshold), (du, dthreshold))[1], (u,), (du,))[1]
    np.testing.assert_allclose(forward, slope * (du - dthreshold) * du, rtol=1e-12)


def test_a_scalar_threshold_gets_the_sum() -> None:
    u = jnp.asarray(X, jnp.float32)
    chosen = surrogate.atan()
    gradient = jax.grad(lambda threshold: spike(u, threshold, chosen).sum())(jnp.float32(0.2))
    assert gradient.shape == ()
    np.testing.assert_allclose(gradient, -chosen.derivative(u - 0.2).sum(), rtol=1e-6)


# ------------------------------------------------------------------------------------------- several spikes in a step


def test_how_many_spikes_fit_under_the_membrane() -> None:
    u = jnp.array([-5.0, -0.5, 0, 0.49, 0.5, 0.99, 1.0, 1.2, 2.5, 2.6], jnp.float32)
    count = spike_count(u, jnp.float32(0.5), surrogate.atan(), ">=")
    np.testing.assert_array_equal(count, [0, 0, 0, 0, 1, 1, 2, 2, 5, 5])
    count = spike_count(u, jnp.float32(0.5), surrogate.atan(), ">")
    np.testing.assert_array_equal(count, [0, 0, 0, 0, 0, 1, 1, 2, 4, 5])


@pytest.mark.usefixtures("x64")
def test_the_derivative_of_a_count_is_that_of_its_nearest_crossing() -> None:
    threshold, chosen = 0.5, surrogate.atan(3)
    u = np.array([-1.0, 0.1, 0.6, 0.8, 1.1, 2.4])
    crossing = np.array([1, 1, 1, 2, 2, 5])
    g = np.asarray(chosen.derivative(jnp.asarray(u - crossing * threshold)))
    gradient = jax.vmap(jax.grad(lambda u, threshold: spike_count(u, threshold, chosen), (0, 1)), (0, None))
    du, dthreshold = gradient(jnp.asarray(u), threshold)
    np.testing.assert_allclose(du, g, rtol=1e-12)
    np.testing.assert_allclose(dthreshold, -crossing * g, rtol=1e-12)


def test_a_count_has_a_bound() -> None:
    u = jnp.array([0.4, 0.6, 1.1, 9.0], jnp.float32)
    np.testing.assert_array_equal(spike_count(u, jnp.float32(0.5), surrogate.atan(), most=2), [0, 1, 2, 2])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", [spike, spike_count])
def test_frameworks_that_have_a_derivative_of_their_own(kind: Any) -> None:
    """Sinabs' MultiSpike and SingleSpike: g(u - threshold), none for the threshold. Rockpool's StepPWL: that of
    u / threshold from half a unit below the threshold on."""
    u, threshold = jnp.array([-1.0, 0.6, 0.8, 1.5, 4.0]), 1.25
    chosen = surrogate.exponential(0.5 * threshold)

    def gradient(name: str) -> Any:
        one = jax.grad(lambda u, threshold: kind(u, threshold, chosen, ">=", name), (0, 1))
        return jax.vmap(one, (0, None))(u, threshold)

    du, dthreshold = gradient("membrane")
    np.testing.assert_allclose(du, np.exp(-np.abs(np.asarray(u) - 1.25) / 0.625) / 0.625, rtol=1e-12)
    np.testing.assert_array_equal(dthreshold, 0)
    du, dthreshold = gradient("linear")
    np.testing.assert_allclose(du, np.array([0, 0, 1, 1, 1]) / 1.25, rtol=1e-12)
    np.testing.assert_allclose(dthreshold, -np.array([0, 0, 0.8, 1.5, 4.0]) / 1.25**2, rtol=1e-12)


# --------------------------------------------------------------------------------------------------------- as values


def test_surrogates_are_values() -> None:
    assert surrogate.fast_sigmoid(25) == surrogate.fast_sigmoid() == surrogate.fast_sigmoid(25.0)
    assert hash(surrogate.atan(2.0)) == hash(surrogate.atan())
    assert surrogate.atan(2) != surrogate.atan(3)
    assert surrogate.triangular(1) != surrogate.boxcar(1)
    assert surrogate.custom(jnp.cos) == surrogate.custom(jnp.cos)
    assert surrogate.custom(jnp.cos) != surrogate.custom(jnp.sin)


@pytest.mark.parametrize("make", [surrogate.fast_sigmoid, surrogate.atan, surrogate.triangular, surrogate.gaussian])
@pytest.mark.parametrize("scale", [0, -1.0, float("nan")])
def test_a_scale_is_positive(make: Any, scale: float) -> None:
    with pytest.raises(ArgumentError, match="positive"):
        make(scale)
