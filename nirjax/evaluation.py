"""`evaluate`: a model on a data set of any length, every sample exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import jax
import numpy as np
from jax import Array

from nirjax.data.batch import Batch
from nirjax.data.checks import Fit
from nirjax.data.sources import OpenSource, open_source
from nirjax.engine.model import Model, Run
from nirjax.errors import ArgumentError
from nirjax.finetuning.objectives import Loss, Objective, as_objective, reads_labels
from nirjax.finetuning.scores import decision, spike_rate
from nirjax.finetuning.scoring import mean, measure_of, score, scorer

MEMORY = 256 * 2**20
"""Bytes that the outputs and traces of a batch may take where its size is chosen."""

LARGEST = 256
"""The most samples in a batch where its size is chosen."""

UNKNOWN = 32
"""Samples in a batch of a stream, of which nothing is known beforehand."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` measured.

    Args:
        metrics: the mean of each metric over all samples.
        per_sample: each metric, `(samples,)`, in the order of the data; by default `prediction` too.
        samples: how many there are.
    """

    metrics: dict[str, float]
    per_sample: dict[str, np.ndarray]
    samples: int


def evaluate(
    model: Model,
    data: Any,
    *,
    metrics: Mapping[str, Objective | Loss] | None = None,
    batch_size: int | str = "auto",
    record: Sequence[str] | str = (),
    mesh: Any = None,
    output: str | PathLike[str] | None = None,
    resume: bool = True,
) -> Evaluation:
    """Runs a model over data and measures every sample once; filling never counts.

    Args:
        model: the model.
        data: as `nirjax.data.batches` takes it, or a `nirjax.data.Source`.
        metrics: names to functions, `(run, batch) -> (*batch,)` or `(output, target, *, where) -> (*batch,)`. None is
            accuracy, where the targets are labels, and the rate of spikes, where the graph has spiking nodes; with
            them comes each sample's prediction.
        batch_size: samples in a batch; "auto" is as many as fit into 256 MiB of outputs and traces, 256 at most.
        record: traces that the metrics see in `run.traces`.
        mesh, output, resume: several devices and results on disk are not there yet.

    Raises:
        DataError: data that is malformed or does not fit the model.
        ArgumentError: a batch size below one; an argument that is not there yet.
        ShapeError: a metric that is not one value a sample.
    """
    for name, value in {"mesh": mesh, "output": output}.items():
        if value is not None:
            raise ArgumentError("this is not there yet", field=name, expected="None")
    records = [record] if isinstance(record, str) else list(record)
    if metrics is None and any(name.endswith(".spikes") for name in model.variables):
        records.append("*.spikes")
    chosen = _standard if metrics is None else measure_of(metrics)
    functions = [] if metrics is None else [as_objective(function, "metrics") for function in metrics.values()]
    fit = Fit.of(model, labels=metrics is None or any(reads_labels(function) for function in functions))
    source = open_source(data, fit=fit)
    source.check(fit)
    seen: list[int] = []
    values = score(
        scorer(chosen, records),
        model,
        source.batches(_batch_size(model, source, batch_size, records)),
        fit,
        jax.random.key(0),
        seen.append,
    )
    means = {name: mean(samples) for name, samples in values.items() if name != "prediction" or metrics is not None}
    return Evaluation(means, values, seen[-1])


def _standard(run: Run, batch: Batch) -> dict[str, Array]:
    values = measure_of(None)(run, batch)
    if any(name.endswith(".spikes") for name in run.traces):
        values["spike_rate"] = spike_rate(run, batch)
    if not isinstance(run.output, dict) and run.output.ndim == 3:
        values["prediction"] = decision(run.output, where=batch.where)
    return values


def _batch_size(model: Model, source: OpenSource, given: int | str, record: Sequence[str]) -> int:
    if given != "auto":
        if isinstance(given, bool | str) or given < 1:
            raise ArgumentError("this is a number from 1, or 'auto'", field="batch_size", found=given)
        return int(given)
    if source.size is None:
        return UNKNOWN
    one = next(source.batches(1))
    run = jax.eval_shape(lambda model, x: model.run(x, record=record), model, one.x)
    kept: int = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((run.output, run.traces)))
    return max(1, min(LARGEST, MEMORY // max(kept, 1)))
