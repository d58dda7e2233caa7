"""Regularisers on activity: `regulariser(spikes, target=None, *, where=None) -> (*batch,)`.

They have the losses' contract and no use for a target, so `of_trace` applies one to the spikes of a hidden layer. A
neuron's rate r is its mean over the valid time steps, in spikes per step; K is the number of neurons. Without `where`
there is one batch axis.
"""

from __future__ import annotations

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
    return l1_of_rates(over_time(time_folds.rate, spikes, where), batch_axes=_batch_axes(where))


def activity_l2(spikes: Array, target: Any = None, *, where: ArrayLike | None = None) -> Array:
    r"""Mean squared rate over neurons, :math:`\frac{1}{K} \sum_k r_k^2`. Args, Returns: as `activity_l1`."""
    return l2_of_rates(over_time(time_folds.rate, spikes, where), batch_axes=_batch_axes(where))


def activity_below(spikes: Array, target: Any = None, *, rate: float = 0.01, where: ArrayLike | None = None) -> Array:
    r"""Penalty for neurons that are nearly silent, :math:`\frac{1}{K} \sum_k \max(0, \text{rate} - r_k)^2`.

    Args:
        rate: the lower bound, in spikes per step.

    Other Args, Returns: as `activity_l1`.

    References:
        Zenke and Vogels, `The Remarkable Robustness of Surrogate Gradient Learning
        <https://doi.org/10.1162/neco_a_01367>`_, 2021
    """
    return below_of_rates(over_time(time_folds.rate, spikes, where), rate=rate, batch_axes=_batch_axes(where))


def activity_above(spikes: Array, target: Any = None, *, rate: float = 0.5, where: ArrayLike | None = None) -> Array:
    r"""Penalty for neurons that fire too much, :math:`\frac{1}{K} \sum_k \max(0, r_k - \text{rate})^2`.

    Args:
        rate: the upper bound, in spikes per step.

    Other Args, Returns, References: as `activity_below`.
    """
    return above_of_rates(over_time(time_folds.rate, spikes, where), rate=rate, batch_axes=_batch_axes(where))


# ------------------------------------------------------------------------------------------------------- of the rates


def l1_of_rates(rates: Array, target: Any = None, *, batch_axes: int = 1) -> Array:
    """`activity_l1` of rates `(*batch, *shape)`."""
    return _over_neurons(jnp.abs(rates), batch_axes)


def l2_of_rates(rates: Array, target: Any = None, *, batch_axes: int = 1) -> Array:
    """`activity_l2` of rates `(*batch, *shape)`."""
    return _over_neurons(jnp.square(rates), batch_axes)


def below_of_rates(rates: Array, target: Any = None, *, rate: float = 0.01, batch_axes: int = 1) -> Array:
    """`activity_below` of rates `(*batch, *shape)`."""
    return _over_neurons(jax.nn.relu(rate - rates) ** 2, batch_axes)


def above_of_rates(rates: Array, target: Any = None, *, rate: float = 0.5, batch_axes: int = 1) -> Array:
    """`activity_above` of rates `(*batch, *shape)`."""
    return _over_neurons(jax.nn.relu(rates - rate) ** 2, batch_axes)


def _over_neurons(penalties: Array, batch_axes: int) -> Array:
    return penalties.mean(tuple(range(batch_axes, penalties.ndim)))


def _batch_axes(where: ArrayLike | None) -> int:
    return 1 if where is None else jnp.ndim(where) - 1
