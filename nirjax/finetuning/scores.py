"""How good a run is: decisions, accuracy, rate of spikes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from nirjax.data.batch import Batch
from nirjax.engine.model import Run
from nirjax.errors import PatternError
from nirjax.finetuning import time_folds
from nirjax.finetuning.comparisons import are_labels
from nirjax.finetuning.time_folds import over_time


def decision(output: Array, *, where: ArrayLike | None = None) -> Array:
    r"""The class with the largest sum over time, :math:`\arg\max_k \sum_t z_k[t]`; of equal ones, the lowest.

    Args:
        output: spikes, or the membrane of a readout, `(time, *batch, classes)`.
        where: valid time steps, `(time, *batch)`.

    Returns:
        class numbers, int32 `(*batch,)`.

    Raises:
        ShapeError: the mask does not fit the output.
    """
    return decision_of_counts(over_time(time_folds.count, output, where))


def prediction(output: Array, target: Any = None, *, where: ArrayLike | None = None) -> Array:
    """`decision` with the arguments of a loss, so that it can be measured."""
    return decision(output, where=where)


def accuracy(output: Array, target: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """One where the decision is the target's class, else zero.

    Args:
        output: spikes, or the membrane of a readout, `(time, *batch, classes)`.
        target: labels `(*batch,)`, or probabilities `(*batch, classes)`, of which the likeliest class counts.
        where: valid time steps, `(time, *batch)`.

    Returns:
        float32 `(*batch,)`.

    Raises:
        ShapeError: target or mask do not fit the output.
    """
    return accuracy_of_counts(over_time(time_folds.count, output, where), target)


def accuracy_of_counts(counts: Array, target: ArrayLike) -> Array:
    """`accuracy` of sums over time `(*batch, classes)`."""
    target = jnp.asarray(target)
    labels = target if are_labels(target, counts.shape) else jnp.argmax(target, axis=-1)
    return (decision_of_counts(counts) == labels).astype(jnp.float32)


def decision_of_counts(counts: Array, target: Any = None) -> Array:
    """`decision` of sums over time `(*batch, classes)`."""
    return jnp.argmax(counts, axis=-1).astype(jnp.int32)


def spike_rate(run: Run, batch: Batch) -> Array:
    """Spikes per neuron and time step, over all recorded traces `*.spikes`, `(batch,)`.

    Raises:
        PatternError: no such trace was recorded.
    """
    traces = [trace for name, trace in run.traces.items() if name.endswith(".spikes")]
    if not traces:
        raise PatternError("no spikes were recorded", field="record", hint="Add '*.spikes' to `record`")
    return rate_of_counts([over_time(time_folds.count_and_steps, trace, batch.where) for trace in traces], batch)


def rate_of_counts(counts: Sequence[Array], batch: Batch) -> Array:
    """`spike_rate` of each trace's counts and steps, `(2, batch, *shape)`."""
    spikes, chances = jnp.stack([jnp.sum(part.reshape(2, batch.size, -1), -1) for part in counts]).sum(0)
    return jnp.asarray(spikes / chances)
