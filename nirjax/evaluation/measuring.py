"""What is computed of a batch: each metric of each sample, and the traces that are kept."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.data.batch import Batch
from nirjax.data.placement import BY_SAMPLE, BY_STEP_AND_SAMPLE, Placement
from nirjax.engine.model import Model
from nirjax.finetuning.compiling import compiled
from nirjax.finetuning.measures import Measures, all_pieces, measured, per_sample, run_of
from nirjax.finetuning.objectives import Objective, OfOutput
from nirjax.finetuning.scores import prediction, spike_rate
from nirjax.ir.patterns import matching

PREDICTION = "prediction"
"""A class is no quantity: it has no mean."""


@dataclass(frozen=True)
class Measured:
    """Of each sample of a batch.

    Args:
        values: metric to `(batch,)`.
        kept: trace to `(time, batch, *shape)`, zero beyond the end of a recording.
    """

    values: dict[str, Any]
    kept: dict[str, Any]


jax.tree_util.register_dataclass(Measured, data_fields=["values", "kept"], meta_fields=[])


@dataclass(frozen=True)
class Wanted:
    """What is to be measured.

    Args:
        metrics: name and function of each; None is accuracy, the rate of spikes and the prediction.
        record: patterns of the traces that the metrics see.
        kept: names of those that are given back.
    """

    metrics: tuple[tuple[str, Objective], ...] | None
    record: tuple[str, ...]
    kept: tuple[str, ...] = ()

    @classmethod
    def of(cls, metrics: Mapping[str, Any] | None, record: tuple[str, ...], kept: bool, model: Model) -> Wanted:
        """What the arguments of `evaluate` ask of this model.

        Raises:
            ArgumentError: metrics that are no dict of functions by name.
            PatternError: a pattern that matches no trace.
        """
        named = None if metrics is None else Measures.of(metrics).always
        spiking = any(name.endswith(".spikes") for name in model.variables)
        more = ("*.spikes",) if metrics is None and spiking else ()
        names = matching(record, model.variables, argument="record") if record else ()
        return cls(named, (*record, *more), names if kept else ())

    def measures(self, model: Model) -> Measures:
        """The metrics; those of `standard` where none were given."""
        return standard(model) if self.metrics is None else Measures(self.metrics)


def scorer(wanted: Wanted, placement: Placement | None) -> Callable[[Model, Batch], Measured]:
    """The compiled function that runs a batch and measures it, over the devices of a placement."""
    return compiled(_spread, (wanted, placement))


def _spread(settings: tuple[Wanted, Placement | None], model: Model, batch: Batch) -> Measured:
    wanted, placement = settings
    function: Callable[[Model, Batch], Measured] = functools.partial(of_batch, wanted)
    if placement is not None:
        divided: Any = {"values": BY_SAMPLE, "kept": BY_STEP_AND_SAMPLE}
        function = placement.over_batch(function, Measured(**divided))
    return function(model, batch)


def of_batch(wanted: Wanted, model: Model, batch: Batch) -> Measured:
    """Runs a batch and measures it."""
    batch = batch.binned()
    functions = wanted.measures(model).functions(model, batch)
    if not wanted.kept:
        return Measured(measured(functions, model, batch, wanted.record), {})
    run = run_of(model, batch, wanted.record)
    values = {name: per_sample(name, function(run, batch), batch) for name, function in functions.items()}
    return Measured(values, {name: _within(run.traces[name], batch) for name in wanted.kept})


def held_bytes(wanted: Wanted, model: Model, batch: Batch) -> int:
    """Bytes that a batch takes on its device over all time steps: as frames, and the one that comes next as it travels;
    the output and the traces too, unless all metrics are folded over time and no trace is kept."""
    held: int = batch.nbytes + max(batch.nbytes, jax.eval_shape(Batch.binned, batch).nbytes)
    functions = wanted.measures(model).functions(model, batch)
    if wanted.kept or all_pieces(functions, model, wanted.record) is None:
        run = jax.eval_shape(lambda model, x: model.run(x, record=wanted.record), model, batch.x)
        held += sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((run.output, run.traces)))
    return held


def standard(model: Model) -> Measures:
    """Accuracy where there are labels, rate of spikes, and each sample's prediction; what the graph has of these."""
    plan, always = model.program.plan, []
    if any(name.endswith(".spikes") for name in model.variables):
        always.append(("spike_rate", spike_rate))
    if len(plan.outputs) == 1 and len(plan.sites[plan.outputs[0]].output_shape) == 1:
        always.append((PREDICTION, OfOutput(prediction)))
    return dataclasses.replace(Measures.of(None), always=tuple(always))


def _within(trace: Array, batch: Batch) -> Array:
    where = batch.where
    return trace if where is None else jnp.where(where.reshape(*where.shape, *(1,) * (trace.ndim - 2)), trace, 0)
