"""What is minimised, and what is measured: one type, `(run, batch) -> (*batch,)`.

A loss on the output, `(output, target, *, where)`, becomes one by `of_output`, or by `of_trace` where it is to see a
recorded variable; `weighted_sum` adds several up. `finetune` and `evaluate` take both kinds: what has a keyword `where`
is a loss on the output.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jax import Array

from nirjax.data.batch import Batch
from nirjax.engine.model import Run
from nirjax.errors import ArgumentError, DataError, PatternError

Loss = Callable[..., Array]
"""`(output, target, *, where=None) -> (*batch,)`."""

Objective = Callable[[Run, Batch], Array]
"""`(run, batch) -> (*batch,)`."""


@dataclass(frozen=True)
class OfOutput:
    """A loss, applied to a run's output and a batch's target; see `of_output`."""

    loss: Loss
    name: str | None = None

    def __call__(self, run: Run, batch: Batch) -> Array:
        output: Any = run.output
        if isinstance(output, Mapping):
            if self.name not in output:
                raise ArgumentError(
                    "the graph has several outputs, and the loss is on one", field="loss", found=self.name,
                    expected=f"losses.of_output(loss, name) with one of {', '.join(output)}",
                )  # fmt: skip
            output = output[self.name]
        return self.loss(output, target_of(batch, self.loss), where=batch.where)


@dataclass(frozen=True)
class OfTrace:
    """A loss, applied to a recorded trace and a batch's target; see `of_trace`."""

    loss: Loss
    name: str

    def __call__(self, run: Run, batch: Batch) -> Array:
        if self.name not in run.traces:
            raise PatternError(
                "this trace was not recorded", found=self.name, expected=f"one of {', '.join(run.traces) or 'none'}",
                hint="Name it in `record`",
            )  # fmt: skip
        return self.loss(run.traces[self.name], target_of(batch, self.loss), where=batch.where)


@dataclass(frozen=True)
class WeightedSum:
    """Objectives times weights, added up; see `weighted_sum`."""

    terms: tuple[tuple[Objective, float], ...]

    def __call__(self, run: Run, batch: Batch) -> Array:
        first, *others = (weight * objective(run, batch) for objective, weight in self.terms)
        return sum(others, first)


def of_output(loss: Loss, name: str | None = None) -> Objective:
    """`(run, batch) -> (*batch,)` of a loss on the output.

    Args:
        loss: `(output, target, *, where)`.
        name: the Output node, where the graph has several.
    """
    return OfOutput(loss, name)


def of_trace(loss: Loss, name: str) -> Objective:
    """`(run, batch) -> (*batch,)` of a loss or regulariser on a trace.

        finetune(..., loss=of_trace(max_membrane_cross_entropy, "readout.v"), record=["readout.v"])

    Args:
        loss: `(output, target, *, where)`; the trace stands for the output.
        name: the trace, `<node path>.<variable>`; it must be recorded.
    """
    return OfTrace(loss, name)


def weighted_sum(*terms: tuple[Objective | Loss, float]) -> Objective:
    r""":math:`\sum_k w_k L_k`: a loss with its regularisers.

        weighted_sum((spike_count_cross_entropy, 1.0), (of_trace(activity_l2, "lif1.spikes"), 1e-3))

    A function of one's own does as well. This one can be folded over time wherever all its terms can.

    Args:
        terms: pairs of what `finetune` takes as a loss, and its weight w.

    Raises:
        ArgumentError: no terms, or one that is not a pair of a function and a number.
    """
    try:
        pairs = tuple((as_objective(function, "terms"), float(weight)) for function, weight in terms)
    except (TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError("a term is a pair", field="terms", found=terms, expected="(loss, weight), ...") from None
    if not pairs:
        raise ArgumentError("a sum has at least one term", field="terms", expected="(loss, weight), ...")
    return WeightedSum(pairs)


def as_objective(function: Any, argument: str) -> Objective:
    """What a user gave as a loss or metric: `(run, batch)`, or `(output, target, *, where)`.

    Raises:
        ArgumentError: it is no function of one of these kinds.
    """
    takes_where = _takes_where(function)
    expected = "(run, batch) or (output, target, *, where) -> (*batch,)"
    check_function(function, argument, expected, **({"where": None} if takes_where else {}))
    return OfOutput(function) if takes_where else function


def check_function(function: Any, argument: str, expected: str, **keywords: Any) -> None:
    """Raises an ArgumentError if this is no function of two arguments and these keywords, as far as can be told."""
    if not callable(function):
        raise ArgumentError("this is no function", field=argument, found=type(function).__name__, expected=expected)
    try:
        inspect.signature(function).bind(None, None, **keywords)
    except ValueError:  # one without a signature that could be read
        return
    except TypeError as error:
        raise ArgumentError(
            f"this function takes other arguments ({error})", field=argument, found=function, expected=expected
        ) from None


def reads_labels(objective: Objective) -> bool:
    """Is it one of nirjax's own losses, to which one integer a sample is the number of a class?"""
    if isinstance(objective, WeightedSum):
        return any(reads_labels(term) for term, _ in objective.terms)
    if not isinstance(objective, OfOutput | OfTrace):
        return False
    function: Any = objective.loss
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__module__", "")).startswith("nirjax.")


def _takes_where(function: Any) -> bool:
    try:
        return "where" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _is_optional(function: Any, name: str) -> bool:
    try:
        parameter = inspect.signature(function).parameters.get(name)
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.default is not inspect.Parameter.empty


def target_of(batch: Batch, loss: Loss) -> Any:
    """The batch's target.

    Raises:
        DataError: there is none, and the loss has no use for None.
    """
    if batch.y is None and not _is_optional(loss, "target"):
        raise DataError("the data has no targets to compare with", field="y", hint="Give (x, y)")
    return batch.y
