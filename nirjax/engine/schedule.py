"""The schedule: how many time steps go through the stages at once, and what the backward pass computes again."""

from __future__ import annotations

from dataclasses import dataclass

from nirjax.errors import ArgumentError

CACHE = 4 * 2**20
"""Bytes of a block's activations that still count as close to the processor."""


@dataclass(frozen=True)
class Schedule:
    """How a run of T time steps is cut.

    Attributes:
        block: time steps in a block. 1 is step by step, None (or T or more) is layer by layer over everything.
        recompute: the backward pass recomputes a block from the state at its start, instead of keeping what was
            computed inside: O(sqrt(T)) memory for blocks of about sqrt(T).
    """

    block: int | None = None
    recompute: bool = True

    def __post_init__(self) -> None:
        if self.block is not None and self.block < 1:
            raise ArgumentError("a block has at least one time step", field="schedule", found=self.block)


AUTO = "auto"


def schedule_of(given: Schedule | int | str) -> Schedule | str:
    """A schedule from what a user may write: "auto", a block length, or a Schedule.

    Raises:
        ArgumentError: anything else.
    """
    if isinstance(given, Schedule) or given == AUTO:
        return given
    if isinstance(given, int) and not isinstance(given, bool):
        return Schedule(given)
    raise ArgumentError(
        "no such schedule", field="schedule", found=given, expected="'auto', a block length, a Schedule"
    )


def choose(time: int, bytes_per_step: int, given: Schedule | str) -> Schedule:
    """The schedule of a run of `time` steps whose nodes emit `bytes_per_step` in each.

    "auto" takes one block where all activations stay within `CACHE`, or where a step is so large that its products
    dwarf the rest; else blocks whose activations fill `CACHE`, at least 16 steps long, recomputed.
    """
    if isinstance(given, Schedule):
        return given
    total = time * bytes_per_step
    if total <= CACHE or bytes_per_step * 16 >= CACHE:
        return Schedule(None, recompute=False)
    return Schedule(block_length(time, max(16, CACHE // bytes_per_step)))


def block_length(time: int, wished: int) -> int:
    """The divisor of `time` nearest `wished` where one lies within a factor of two, else `wished` itself.

    A block that does not divide the time leaves a remainder, which is a second copy of every stage in the program.
    """
    if wished >= time:
        return max(time, 1)
    divisors = [n for n in range(-(-wished // 2), min(2 * wished, time) + 1) if time % n == 0]
    return min(divisors, key=lambda n: max(n, wished) / min(n, wished), default=wished)
