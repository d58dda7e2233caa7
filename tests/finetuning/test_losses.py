"""Losses: closed forms, indifference to padding and to block lengths, gradients, errors."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirjax.errors import ArgumentError, DataError, ShapeError
from nirjax.finetuning import losses, time_folds
from nirjax.finetuning.scores import accuracy, decision

T, B, K = 6, 4, 3

ON_LABELS = [
    losses.spike_count_cross_entropy,
    losses.spike_rate_cross_entropy,
    losses.max_membrane_cross_entropy,
    losses.last_membrane_cross_entropy,
    losses.summed_softmax_cross_entropy,
    losses.stepwise_cross_entropy,
    losses.first_spike_time_cross_entropy,
    losses.spike_count_mse,
    losses.spike_rate_mse,
    losses.membrane_mse,
    losses.first_spike_time_mse,
]
REGULARISERS = [losses.activity_l1, losses.activity_l2, losses.activity_below, losses.activity_above]
FOLDABLE = [loss for loss in ON_LABELS if loss not in (losses.stepwise_cross_entropy, losses.membrane_mse)]
FOLDABLE += [functools.partial(losses.spike_count_mse, correct_rate=0.7, incorrect_rate=0.1)]
FOLDABLE += [functools.partial(losses.first_spike_time_cross_entropy, tau=3.0)]


def spikes(seed: int = 0, shape: tuple[int, ...] = (T, B, K)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, shape).astype(np.float32)


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, labels[..., None], -1)[..., 0]


def first_times(z: np.ndarray) -> np.ndarray:
    return np.where(z.any(0), z.argmax(0), len(z))


@functools.cache
def compiled(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of every sample, compiled once a shape."""
    return jax.jit(lambda output, target, where: loss(output, target, where=where))


