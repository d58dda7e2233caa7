"""Comparing a statistic over time with a target: cross entropy and squared error, each optax's own.

A statistic is `(*batch, classes)`. A target is labels `(*batch,)`, or values of the statistic's shape; the shapes tell.
"""

from __future__ import annotations

from typing import cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from optax import losses as optax_losses

from nirjax.errors import ArgumentError, DataError, ShapeError


def are_labels(target: Array, shape: tuple[int, ...]) -> bool:
    """Is the target labels `(*batch,)`, and not values `(*batch, classes)`?"""
    if target.shape == shape:
        return False
    if target.shape != shape[:-1]:
        raise ShapeError(
            "the target does not fit the output", field="target", found=target.shape,
            expected=f"labels {shape[:-1]} or values {shape}",
        )  # fmt: skip
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise DataError(
            "labels are integers", field="target", found=str(target.dtype), hint="For whole numbers: y.astype(int)"
        )
    return True


def wanted_values(target: ArrayLike, shape: tuple[int, ...], correct: ArrayLike, incorrect: ArrayLike) -> Array:
    """Target values: as given, or `correct` for a label's class and `incorrect` for the others."""
    target = jnp.asarray(target)
    if not are_labels(target, shape):
        return target
    return jnp.where(jax.nn.one_hot(target, shape[-1], dtype=bool), correct, incorrect)


def cross_entropy(logits: Array, target: ArrayLike) -> Array:
    """Softmax cross entropy over the last axis, in nats."""
    target = jnp.asarray(target)
    if are_labels(target, logits.shape):
        return cast(Array, optax_losses.softmax_cross_entropy_with_integer_labels(logits, target))
    return cast(Array, optax_losses.softmax_cross_entropy(logits, target))


def negative_log_likelihood(logarithms: Array, target: ArrayLike) -> Array:
    """Minus the logarithm of the label's probability, or their mean under the target's probabilities."""
    target = jnp.asarray(target)
    if are_labels(target, logarithms.shape):
        return -jnp.take_along_axis(logarithms, target[..., None], axis=-1)[..., 0]
    return -jnp.sum(target * logarithms, axis=-1)


def squared_error(values: Array, target: ArrayLike, *, correct: ArrayLike, incorrect: ArrayLike) -> Array:
    """Squared error, averaged over the last axis."""
    wanted = wanted_values(target, values.shape, correct, incorrect)
    return cast(Array, optax_losses.squared_error(values, wanted)).mean(-1)


def rate_error(rates: Array, target: ArrayLike, *, correct_rate: float = 1.0, incorrect_rate: float = 0.0) -> Array:
    """Squared error of rates; labels ask for `correct_rate` and `incorrect_rate`."""
    return squared_error(rates, target, correct=correct_rate, incorrect=incorrect_rate)


def count_error(
    statistic: Array, target: ArrayLike, *, correct_rate: float = 1.0, incorrect_rate: float = 0.0
) -> Array:
    """Squared error of counts `statistic[0]` over `statistic[1]` steps; labels ask for rates times steps."""
    counts, steps = statistic
    return squared_error(counts, target, correct=correct_rate * steps, incorrect=incorrect_rate * steps)


def first_time_cross_entropy(statistic: Array, target: ArrayLike, *, tau: float = 1.0) -> Array:
    """Cross entropy of minus the first spike times `statistic[0]`, in units of `tau` steps."""
    if not tau > 0:
        raise ArgumentError("a time constant is positive", field="tau", found=tau)
    return cross_entropy(-statistic[0] / tau, target)


def time_error(statistic: Array, target: ArrayLike, *, correct: float = 0.0, incorrect: float | None = None) -> Array:
    """Squared error of the first spike times `statistic[0]` in recordings of `statistic[1]` steps."""
    times, steps = statistic
    return squared_error(times, target, correct=correct, incorrect=steps if incorrect is None else incorrect)
