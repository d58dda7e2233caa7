"""Encoders: statistics, closed forms, and the examples of those whose names they have."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirjax.data import delta, latency, rate, send_on_delta
from nirjax.errors import ArgumentError, ShapeError

KEY = jax.random.key(0)


def test_a_rate_is_the_share_of_steps_with_a_spike() -> None:
    x = np.array([[0.0, 0.05, 0.5], [0.9, 1.0, 0.3]])
    spikes = np.asarray(rate(KEY, x, 20_000))
    assert spikes.shape == (20_000, 2, 3)
    assert spikes.dtype == bool
    found = spikes.mean(0)
    # five standard deviations of a binomial count
    np.testing.assert_array_less(np.abs(found - x), 5 * np.sqrt(x * (1 - x) / 20_000) + 1e-12)
    joint = (spikes[:-1] & spikes[1:]).mean(0)
    np.testing.assert_array_less(np.abs(joint - x**2), 5 * np.sqrt(1 / 20_000) + 1e-12)
    across = np.corrcoef(spikes[:, 0, 2], spikes[:, 1, 2])[0, 1]
    assert abs(across) < 5 / np.sqrt(20_000)


def test_a_rate_outside_its_bounds_is_cut() -> None:
    spikes = np.asarray(rate(KEY, jnp.array([-1.0, 2.0]), 50))
    assert not spikes[:, 0].any()
    assert spikes[:, 1].all()


def test_a_rate_that_changes_in_time() -> None:
    x = np.repeat([[0.0], [1.0]], 30, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(rate(KEY, x), x.astype(bool))
    np.testing.assert_array_equal(rate(KEY, np.eye(3, dtype=int)), np.eye(3, dtype=bool))


def test_the_key_fixes_the_spikes() -> None:
    x = np.full(100, 0.5)
    np.testing.assert_array_equal(rate(KEY, x, 10), rate(jax.random.key(0), x, 10))
    assert (rate(KEY, x, 10) != rate(jax.random.key(1), x, 10)).any()
    np.testing.assert_array_equal(jax.jit(lambda key: rate(key, x, 10))(KEY), rate(KEY, x, 10))


def test_linear_latency_in_closed_form() -> None:
    x = np.array([1.0, 0.75, 0.5, 0.02, 0.01, 0.0, -1.0, 1.5])
    spikes = np.asarray(latency(x, 101))
    assert spikes.sum(0).tolist() == [1, 1, 1, 1, 0, 0, 0, 1]
    assert spikes.argmax(0)[[0, 1, 2, 3, 7]].tolist() == [0, 25, 50, 98, 0]


def test_latency_as_snntorch_s_example() -> None:
    """Its documentation: `latency([0.02, 0.5, 1], num_steps=5, normalize=True, linear=True)`."""
    expected = [[0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]
    np.testing.assert_array_equal(latency(np.array([0.02, 0.5, 1]), 5), np.array(expected, bool))


def test_latency_is_when_an_integrator_reaches_the_threshold() -> None:
    tau, threshold, steps = 20.0, 0.1, 60
    x = np.linspace(0.0, 1.0, 41)
    spikes = np.asarray(latency(x, steps, tau=tau, threshold=threshold))
    fine = np.arange(0, 200_000) / 1000
    for value, train in zip(x, spikes.T, strict=True):
        reached = np.flatnonzero(value * (1 - np.exp(-fine / tau)) >= threshold)
        if not reached.size or round(fine[reached[0]]) >= steps:
            assert not train.any()
        else:
            assert train.sum() == 1
            assert abs(train.argmax() - fine[reached[0]]) <= 0.502


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 1, 0, 1, 0]),
        ({"padding": True}, [0, 1, 0, 1, 0]),
        ({"off_spike": True}, [1, 1, -1, 1, 0]),
        ({"padding": True, "off_spike": True}, [0, 1, -1, 1, 0]),
    ],
)
def test_delta_as_snntorch_s_examples(options: dict[str, bool], expected: list[int]) -> None:
    """Those of its documentation that are right; the first two are the last two without off spikes."""
    found = delta(np.array([1, 2, 0, 2, 2.9]), 1, **options)
    assert found.dtype == (jnp.int8 if options.get("off_spike") else bool)
    np.testing.assert_array_equal(found, expected)


def test_delta_of_many_signals() -> None:
    x = np.random.default_rng(0).integers(-8, 9, (30, 2, 3)) / 8
    change = np.diff(x, axis=0, prepend=0 * x[:1])
    expected = (change >= 0.25).astype(int) - (change <= -0.25)
    np.testing.assert_array_equal(delta(x, 0.25, off_spike=True), expected)
    np.testing.assert_array_equal(delta(x, 0.25), expected > 0)


@given(st.integers(0, 2**31 - 1), st.sampled_from([0.125, 0.25, 1.0]))
@settings(max_examples=20, deadline=None)
def test_send_on_delta_follows_what_is_no_faster_than_it(seed: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    x = np.cumsum(threshold * random.uniform(-1, 1, (200, 4)), axis=0).astype(np.float32)
    spikes = np.asarray(send_on_delta(x, threshold))
    assert set(np.unique(spikes)) <= {-1, 0, 1}
    level = x[0] + threshold * np.cumsum(spikes, axis=0)
    assert np.abs(x - level).max() < threshold * 1.001


def test_send_on_delta_sees_a_slow_ramp() -> None:
    ramp = (np.arange(101) / 64)[:, None]
    assert not delta(ramp, 0.25, padding=True).any()
    assert np.flatnonzero(send_on_delta(ramp, 0.25)[:, 0]).tolist() == [16, 32, 48, 64, 80, 96]
    np.testing.assert_array_equal(send_on_delta(-ramp, 0.25), -np.asarray(send_on_delta(ramp, 0.25)))


def test_a_level_does_not_drift() -> None:
    """A thousand thresholds of a tenth added up in single precision are not a hundred."""
    x = np.concatenate([np.linspace(0, 100, 4001), np.linspace(100, 0, 4001)])[:, None]
    assert int(np.asarray(send_on_delta(x, 0.1), int).sum()) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, jnp.bfloat16, np.float32, np.float64])
def test_dtypes(dtype: Any) -> None:
    x = np.array([[0, 1], [1, 1]]).astype(dtype)
    np.testing.assert_array_equal(rate(KEY, x), np.array([[0, 1], [1, 1]], bool))
    np.testing.assert_array_equal(latency(x[0], 3)[0], [False, True])
    np.testing.assert_array_equal(delta(x), [[False, True], [True, False]])
    np.testing.assert_array_equal(send_on_delta(x), [[0, 0], [1, 0]])


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: rate(KEY, np.ones(3), 0), ArgumentError),
        (lambda: rate(KEY, np.ones(3), 2.5), ArgumentError),  # type: ignore[arg-type]
        (lambda: rate(KEY, 0.5), ShapeError),
        (lambda: latency(np.ones(3), 0), ArgumentError),
        (lambda: latency(np.ones(3), 3, tau=-1.0), ArgumentError),
        (lambda: latency(np.ones(3), 3, threshold=0.0), ArgumentError),
        (lambda: delta(np.ones(3), 0.0), ArgumentError),
        (lambda: delta(np.float32(1)), ShapeError),
        (lambda: send_on_delta(np.ones((0, 2))), ShapeError),
        (lambda: send_on_delta(np.ones((3, 2)), float("nan")), ArgumentError),
    ],
)
def test_what_is_refused(call: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call()
