"""What is measured in a run of a batch: a loss and metrics by name, over time in pieces wherever that is possible."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from nirjax.data.batch import Batch
from nirjax.engine.model import Model, Run
from nirjax.errors import ArgumentError, ShapeError
from nirjax.finetuning.final_state import state_at
from nirjax.finetuning.objectives import Objective, OfOutput, as_objective, reads_labels
from nirjax.finetuning.pieces import Pieces, accumulated, pieces_of
from nirjax.finetuning.scores import accuracy
from nirjax.ir.patterns import matching

Named = tuple[tuple[str, Objective], ...]


@dataclass(frozen=True)
class Measures:
    """Names to functions `(run, batch) -> (batch,)`.

    Args:
        always: measured in every batch.
        labelled: measured where the targets are labels: one integer a sample, and one vector a step as the output.
    """

    always: Named = ()
    labelled: Named = ()

    @classmethod
    def of(cls, metrics: Mapping[str, Any] | None) -> Measures:
        """What a user gave as metrics; None is accuracy, where the targets are labels.

        Raises:
            ArgumentError: metrics that are no dict of functions by name.
        """
        if metrics is None:
            return cls(labelled=(("accuracy", OfOutput(accuracy)),))
        if not isinstance(metrics, Mapping):
            raise ArgumentError(
                "metrics come as a dict", field="metrics", found=type(metrics).__name__, expected="names to functions"
            )
        if "loss" in metrics:
            raise ArgumentError("this name is taken by the loss", field="metrics", found="loss")
        named = {str(name): as_objective(function, f"metrics[{name!r}]") for name, function in metrics.items()}
        return cls(tuple(named.items()))

    def and_loss(self, loss: Objective) -> Measures:
        """These, and a loss before them."""
        return Measures((("loss", loss), *self.always), self.labelled)

    def read_labels(self) -> bool:
        """Is one of them nirjax's own, to which an integer a sample is the number of a class?"""
        return bool(self.labelled) or any(reads_labels(function) for _, function in self.always)

    def functions(self, model: Model, batch: Batch) -> dict[str, Objective]:
        """Those that a batch is measured by."""
        return dict([*self.always, *(self.labelled if has_labels(model, batch) else ())])


def has_labels(model: Model, batch: Batch) -> bool:
    """Are the targets one integer a sample, and the output one vector a step?"""
    plan, y = model.program.plan, batch.y
    return (
        len(plan.outputs) == 1
        and len(plan.sites[plan.outputs[0]].output_shape) == 1
        and y is not None
        and y.ndim == 1
        and bool(jnp.issubdtype(y.dtype, jnp.integer))
    )


def measured(
    functions: Mapping[str, Objective], model: Model, batch: Batch, record: Sequence[str], graded: str | None = None
) -> dict[str, Array]:
    """Runs a batch, and gives the values of each function, `(batch,)`.

    Where all functions come in pieces (`losses.folded`), nothing of the run is kept over time; else its output and the
    recorded traces are. The numbers are the same.

    Args:
        functions: by name.
        record: patterns of traces.
        graded: the only one that is differentiated, if any is.

    Raises:
        ShapeError: a value that is not one a sample.
        PatternError: a pattern that matches no trace.
    """
    batch = batch.binned()
    pieces = all_pieces(functions, model, record)
    if pieces is not None:
        values = _in_pieces(pieces, model, batch, graded)
    else:
        run = run_of(model, batch, record)
        values = {name: _value(name, function, run, batch) for name, function in functions.items()}
    return {name: per_sample(name, found, batch) for name, found in values.items()}


def _value(name: str, function: Objective, run: Run, batch: Batch) -> Any:
    try:
        return function(run, batch)
    except Exception as error:
        of_output = isinstance(function, OfOutput)
        how = "(output, target, where=...), as it has a `where`" if of_output else "(run, batch), as it has no `where`"
        error.add_note(f"{name!r} was called as {how}")
        raise


def all_pieces(functions: Mapping[str, Objective], model: Model, record: Sequence[str]) -> dict[str, Pieces] | None:
    """The pieces of each function; None where one of them needs the whole run.

    Raises:
        PatternError: a pattern that matches no trace.
    """
    traces = matching(record, model.variables, argument="record") if record else ()
    pieces = {name: pieces_of(function, model, traces) for name, function in functions.items()}
    found = {name: one for name, one in pieces.items() if one is not None}
    return found if len(found) == len(functions) else None


def run_of(model: Model, batch: Batch, record: Sequence[str]) -> Run:
    """The run of a batch, with the state that each recording's own last step leaves."""
    run = model.run(batch.x, record=record)
    return run if batch.length is None else dataclasses.replace(run, state=state_at(model, batch.x, batch.length))


def _in_pieces(pieces: Mapping[str, Pieces], model: Model, batch: Batch, graded: str | None) -> dict[str, Array]:
    needed = list(dict.fromkeys(one for part in pieces.values() for one in part.statistics))
    kept = needed if graded is None else pieces[graded].statistics
    found = accumulated(model, batch, needed, [one for one in needed if one not in kept])
    return {name: part.finish(found, batch) for name, part in pieces.items()}


def per_sample(name: str, values: Any, batch: Batch) -> Array:
    """The values; bool and short floats as float32.

    Raises:
        ShapeError: they are not one a sample.
    """
    try:
        array, found = jnp.asarray(values), f"shape {jnp.shape(values)}"
    except (TypeError, ValueError):
        array, found = jnp.zeros(()), type(values).__name__
    if array.shape != (batch.size,):
        raise ShapeError(
            "one value a sample is needed", field=name, found=found,
            expected=f"({batch.size},)", hint="Reduce over time and neurons, not over the batch",
        )  # fmt: skip
    return array if array.dtype.kind == "i" else array.astype(jnp.promote_types(array.dtype, jnp.float32))
