"""Losses: `loss(output, target, *, where=None) -> (*batch,)`.

    output   (time, *batch, classes): spikes, or the membrane of a readout
    target   labels (*batch,), integers from 0; or values (*batch, classes), probabilities for a cross entropy
    where    (time, *batch), True where a time step belongs to the recording: `Batch.where`

Nothing is averaged over the batch. A time step outside `where` has no influence on a loss or its gradient. What the
losses compare is optax's own: softmax cross entropy and squared error. `folded` gives most of them in pieces, for
recordings too long to keep. In the equations z[t] is the output, y the target, and sums over t are over `where`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from nirjax.errors import ArgumentError, ShapeError
from nirjax.finetuning import time_folds
from nirjax.finetuning.activity import (
    above_of_rates,
    activity_above,
    activity_below,
    activity_l1,
    activity_l2,
    below_of_rates,
    l1_of_rates,
    l2_of_rates,
)
from nirjax.finetuning.comparisons import (
    count_error,
    cross_entropy,
    first_time_cross_entropy,
    negative_log_likelihood,
    rate_error,
    squared_error,
    time_error,
)
from nirjax.finetuning.folded_loss import FoldedLoss
from nirjax.finetuning.objectives import of_output, of_trace, weighted_sum
from nirjax.finetuning.time_folds import as_float, mask, over_time

__all__ = [
    "FoldedLoss",
    "activity_above",
    "activity_below",
    "activity_l1",
    "activity_l2",
    "first_spike_time_cross_entropy",
    "first_spike_time_mse",
    "folded",
    "last_membrane_cross_entropy",
    "max_membrane_cross_entropy",
    "membrane_mse",
    "of_output",
    "of_trace",
    "spike_count_cross_entropy",
    "spike_count_mse",
    "spike_rate_cross_entropy",
    "spike_rate_mse",
    "stepwise_cross_entropy",
    "summed_softmax_cross_entropy",
    "van_rossum_distance",
    "weighted_sum",
]


# ------------------------------------------------------------------------------------------------- cross entropies


def spike_count_cross_entropy(output: Array, target: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    r"""Cross entropy of the softmax over spike counts.

    .. math::
        L = -\log \frac{\exp n_y}{\sum_k \exp n_k}, \qquad n_k = \sum_t z_k[t]

    Args:
        output: spikes, `(time, *batch, classes)`.
        target: labels `(*batch,)` or probabilities `(*batch, classes)`.
        where: valid time steps, `(time, *batch)`.

    Returns:
        the loss of each sample in nats, `(*batch,)`.

    Raises:
        ShapeError: target or mask do not fit the output.

    References:
        Eshraghian et al, `Training Spiking Neural Networks Using Lessons From Deep Learning
        <https://doi.org/10.1109/JPROC.2023.3308088>`_, 2023
    """
    return cross_entropy(over_time(time_folds.count, output, where), target)


def spike_rate_cross_entropy(output: Array, target: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    r"""Cross entropy of the softmax over mean rates, in spikes per time step.

    .. math::
        L = -\log \frac{\exp r_y}{\sum_k \exp r_k}, \qquad r_k = \frac{1}{T} \sum_t z_k[t]

    Rates lie between 0 and 1, so the loss stays above log(1 + (classes - 1) / e); it weighs recordings of different
    lengths alike. `stepwise_cross_entropy` is what snnTorch calls `ce_rate_loss`.

    Args, Returns, Raises: as `spike_count_cross_entropy`.
    """
    return cross_entropy(over_time(time_folds.rate, output, where), target)


def max_membrane_cross_entropy(output: Array, target: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    r"""Cross entropy of the softmax over each membrane's largest value.

    .. math::
        L = -\log \frac{\exp m_y}{\sum_k \exp m_k}, \qquad m_k = \max_t v_k[t]

    Args, Returns, Raises: as `spike_count_cross_entropy`; the output is a membrane.

    References:
        Cramer et al, `The Heidelberg Spiking Data Sets for the Systematic Evaluation of Spiking Neural Networks
        <https://doi.org/10.1109/TNNLS.2020.3044364>`_, 2022
    """
    return cross_entropy(over_time(time_folds.maximum, output, where), target)


def last_membrane_cross_entropy(output: Array, target: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    r"""Cross entropy of the softmax over the membranes at each recording's last time step.

    .. math::
        L = -\log \frac{\exp v_y[T]}{\sum_k \exp v_k[T]}

    Args, Returns, Raises: as `spike_count_cross_entropy`; the output is a membrane.

    References:
        Cramer et al, `The Heidelberg Spiking Data Sets for the Systematic Evaluation of Spiking Neural Networks
        <https://doi.org/10.1109/TNNLS.2020.3044364>`_, 2022
    """
    return cross_entropy(over_time(time_folds.last, output, where), target)


def summed_softmax_cross_entropy(output: Array, target: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    r"""Cross entropy of the softmax over summed softmaxes of the membrane.

    .. math::
        L = -\log \frac{\exp o_y}{\sum_k \exp o_k}, \qquad o_k = \sum_t \frac{\exp v_k[t]}{\sum_j \exp v_j[t]}

    Args, Returns, Raises: as `spike_count_cross_entropy`; the output is a membrane.

    References:
        Bittar and Garner, `A Surrogate Gradient Spiking Baseline for Speech Command Recognition
        <https://doi.org/10.3389/fnins.2022.865897>`_, 2022
    """
    return cross_entropy(over_time(time_folds.softmax_sum, output, where), target)


def stepwise_cross_entropy(output: Array, target: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    r"""Mean over time of the cross entropy at each time step.

    .. math::
        L = -\frac{1}{T} \sum_t \log \frac{\exp z_y[t]}{\sum_k \exp z_k[t]}

    Args, Returns, Raises: as `spike_count_cross_entropy`.

    References:
        Deng et al, `Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting
        <https://arxiv.org/abs/2202.11946>`_, 2022
    """
    return negative_log_likelihood(over_time(time_folds.log_softmax_rate, output, where), target)


def first_spike_time_cross_entropy(
    output: Array, target: ArrayLike, *, tau: float = 1.0, where: ArrayLike | None = None
) -> Array:
    r"""Cross entropy of the softmax over negative first spike times: who fires first, wins.

    .. math::
        L = -\log \frac{\exp(-t_y / \tau)}{\sum_k \exp(-t_k / \tau)},
        \qquad t_k = \sum_t \prod_{s \le t} (1 - z_k[s])

    `t_k` is the number of steps before the first spike, all of them for a silent neuron. It is the multilinear
    extension of the first spike time, so the derivative by `z[t]` says how many steps that spike is worth.

    Args:
        tau: the time in which a lead counts e-fold, in time steps.

    Other Args, Returns, Raises: as `spike_count_cross_entropy`.

    References:
        Mostafa, `Supervised Learning Based on Temporal Coding in Spiking Neural Networks
        <https://doi.org/10.1109/TNNLS.2017.2726060>`_, 2018
    """
    return first_time_cross_entropy(over_time(time_folds.first_spike, output, where), target, tau=tau)


# ---------------------------------------------------------------------------------------------------- squared errors


def spike_count_mse(
    output: Array,
    target: ArrayLike,
    *,
    correct_rate: float = 1.0,
    incorrect_rate: float = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    r"""Mean squared error of spike counts.

    .. math::
        L = \frac{1}{K} \sum_k (n_k - y_k)^2, \qquad n_k = \sum_t z_k[t]

    Args:
        output: spikes, `(time, *batch, classes)`.
        target: counts `(*batch, classes)`; or labels `(*batch,)`, which ask for `correct_rate` spikes a step of the
            label's neuron and for `incorrect_rate` of the others.
        where: valid time steps, `(time, *batch)`.

    Returns:
        the loss of each sample in spikes squared, `(*batch,)`.

    Raises:
        ShapeError: target or mask do not fit the output.
    """
    statistic = over_time(time_folds.count_and_steps, output, where)
    return count_error(statistic, target, correct_rate=correct_rate, incorrect_rate=incorrect_rate)


def spike_rate_mse(
    output: Array,
    target: ArrayLike,
    *,
    correct_rate: float = 1.0,
    incorrect_rate: float = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    r"""Mean squared error of mean rates, in spikes per time step.

    .. math::
        L = \frac{1}{K} \sum_k (r_k - y_k)^2, \qquad r_k = \frac{1}{T} \sum_t z_k[t]

    Args, Returns, Raises: as `spike_count_mse`, with rates in place of counts.
    """
    rates = over_time(time_folds.rate, output, where)
    return squared_error(rates, target, correct=correct_rate, incorrect=incorrect_rate)


def membrane_mse(
    output: Array, target: ArrayLike, *, correct: float = 1.0, incorrect: float = 0.0, where: ArrayLike | None = None
) -> Array:
    r"""Mean squared error of a membrane, over time and neurons.

    .. math::
        L = \frac{1}{T K} \sum_t \sum_k (v_k[t] - y_k[t])^2

    Args:
        output: the membrane, `(time, *batch, neurons)`.
        target: a trace `(time, *batch, neurons)`; values for all steps `(*batch, neurons)`; or labels `(*batch,)`,
            which ask for `correct` of the label's neuron and for `incorrect` of the others.
        where: valid time steps, `(time, *batch)`.

    Returns:
        the loss of each sample in membrane units squared, `(*batch,)`.

    Raises:
        ShapeError: target or mask do not fit the output.
    """
    output, target = as_float(output), jnp.asarray(target)
    if target.ndim < output.ndim:
        target = jnp.broadcast_to(target, (output.shape[0], *target.shape))
    return over_time(time_folds.rate, squared_error(output, target, correct=correct, incorrect=incorrect), where)


def first_spike_time_mse(
    output: Array,
    target: ArrayLike,
    *,
    correct: float = 0.0,
    incorrect: float | None = None,
    where: ArrayLike | None = None,
) -> Array:
    r"""Mean squared error of first spike times, in time steps.

    .. math::
        L = \frac{1}{K} \sum_k (t_k - y_k)^2, \qquad t_k = \sum_t \prod_{s \le t} (1 - z_k[s])

    Args:
        output: spikes, `(time, *batch, classes)`.
        target: times `(*batch, classes)`, in steps from the start; or labels `(*batch,)`, which ask for the time
            `correct` of the label's neuron and for `incorrect` (None: the end of the recording) of the others.
        where: valid time steps, `(time, *batch)`.

    Returns:
        the loss of each sample in steps squared, `(*batch,)`.

    Raises:
        ShapeError: target or mask do not fit the output.
    """
    statistic = over_time(time_folds.first_spike, output, where)
    return time_error(statistic, target, correct=correct, incorrect=incorrect)


def van_rossum_distance(
    output: Array, target: ArrayLike, *, tau: float = 10.0, where: ArrayLike | None = None
) -> Array:
    r"""Squared van Rossum distance of spike trains, summed over neurons.

    .. math::
        L = \frac{1}{\tau} \sum_k \sum_t (f_k[t] - g_k[t])^2, \qquad f_k[t] = e^{-1/\tau} f_k[t-1] + z_k[t]

    g is the target, filtered likewise. A spike too many costs about 1/2, up to what the end of the recording cuts off.

    Args:
        output: spikes, `(time, *batch, *shape)`.
        target: spikes of the same shape.
        tau: time constant of the filter, in time steps.
        where: valid time steps, `(time, *batch)`; the axes behind its own, or behind the first two without it, are
            neurons.

    Returns:
        the squared distance of each sample, `(*batch,)`.

    Raises:
        ShapeError: the spike trains differ in shape.
        ArgumentError: a time constant that is not positive.

    References:
        van Rossum, `A Novel Spike Distance <https://doi.org/10.1162/089976601300014321>`_, 2001
    """
    if not tau > 0:
        raise ArgumentError("a time constant is positive", field="tau", found=tau)
    output, target = as_float(output), as_float(jnp.asarray(target))
    if output.shape != target.shape:
        raise ShapeError(
            "two spike trains of different shapes", field="target", found=target.shape, expected=output.shape
        )
    real = mask(output, where)
    neurons = tuple(range(2 if where is None else jnp.ndim(where), output.ndim))
    decay = jnp.exp(-1 / jnp.asarray(tau, output.dtype))

    def advance(trace: Array, difference: Array) -> tuple[Array, Array]:
        trace = decay * trace + difference
        return trace, trace

    _, traces = jax.lax.scan(advance, jnp.zeros_like(output[0]), jnp.where(real, output - target, 0))
    return jnp.sum(jnp.where(real, traces, 0) ** 2, axis=(0, *neurons)) / tau


# ------------------------------------------------------------------------------------------------------ block by block


_FOLDED: dict[Callable[..., Array], FoldedLoss] = {
    spike_count_cross_entropy: FoldedLoss(time_folds.count, cross_entropy),
    spike_rate_cross_entropy: FoldedLoss(time_folds.rate, cross_entropy),
    max_membrane_cross_entropy: FoldedLoss(time_folds.maximum, cross_entropy),
    last_membrane_cross_entropy: FoldedLoss(time_folds.last, cross_entropy),
    summed_softmax_cross_entropy: FoldedLoss(time_folds.softmax_sum, cross_entropy),
    first_spike_time_cross_entropy: FoldedLoss(time_folds.first_spike, first_time_cross_entropy),
    stepwise_cross_entropy: FoldedLoss(time_folds.log_softmax_rate, negative_log_likelihood),
    spike_count_mse: FoldedLoss(time_folds.count_and_steps, count_error),
    spike_rate_mse: FoldedLoss(time_folds.rate, rate_error),
    first_spike_time_mse: FoldedLoss(time_folds.first_spike, time_error),
    activity_l1: FoldedLoss(time_folds.rate, l1_of_rates),
    activity_l2: FoldedLoss(time_folds.rate, l2_of_rates),
    activity_below: FoldedLoss(time_folds.rate, below_of_rates),
    activity_above: FoldedLoss(time_folds.rate, above_of_rates),
}


def folded(loss: Callable[..., Array]) -> FoldedLoss:
    """The pieces of a loss or regulariser of this module, or of a `functools.partial` of one.

    Those of a regulariser are for one batch axis.

    Raises:
        ArgumentError: a loss that needs its target at every step (`membrane_mse`, `van_rossum_distance`), or one of
            somebody else's.
    """
    if isinstance(loss, FoldedLoss):
        return loss
    keywords: dict[str, Any] = {}
    function = loss
    while isinstance(function, functools.partial) and not function.args:
        keywords = {**function.keywords, **keywords}
        function = function.func
    if function not in _FOLDED:
        raise ArgumentError(
            "this loss cannot be folded over time", field="loss", found=getattr(function, "__name__", repr(function)),
            expected=f"one of {', '.join(known.__name__ for known in _FOLDED)}",
        )  # fmt: skip
    whole = _FOLDED[function]
    return FoldedLoss(whole.statistic, functools.partial(whole.compare, **keywords)) if keywords else whole