@functools.cache
def with_gradient(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of every sample, and the gradient of their sum."""

    def total(output: Any, target: Any, where: Any) -> Any:
        values = loss(output, target, where=where)
        return values.sum(), values

    def both(output: Any, target: Any, where: Any) -> Any:
        (_, values), gradient = jax.value_and_grad(total, has_aux=True)(output, target, where)
        return values, gradient

    return jax.jit(both)


def test_closed_forms() -> None:
    rng = np.random.default_rng(1)
    z, v, y = spikes(1), rng.normal(size=(T, B, K)).astype(np.float32), np.array([0, 2, 1, 1])
    one_hot = np.eye(K)[y]
    softmax = np.exp(v) / np.exp(v).sum(-1, keepdims=True)
    expected = {
        losses.spike_count_cross_entropy: (z, softmax_cross_entropy(z.sum(0), y)),
        losses.spike_rate_cross_entropy: (z, softmax_cross_entropy(z.mean(0), y)),
        losses.max_membrane_cross_entropy: (v, softmax_cross_entropy(v.max(0), y)),
        losses.last_membrane_cross_entropy: (v, softmax_cross_entropy(v[-1], y)),
        losses.summed_softmax_cross_entropy: (v, softmax_cross_entropy(softmax.sum(0), y)),
        losses.stepwise_cross_entropy: (v, np.mean([softmax_cross_entropy(step, y) for step in v], 0)),
        losses.first_spike_time_cross_entropy: (z, softmax_cross_entropy(-first_times(z), y)),
        losses.spike_count_mse: (z, ((z.sum(0) - T * one_hot) ** 2).mean(-1)),
        losses.spike_rate_mse: (z, ((z.mean(0) - one_hot) ** 2).mean(-1)),
        losses.membrane_mse: (v, ((v - one_hot) ** 2).mean((0, 2))),
        losses.first_spike_time_mse: (z, ((first_times(z) - np.where(one_hot, 0, T)) ** 2).mean(-1)),
    }
    assert set(expected) == set(ON_LABELS)
    for loss, (output, value) in expected.items():
        found = compiled(loss)(output, y, None)
        np.testing.assert_allclose(found, value, rtol=2e-5, err_msg=loss.__name__)


def test_targets_that_are_values() -> None:
    z, v = spikes(2), np.random.default_rng(2).normal(size=(T, B, K)).astype(np.float32)
    p = np.random.default_rng(3).dirichlet(np.ones(K), B).astype(np.float32)
    logits = z.sum(0)
    log_softmax = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(losses.spike_count_cross_entropy(z, p), -(p * log_softmax).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(losses.spike_count_mse(z, p), ((logits - p) ** 2).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(losses.membrane_mse(v, p), ((v - p) ** 2).mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(losses.membrane_mse(v, z), ((v - z) ** 2).mean((0, 2)), rtol=1e-5)
    times = np.full((B, K), 2.0, np.float32)
    np.testing.assert_allclose(losses.first_spike_time_mse(z, times), ((first_times(z) - 2) ** 2).mean(-1), rtol=1e-5)


def test_van_rossum_distance() -> None:
    tau, steps = 5.0, 200
    one = np.zeros((steps, 1, 1), np.float32)
    one[0] = 1
    none = np.zeros_like(one)
    decay = np.exp(-1 / tau)
    exact = (1 - decay ** (2 * steps)) / (1 - decay**2) / tau
    np.testing.assert_allclose(losses.van_rossum_distance(one, none, tau=tau), [exact], rtol=1e-5)
    assert abs(exact - 0.5) < 0.11
    late = np.roll(one, 7, 0)
    expected = 2 * exact * (1 - decay**7)
    np.testing.assert_allclose(losses.van_rossum_distance(one, late, tau=tau), [expected], rtol=1e-4)
    z = spikes(1)
    assert not np.any(losses.van_rossum_distance(z, z))


def test_regularisers() -> None:
    z = spikes(5, (10, 2, 3, 4))
    where = np.ones((10, 2), bool)
    rates = z.mean(0).reshape(2, -1)
    bounds = {"rate": 0.45}
    np.testing.assert_allclose(losses.activity_l1(z, where=where), rates.mean(1), rtol=1e-6)
    np.testing.assert_allclose(losses.activity_l2(z, where=where), (rates**2).mean(1), rtol=1e-6)
    low, high = np.maximum(0, 0.45 - rates) ** 2, np.maximum(0, rates - 0.45) ** 2
    np.testing.assert_allclose(losses.activity_below(z, where=where, **bounds), low.mean(1), rtol=1e-5)
    np.testing.assert_allclose(losses.activity_above(z, **bounds), high.mean(1), rtol=1e-5)


@pytest.mark.parametrize("loss", [*ON_LABELS, losses.van_rossum_distance, *REGULARISERS])
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.sampled_from([4, T]), min_size=B, max_size=B))
def test_what_lies_outside_where_has_no_influence(loss: Callable[..., Any], seed: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    z = spikes(seed)
    target = spikes(seed + 1) if loss is losses.van_rossum_distance else rng.integers(0, K, B)
    where = np.arange(T)[:, None] < np.array(lengths)
    garbage = np.where(where[..., None], z, rng.normal(size=z.shape) * 100).astype(np.float32)
    clean, gradient = with_gradient(loss)(z, target, where)
    dirty, _ = with_gradient(loss)(garbage, target, where)
    np.testing.assert_array_equal(clean, dirty)
    assert np.isfinite(gradient).all()
    assert not np.any(np.asarray(gradient)[~where])
    for length in (4, T):
        alone = compiled(loss)(z[:length], target[:length] if target.ndim == 3 else target, None)
        cut = np.array(lengths) == length
        np.testing.assert_allclose(clean[cut], alone[cut], rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("loss", [*ON_LABELS, *REGULARISERS])
def test_a_recording_without_a_single_step_is_finite(loss: Callable[..., Any]) -> None:
    value, gradient = with_gradient(loss)(spikes(), np.zeros(B, int), np.zeros((T, B), bool))
    assert np.isfinite(value).all()
    assert not np.any(gradient)


@pytest.mark.parametrize("loss", FOLDABLE)
def test_folded_over_any_blocks_equals_whole(loss: Callable[..., Any]) -> None:
    pieces = losses.folded(loss)
    init, update, finish = pieces.init, jax.jit(pieces.update), jax.jit(pieces.finish)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10**6), st.permutations([1, 2, 3]), st.booleans())
    def check(seed: int, blocks: list[int], masked: bool) -> None:
        rng = np.random.default_rng(seed)
        z, y = spikes(seed), rng.integers(0, K, B)
        where = np.arange(T)[:, None] < (rng.integers(1, T + 1, B) if masked else np.full(B, T))
        carry = init((B, K))
        for start, stop in itertools.pairwise([0, *np.cumsum(blocks)]):
            carry = update(carry, z[start:stop], where[start:stop])
        np.testing.assert_allclose(finish(carry, y), compiled(loss)(z, y, where), rtol=1e-6)

    check()


@pytest.mark.parametrize("loss", FOLDABLE)
def test_the_gradient_of_a_folded_loss_is_that_of_the_whole(loss: Callable[..., Any]) -> None:
    pieces = losses.folded(loss)
    z, y = np.random.default_rng(0).normal(size=(T, B, K)).astype(np.float32), np.array([0, 2, 1, 1])

    def folded(output: Any) -> Any:
        first = pieces.update(pieces.init((B, K)), output[:2])
        return pieces.finish(pieces.update(first, output[2:]), y).sum()

    _, whole = with_gradient(loss)(z, y, None)
    np.testing.assert_allclose(jax.jit(jax.grad(folded))(z), whole, rtol=1e-5, atol=1e-6)


def test_folding_what_cannot_be_folded_is_refused() -> None:
    for loss in (losses.membrane_mse, losses.van_rossum_distance, lambda output, target: 0):
        with pytest.raises(ArgumentError, match="cannot be folded"):
            losses.folded(loss)


def test_the_derivative_of_a_first_spike_time_is_what_the_spike_is_worth() -> None:
    z = np.zeros((8, 1, 2), np.float32)
    z[3, 0, 0] = z[6, 0, 0] = 1

    @jax.jit
    def time(output: Any) -> Any:
        return losses.time_folds.over_time(losses.time_folds.first_spike, output, None)[0, 0, 0]

    gradient = np.asarray(jax.grad(time)(jnp.asarray(z)))[:, 0, 0]
    for t in range(8):
        flipped = z.copy()
        flipped[t] = 1 - flipped[t]
        change = time(flipped) - time(z)
        np.testing.assert_allclose(gradient[t], change if z[t, 0, 0] == 0 else -change)
    assert gradient[3] == -3
    assert gradient[1] == -2


@pytest.mark.parametrize("batch", [(), (2, 2)])
@pytest.mark.parametrize("loss", ON_LABELS)
def test_any_number_of_batch_axes(loss: Callable[..., Any], batch: tuple[int, ...]) -> None:
    z, y = spikes(3), np.array([0, 2, 1, 1])
    flat = compiled(loss)(z, y, None)
    count = int(np.prod(batch, dtype=int))
    whole = np.ones((T, *batch), bool)
    shaped = compiled(loss)(z[:, :count].reshape(T, *batch, K), y[:count].reshape(batch), whole)
    assert shaped.shape == batch
    np.testing.assert_allclose(np.ravel(shaped), flat[:count], rtol=1e-6)


@pytest.mark.parametrize("dtype", [bool, np.uint8, jnp.bfloat16])
def test_short_dtypes_are_summed_in_float32(dtype: Any) -> None:
    z = np.ones((600, 1, 2), np.float32)
    value = losses.spike_count_mse(jnp.asarray(z, dtype), np.zeros((1, 2), np.float32))
    assert value.dtype == jnp.float32
    assert value[0] == 600**2


@pytest.mark.parametrize("loss", ON_LABELS)
def test_targets_and_masks_that_do_not_fit_are_refused(loss: Callable[..., Any]) -> None:
    z, y = spikes(), np.zeros(B, int)
    with pytest.raises(ShapeError, match="target"):
        loss(z, np.zeros(B + 1, int))
    with pytest.raises(ShapeError, match="where"):
        loss(z, y, where=np.ones((T, B + 1), bool))
    with pytest.raises(DataError, match="integers"):
        loss(z, np.zeros(B))


def test_decisions_and_accuracy() -> None:
    z = np.zeros((4, 3, 3), np.float32)
    z[:2, 0, 1] = 1  # class 1
    z[0, 1, 0] = z[1, 1, 2] = 1  # a tie of 0 and 2
    z[3, 2, 2] = 1  # class 2, but only outside `where`
    where = np.arange(4)[:, None] < np.array([4, 4, 3])
    np.testing.assert_array_equal(decision(z, where=where), [1, 0, 0])
    np.testing.assert_array_equal(accuracy(z, np.array([1, 2, 0]), where=where), [1, 0, 1])
    np.testing.assert_array_equal(accuracy(z, np.eye(3)[[1, 2, 2]]), [1, 0, 1])


@pytest.mark.parametrize("block", [1, 2, 5])
def test_of_equal_membranes_the_first_has_the_gradient(block: int) -> None:
    trace = jnp.array([1.0, 3.0, 3.0, 2.0, 3.0])[:, None, None]
    loss = losses.FoldedLoss(time_folds.maximum, lambda largest, target: largest[..., 0])

    def folded(trace: Any) -> Any:
        carry = loss.init((1, 1))
        for start in range(0, 5, block):
            carry = loss.update(carry, trace[start : start + block])
        return loss.finish(carry, 0)[0]

    np.testing.assert_array_equal(jax.grad(folded)(trace)[:, 0, 0], [0, 1, 0, 0, 0])
    assert np.isnan(folded(trace.at[1].set(jnp.nan)))
