"""What a callback is told, and what it may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from nirjax.engine.model import Model, Params
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
