"""Scoring a model on data: per sample, exactly once each, whatever the batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.data.batch import Batch
from nirjax.data.checks import Fit
from nirjax.data.padding import to_bucket
from nirjax.engine.model import Model, Run
from nirjax.errors import ArgumentError, ShapeError
from nirjax.finetuning.objectives import Objective, OfOutput, as_objective
from nirjax.finetuning.scores import accuracy

Measure = Callable[[Run, Batch], dict[str, Array]]
"""Names to values, each `(batch,)`."""

Transform = Callable[[Model, Array], Model]
"""`(model, key) -> model`: what stands between the parameters and the run."""

Scorer = Callable[[Model, Batch, Array], dict[str, Array]]


def measure_of(metrics: Mapping[str, Any] | None) -> Measure:
    """All metrics in one function; None is accuracy, where the targets are labels.

    Raises:
        ArgumentError: metrics that are no dict of functions by name.
    """
    if metrics is None:
        return lambda run, batch: {"accuracy": OfOutput(accuracy)(run, batch)} if has_labels(run, batch) else {}
    if not isinstance(metrics, Mapping):
        raise ArgumentError(
            "metrics come as a dict", field="metrics", found=type(metrics).__name__, expected="names to functions"
        )
    if "loss" in metrics:
        raise ArgumentError("this name is taken by the loss", field="metrics", found="loss")
    functions: dict[str, Objective] = {
        str(name): as_objective(function, f"metrics[{name!r}]") for name, function in metrics.items()
    }
    return lambda run, batch: {name: function(run, batch) for name, function in functions.items()}


def has_labels(run: Run, batch: Batch) -> bool:
    """Are the targets one integer a sample, and the output one vector a step?"""
    y: Any = batch.y
    return (
        not isinstance(run.output, dict)
        and run.output.ndim == 3
        and y is not None
        and y.ndim == 1
        and bool(jnp.issubdtype(y.dtype, jnp.integer))
    )


def per_sample(name: str, values: Any, batch: Batch) -> Array:
    """The values; bool and short floats as float32.

    Raises:
        ShapeError: they are not one a sample.
    """
    array = jnp.asarray(values)
    if array.shape != (batch.size,):
        raise ShapeError(
            "one value a sample is needed", field=name, found=f"shape {array.shape}",
            expected=f"({batch.size},)", hint="Reduce over time and neurons, not over the batch",
        )  # fmt: skip
    return array if array.dtype.kind == "i" else array.astype(jnp.promote_types(array.dtype, jnp.float32))


def transformed(model: Model, transform: Sequence[Transform], key: Array) -> Model:
    """The model as it is run: every transform in order, each with a key of its own."""
    for place, function in enumerate(transform):
        model = function(model, jax.random.fold_in(key, place))
    return model


def scorer(measure: Measure, record: Sequence[str] = (), transform: Sequence[Transform] = ()) -> Scorer:
    """The compiled function that runs a batch and measures each sample of it."""

    @jax.jit
    def score(model: Model, batch: Batch, key: Array) -> dict[str, Array]:
        batch = batch.binned()
        run = transformed(model, transform, key).run(batch.x, record=record)
        return {name: per_sample(name, values, batch) for name, values in measure(run, batch).items()}

    return score


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
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def check_fit(fit: Fit, batch: Batch) -> None:
    """Raises a DataError if the batch does not fit the model."""
    fit.check(batch.step_shape, batch.y)


def mean(values: np.ndarray | list[float]) -> float:
    """The mean in double precision, so that it does not depend on how the samples were batched."""
    return float(np.mean(values, dtype=np.float64))
