"""A walk: a carry that goes through time, elementwise.

    (carry_t, results_t) = step(constants, carry_{t-1}, rows_t)        for t = 1 ... T, or from T down to 1

Here it is `lax.scan`. `nirjax.kernels.cpu`, `gpu` and `tpu` have it as one kernel each. All are called alike, and give
the same.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jax import Array, lax

Arrays = Sequence[Array]
Step = Callable[[Arrays, Arrays, Arrays], tuple[list[Array], list[Array]]]
Walk = Callable[..., tuple[list[Array], list[Array]]]


@dataclass(frozen=True, eq=False)
class Ahead:
    """A walk from the first row to the last, whose carry a walk backward wants to see.

    Attributes:
        step: (constants, carry, rows) -> (carry, anything), with the constants of the walk backward.
        carry: (*shape), before the first step.
        sequences: how many of the walk's sequences are its rows, from the first on.
    """

    step: Step
    carry: Arrays
    sequences: int


def walk(
    step: Step,
    constants: Arrays,
    carry: Arrays,
    sequences: Arrays,
    *,
    backward: bool = False,
    ahead: Ahead | None = None,
) -> tuple[list[Array], list[Array]]:
    """Walk through time.

    Args:
        step: (constants, carry, rows) -> (carry, results), elementwise: it may be given any part of the elements.
        constants: of any shapes that broadcast to (*shape).
        carry: (*shape). One of a smaller shape has to be zero at the start; the step adds to it what all the elements
            add up to along the axes that it lacks.
        sequences: (T, *shape), one row of each for a step.
        backward: from the last row to the first.
        ahead: a walk that is done first. Its carry before each step comes before the other rows of that step.

    Returns:
        the last carry, and the results of all steps (T, *shape), each in its row's place.
    """

    if ahead is not None:
        sequences = [*before_each_step(walk, ahead, constants, sequences), *sequences]

    def advance(carry: list[Array], rows: list[Array]) -> tuple[list[Array], list[Array]]:
        return step(constants, carry, rows)

    return lax.scan(advance, list(carry), list(sequences), reverse=backward)


class NotKnownError(Exception):
    """A kernel has not what a step needs; the walk is left to the scan."""


def kernel_or_scan(kernel: Walk, fits: Callable[[Step, Arrays, Arrays, Arrays], bool]) -> Walk:
    """A walk by a kernel, where that fits and knows all of the step; else the scan.

    Args:
        kernel: called as `walk`, and with several=True where the arrays may lie on several devices.
        fits: (step, constants, carry, sequences) -> is there a kernel for arrays like these? The carry of a walk ahead
            is among the carry.
    """

    def either(
        step: Step, constants: Arrays, carry: Arrays, sequences: Arrays, *, several: bool = False, **choices: Any
    ) -> tuple[list[Array], list[Array]]:
        ahead = choices.get("ahead")
        if fits(step, constants, [*carry, *(() if ahead is None else ahead.carry)], sequences):
            with contextlib.suppress(NotKnownError):
                return kernel(step, constants, carry, sequences, several=several, **choices)
        return walk(step, constants, carry, sequences, **choices)

    return either


def with_ahead(kernel: Walk) -> Walk:
    """A walk that knows of none ahead, called for that first."""

    def both(
        step: Step, constants: Arrays, carry: Arrays, sequences: Arrays, *, ahead: Ahead | None = None, **choices: Any
    ) -> tuple[list[Array], list[Array]]:
        if ahead is not None:
            first = functools.partial(kernel, **{**choices, "backward": False})
            sequences = [*before_each_step(first, ahead, constants, sequences), *sequences]
        return kernel(step, constants, carry, sequences, **choices)

    return both


def before_each_step(walk: Walk, ahead: Ahead, constants: Arrays, sequences: Arrays) -> list[Array]:
    """The carry of a walk ahead before each of its steps, (T, *shape)."""

    def step(constants: Arrays, carry: Arrays, rows: Arrays) -> tuple[list[Array], list[Array]]:
        return ahead.step(constants, carry, rows)[0], list(carry)

    return walk(step, constants, ahead.carry, sequences[: ahead.sequences])[1]


def carry_alone(step: Step) -> Step:
    """A step without its results."""
    return lambda constants, carry, rows: (step(constants, carry, rows)[0], [])
