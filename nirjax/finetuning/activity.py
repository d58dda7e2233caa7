"""Regularisers on activity: `regulariser(spikes, target=None, *, where=None) -> (*batch,)`.

They have the losses' contract and no use for a target, so `of_trace` applies one to the spikes of a hidden layer. A
neuron's rate r is its mean over the valid time steps, in spikes per step; K is the number of neurons. Without `where`
there is one batch axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from nirjax.finetuning import time_folds
from nirjax.finetuning.time_folds import over_time


def activity_l1(spikes: Array, target: Any = None, *, where: ArrayLike | None = None) -> Array:
    r"""Mean rate over neurons, :math:`\frac{1}{K} \sum_k |r_k|`, in spikes per step.

    Args:
        spikes: `(time, *batch, *shape)`.
        target: not used.
        where: valid time steps, `(time, *batch)`.

    Returns:
        the penalty of each sample, `(*batch,)`.
    """
    return _over_neurons(jnp.abs, spikes, where)


def activity_l2(spikes: Array, target: Any = None, *, where: ArrayLike | None = None) -> Array:
    r"""Mean squared rate over neurons, :math:`\frac{1}{K} \sum_k r_k^2`. Args, Returns: as `activity_l1`."""
    return _over_neurons(jnp.square, spikes, where)


def activity_below(spikes: Array, target: Any = None, *, rate: float = 0.01, where: ArrayLike | None = None) -> Array:
    r"""Penalty for neurons that are nearly silent, :math:`\frac{1}{K} \sum_k \max(0, \text{rate} - r_k)^2`.

    Args:
        rate: the lower bound, in spikes per step.

    Other Args, Returns: as `activity_l1`.

    References:
        Zenke and Vogels, `The Remarkable Robustness of Surrogate Gradient Learning
        <https://doi.org/10.1162/neco_a_01367>`_, 2021
    """
    return _over_neurons(lambda r: jax.nn.relu(rate - r) ** 2, spikes, where)


def activity_above(spikes: Array, target: Any = None, *, rate: float = 0.5, where: ArrayLike | None = None) -> Array:
    r"""Penalty for neurons that fire too much, :math:`\frac{1}{K} \sum_k \max(0, r_k - \text{rate})^2`.

    Args:
        rate: the upper bound, in spikes per step.

    Other Args, Returns, References: as `activity_below`.
    """
    return _over_neurons(lambda r: jax.nn.relu(r - rate) ** 2, spikes, where)


def _over_neurons(penalty: Callable[[Array], Array], spikes: Array, where: ArrayLike | None) -> Array:
    batch_axes = 1 if where is None else jnp.ndim(where) - 1
    rates = over_time(time_folds.rate, spikes, where)
    return penalty(rates).mean(tuple(range(batch_axes, rates.ndim)))
