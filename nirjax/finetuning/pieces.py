"""Objectives in pieces: statistics over time that need no run's output to be kept, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from nirjax.data.batch import Batch
from nirjax.engine import execute
from nirjax.engine.inputs import checked_inputs
from nirjax.engine.model import Model
from nirjax.engine.records import trace_names
from nirjax.engine.schedule import WHOLE
from nirjax.engine.states import States
from nirjax.errors import ArgumentError
from nirjax.finetuning import time_folds
from nirjax.finetuning.folded_loss import FoldedLoss
from nirjax.finetuning.losses import folded
from nirjax.finetuning.objectives import Loss, Objective, OfOutput, OfTrace, WeightedSum, target_of
from nirjax.finetuning.scores import (
    accuracy,
    accuracy_of_counts,
    decision_of_counts,
    prediction,
    rate_of_counts,
    spike_rate,
)
from nirjax.finetuning.time_folds import TimeFold, as_float, mask

Statistic = tuple[Literal["output", "trace"], str, TimeFold]
"""What is accumulated: of an Output node, or of a trace, by its name."""

Statistics = dict[Statistic, Array]

_SCORES: dict[Callable[..., Array], FoldedLoss] = {
    accuracy: FoldedLoss(time_folds.count, accuracy_of_counts),
    prediction: FoldedLoss(time_folds.count, decision_of_counts),
}


@dataclass(frozen=True)
class Pieces:
    """An objective in pieces.

    Args:
        statistics: what it needs of a run.
        finish: these, and the batch, to the value of each sample.
    """

    statistics: tuple[Statistic, ...]
    finish: Callable[[Statistics, Batch], Array]


def pieces_of(objective: Objective, model: Model, traces: Collection[str]) -> Pieces | None:
    """The pieces of an objective on a run of the model with these traces recorded; None if it needs the whole run."""
    if isinstance(objective, WeightedSum):
        return _of_sum(objective, model, traces)
    if objective is spike_rate:
        names = [name for name in traces if name.endswith(".spikes")]
        return _of_rate(tuple(("trace", name, time_folds.count_and_steps) for name in names)) if names else None
    outputs = model.program.plan.outputs
    if isinstance(objective, OfOutput) and (objective.name in outputs or len(outputs) == 1):
        return _of_loss("output", outputs[0] if len(outputs) == 1 else str(objective.name), objective.loss)
    if isinstance(objective, OfTrace) and objective.name in traces:
        return _of_loss("trace", objective.name, objective.loss)
    return None


def _of_loss(kind: Literal["output", "trace"], name: str, loss: Loss) -> Pieces | None:
    try:
        inner = _SCORES[loss] if loss in _SCORES else folded(loss)
    except (ArgumentError, TypeError):  # unhashable, so none of the known ones
        return None
    statistic: Statistic = (kind, name, inner.statistic)
    return Pieces((statistic,), lambda found, batch: inner.compare(found[statistic], target_of(batch, loss)))


def _of_rate(counted: tuple[Statistic, ...]) -> Pieces:
    return Pieces(counted, lambda found, batch: rate_of_counts([found[one] for one in counted], batch))


def _of_sum(whole: WeightedSum, model: Model, traces: Collection[str]) -> Pieces | None:
    parts: list[tuple[Pieces, float]] = []
    for term, weight in whole.terms:
        pieces = pieces_of(term, model, traces)
        if pieces is None:
            return None
        parts.append((pieces, weight))

    def finish(found: Statistics, batch: Batch) -> Array:
        first, *others = (weight * pieces.finish(found, batch) for pieces, weight in parts)
        return sum(others, first)

    return Pieces(tuple(dict.fromkeys(one for pieces, _ in parts for one in pieces.statistics)), finish)


def accumulated(
    model: Model, batch: Batch, statistics: Sequence[Statistic], detached: Collection[Statistic] = ()
) -> Statistics:
    """Runs a batch and keeps nothing of it but these statistics; no gradient flows out of the `detached` ones."""
    if not statistics:
        return {}
    plan, names = model.program.plan, trace_names(model.program.plan)
    inputs, samples = checked_inputs(plan, batch.x)
    states = model.init_state(samples)
    record = tuple(dict.fromkeys(names[name] for kind, name, _ in statistics if kind == "trace"))

    def signals(outputs: execute.Values, traces: execute.Values) -> list[Array]:
        found = [(outputs if kind == "output" else traces)[name] for kind, name, _ in statistics]
        return [as_float(signal) for signal in found]

    def one_step(states: States, inputs: execute.Values) -> list[Array]:
        constants = execute.prepare(plan, model.params)
        blocked = execute.in_blocks(plan, states)
        return signals(*execute.run_block(plan, constants, blocked, inputs, record, WHOLE)[1:])

    def update(carry: Any, outputs: execute.Values, traces: execute.Values) -> tuple[Any, tuple[()]]:
        start, carries = carry
        found = signals(outputs, traces)
        end = start + found[0].shape[0]
        where = None if batch.length is None else jnp.arange(found[0].shape[0])[:, None] + start < batch.length
        after = []
        for statistic, before, signal in zip(statistics, carries, found, strict=True):
            signal = lax.stop_gradient(signal) if statistic in detached else signal
            after.append(statistic[2].update(before, signal, mask(signal, where)))
        return (end, after), ()

    shapes = jax.eval_shape(one_step, states, {name: x[:1] for name, x in inputs.items()})
    empty = [one[2].init(shape.shape[1:], shape.dtype) for one, shape in zip(statistics, shapes, strict=True)]
    schedule = model._schedule(inputs, samples)
    start = (jnp.array(0), empty)
    _, (_, carries), _ = execute.fold_blocks(plan, model.params, states, inputs, schedule, update, start, record)
    return {one: one[2].finish(carry) for one, carry in zip(statistics, carries, strict=True)}
