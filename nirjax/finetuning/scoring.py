"""Scoring a model on data: per sample, exactly once each, whatever the batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jax import Array

from nirjax.data.batch import Batch
from nirjax.data.checks import Fit
from nirjax.data.padding import to_bucket
from nirjax.engine.model import Model
from nirjax.errors import ArgumentError
from nirjax.finetuning.compiling import compiled
from nirjax.finetuning.measures import Measures, measured

Transform = Callable[[Model, Array], Model]
"""`(model, key) -> model`: what stands between the parameters and the run."""

Scorer = Callable[[Model, Batch, Array], dict[str, Array]]


def transformed(model: Model, transform: Sequence[Transform], key: Array) -> Model:
    """The model as it is run: every transform in order, each with a key of its own.

    Raises:
        ArgumentError: one that gives back no model.
    """
    for place, function in enumerate(transform):
        model = function(model, jax.random.fold_in(key, place))
        if not isinstance(model, Model):
            raise ArgumentError(
                "a transform gives back a model", field="transform", found=type(model).__name__,
                expected="(model, key) -> model", hint="`model.replace(params=...)` is a model with other parameters",
            )  # fmt: skip
    return model


@dataclass(frozen=True)
class Scoring:
    """How a batch is scored.

    Args:
        measures: what is measured.
        record: patterns of traces that the measures see.
        transform: what stands between the parameters and the run.
    """

    measures: Measures
    record: tuple[str, ...] = ()
    transform: tuple[Transform, ...] = ()


def scorer(scoring: Scoring) -> Scorer:
    """The compiled function `(model, batch, key) -> values` that runs a batch and measures each sample of it."""
    return compiled(_score, scoring)


def _score(scoring: Scoring, model: Model, batch: Batch, key: Array) -> dict[str, Array]:
    model = transformed(model, scoring.transform, key)
    return measured(scoring.measures.functions(model, batch), model, batch, scoring.record)


def score(
    function: Scorer,
    model: Model,
    batches: Iterable[Batch],
    fit: Fit,
    key: Array,
    seen: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """The values of all samples that are no filling, in their order; `seen` is told how many there are so far."""
    parts: list[dict[str, np.ndarray]] = []
    done = 0
    for batch in batches:
        check_fit(fit, batch)
        values = function(model, to_bucket(batch), key)
        valid = np.asarray(batch.valid)
        parts.append({name: np.asarray(value)[valid] for name, value in values.items()})
        done += int(valid.sum())
        if seen is not None:
            seen(done)
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def check_fit(fit: Fit, batch: Batch) -> None:
    """Raises a DataError if the batch does not fit the model."""
    fit.check(batch.step_shape, batch.y)


def mean(values: np.ndarray | list[float]) -> float:
    """The mean in double precision, so that it does not depend on how the samples were batched."""
    return float(np.mean(values, dtype=np.float64))
