"""The schedule: how many time steps go through the stages at once, and what the backward pass computes again.

The cost model behind "auto", in words. A block of L steps of B samples gives every product L B rows. Too few rows and
a product is slow, since it reads its weights for little work; too many and what the nodes emit no longer fits into
the cache. Recomputing a block in the backward pass saves memory and its traffic, and costs the products once more.
So:

    all that is emitted is little                     one block, nothing recomputed
    there are convolutions                            blocks that emit twice what fits into the cache, of sqrt(T)/2
                                                      steps at least, recomputed
    products outweigh elementwise work, there is
    memory, and no cycle                              one block, nothing recomputed
    else                                              blocks that fill the cache, of 1024 rows at least and sqrt(T)/2
                                                      steps, recomputed

A convolution has enough rows in a single image, so that nothing is lost by a short block. The figures are from two CPU
cores.

On an accelerator every operation costs a launch, whatever its size, and a neuron's loop is one kernel: the fewer blocks
the better, and only memory bounds them.

    all that is emitted fits into memory              one block, nothing recomputed
    else                                              the longest blocks that fit, at least sqrt(T)/2 steps, recomputed

`benchmarks/` has the measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nirjax.dialects.discretisation import check_choice
from nirjax.errors import ArgumentError

CACHE = 4 * 2**20
"""Bytes of emitted values that still count as close to the processor, for a block."""

NEAR = 24 * 2**20
"""Bytes of emitted values up to which blocks bring less than they cost."""

NEAR_IN_CYCLES = 16 * 2**20
"""The same where there is a cycle, for which more is kept than is emitted. (What a program needs beyond 32 MiB, glibc
takes from the system anew in every call.)"""

KEPT = 64 * 2**20
"""The most bytes that are kept for the backward pass."""

KEPT_ON_ACCELERATOR = 4 * 2**30
"""The same on an accelerator."""

ROWS = 1024
"""Rows with which a product is fast."""

OUTWEIGH = 64
"""Multiply-accumulates for each emitted value from which on products outweigh the elementwise work."""


@dataclass(frozen=True)
class Schedule:
    """How a run of T time steps is cut.

    Attributes:
        block: time steps in a block. 1 is step by step, None (or T or more) is layer by layer over everything.
        recompute: the backward pass recomputes a block from the state at its start, instead of keeping what was
            computed inside: O(sqrt(T)) memory for blocks of about sqrt(T).
        truncate: no gradient flows from a block into the one before it: backpropagation truncated to the steps of a
            block. The numbers are the same, the gradients are not; with `truncate` False neither depends on the cut.
        fused: whether the loop of a neuron is one kernel (`nirjax.kernels`): "auto" on devices on which that has been
            measured, "always" also on those that have never run it (TPUs), "never". Otherwise it is a `lax.scan`.
    """

    block: int | None = None
    recompute: bool = True
    truncate: bool = False
    fused: str = "auto"

    def __post_init__(self) -> None:
        if self.block is not None and self.block < 1:
            raise ArgumentError("a block has at least one time step", field="schedule", found=self.block)
        check_choice("schedule", self.fused, ("auto", "always", "never"))


@dataclass(frozen=True)
class Work:
    """What a graph does in one time step of one sample.

    Attributes:
        emitted: bytes of what all nodes emit.
        multiplied: multiply-accumulates of all products and convolutions.
        values: numbers that all nodes emit.
        convolves: are there convolutions?
        cyclic: is there a cycle, whose products have the rows of a single step whatever the block?
    """

    emitted: int
    multiplied: int
    values: int
    convolves: bool
    cyclic: bool = False


AUTO = "auto"
WHOLE = Schedule(None, recompute=False)


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


def choose(time: int, samples: int, work: Work, given: Schedule | str = AUTO, *, accelerator: bool = False) -> Schedule:
    """The schedule of a run of `time` steps of `samples` samples; "auto" by the cost model of this module."""
    if isinstance(given, Schedule):
        return given
    return (_on_accelerator if accelerator else _on_cpu)(time, samples, work)


def _on_accelerator(time: int, samples: int, work: Work) -> Schedule:
    if time * samples * work.emitted <= KEPT_ON_ACCELERATOR:
        return WHOLE
    wished = KEPT_ON_ACCELERATOR // (samples * work.emitted)
    return Schedule(block_length(time, max(wished, math.isqrt(time) // 2, 1)))


def _on_cpu(time: int, samples: int, work: Work) -> Schedule:
    total = time * samples * work.emitted
    if work.convolves and total > CACHE:
        return Schedule(block_length(time, max(2 * CACHE // (samples * work.emitted), math.isqrt(time) // 2, 1)))
    heavy = work.multiplied >= OUTWEIGH * work.values
    if total <= (NEAR_IN_CYCLES if work.cyclic else KEPT if heavy else NEAR):
        return WHOLE
    wished = max(ROWS // max(samples, 1), CACHE // max(samples * work.emitted, 1), math.isqrt(time) // 2, 1)
    length = block_length(time, wished)
    return WHOLE if length >= time else Schedule(length)


def block_length(time: int, wished: int) -> int:
    """The divisor of `time` nearest `wished` where one lies within a factor of two, else `wished` itself.

    A block that does not divide the time leaves a remainder, which is a second copy of every stage in the program.
    """
    if wished >= time:
        return max(time, 1)
    divisors = [n for n in range(-(-wished // 2), min(2 * wished, time) + 1) if time % n == 0]
    return min(divisors, key=lambda n: max(n, wished) / min(n, wished), default=wished)
