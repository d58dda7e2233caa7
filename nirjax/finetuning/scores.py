"""How good a run is: decisions, accuracy, rate of spikes."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from nirjax.data.batch import Batch
from nirjax.engine.model import Run
from nirjax.errors import PatternError
from nirjax.finetuning import time_folds
from nirjax.finetuning.comparisons import are_labels
from nirjax.finetuning.time_folds import mask, over_time


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
    return jnp.argmax(over_time(time_folds.count, output, where), axis=-1).astype(jnp.int32)


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
    target = jnp.asarray(target)
    labels = target if are_labels(target, output.shape[1:]) else jnp.argmax(target, axis=-1)
    return (decision(output, where=where) == labels).astype(jnp.float32)


def spike_rate(run: Run, batch: Batch) -> Array:
    """Spikes per neuron and time step, over all recorded traces `*.spikes`, `(batch,)`.

    Raises:
        PatternError: no such trace was recorded.
    """
    traces = [trace for name, trace in run.traces.items() if name.endswith(".spikes")]
    if not traces:
        raise PatternError("no spikes were recorded", field="record", hint="Add '*.spikes' to `record`")
    where = batch.where
    spikes: Array | float = 0.0
    chances: Array | float = 0.0
    for trace in traces:
        flat = trace.reshape(*trace.shape[:2], -1)
        real = mask(flat, where)
        spikes = spikes + jnp.sum(flat, (0, 2), where=real, dtype=jnp.float32)
        chances = chances + jnp.sum(jnp.broadcast_to(real, flat.shape), (0, 2), dtype=jnp.float32)
    return jnp.asarray(spikes / chances)
