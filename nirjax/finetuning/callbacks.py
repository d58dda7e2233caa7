"""What a callback is told, and what it may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nirjax.engine.model import Model, Params
from nirjax.errors import ArgumentError
from nirjax.finetuning.partition import Rest, combine

Kind = Literal["step", "evaluation"]


@dataclass(frozen=True, eq=False)
class Moment:
    """A moment of a run of `finetune`.

    Args:
        kind: "step" after each update, "evaluation" after each look at the validation data.
        step: updates so far.
        epoch: whole passes through the training data so far.
        values: what was measured: "loss" of this step; at an evaluation the new entries of the history.
        params: the trained parameters.
        rest: the others.
    """

    kind: Kind
    step: int
    epoch: int
    values: Mapping[str, float]
    params: Params
    rest: Rest

    @property
    def model(self) -> Model:
        """The model at this moment."""
        return combine(self.params, self.rest)


Callback = Callable[[Moment], bool | None]
"""Called with each moment; True stops the training there."""


def as_callbacks(given: Any) -> tuple[Callback, ...]:
    """What a user gave as callbacks: one function, or several.

    Raises:
        ArgumentError: something else.
    """
    callbacks = tuple(given) if isinstance(given, Iterable) and not callable(given) else (given,)
    for callback in callbacks:
        if not callable(callback):
            raise ArgumentError(
                "this is no function", field="callbacks", found=callback, expected="(moment) -> bool or None"
            )
    return callbacks
