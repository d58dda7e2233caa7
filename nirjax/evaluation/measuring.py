"""What is computed of a batch: each metric of each sample, and the traces that are kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.data.batch import Batch
from nirjax.data.placement import BY_SAMPLE, BY_STEP_AND_SAMPLE, Placement
from nirjax.engine.model import Model, Run
from nirjax.engine.records import matching
from nirjax.finetuning.objectives import Objective, as_objective, reads_labels
from nirjax.finetuning.scores import decision, spike_rate
from nirjax.finetuning.scoring import measure_of, per_sample, run_of

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
        measure_of(metrics)
        named = None if metrics is None else tuple(
            (str(name), as_objective(function, f"metrics[{name!r}]")) for name, function in metrics.items()
        )  # fmt: skip
        spiking = any(name.endswith(".spikes") for name in model.variables)
        more = ("*.spikes",) if metrics is None and spiking else ()
        names = matching(record, model.variables, argument="record") if record else ()
        return cls(named, (*record, *more), names if kept else ())

    @property
    def reads_labels(self) -> bool:
        """Is one integer a sample the number of a class, to any of the metrics?"""
        return self.metrics is None or any(reads_labels(function) for _, function in self.metrics)


def compiled(wanted: Wanted, placement: Placement | None) -> Callable[[Model, Batch], Measured]:
    """The compiled function that runs a batch and measures it, over the devices of a placement."""
    function: Callable[[Model, Batch], Measured] = functools.partial(measured, wanted)
    if placement is not None:
        divided: Any = {"values": BY_SAMPLE, "kept": BY_STEP_AND_SAMPLE}
        function = placement.over_batch(function, Measured(**divided))
    return jax.jit(function)


def measured(wanted: Wanted, model: Model, batch: Batch) -> Measured:
    """Runs a batch and measures it."""
    run = run_of(model, batch, wanted.record)
    measures = standard(run, batch) if wanted.metrics is None else {name: f(run, batch) for name, f in wanted.metrics}
    values = {name: per_sample(name, value, batch) for name, value in measures.items()}
    return Measured(values, {name: _within(run.traces[name], batch) for name in wanted.kept})


def standard(run: Run, batch: Batch) -> dict[str, Array]:
    """Accuracy, where the targets are labels; the rate of spikes, where there are any; the prediction."""
    values = measure_of(None)(run, batch)
    if any(name.endswith(".spikes") for name in run.traces):
        values["spike_rate"] = spike_rate(run, batch)
    if not isinstance(run.output, dict) and run.output.ndim == 3:
        values[PREDICTION] = decision(run.output, where=batch.where)
    return values


def _within(trace: Array, batch: Batch) -> Array:
    where = batch.where
    return trace if where is None else jnp.where(where.reshape(*where.shape, *(1,) * (trace.ndim - 2)), trace, 0)
