"""A walk through time as one kernel for TPUs, through Pallas and Mosaic.

The elements lie in rows of 128. A program takes 8 rows and a turn of TURN steps, whose sequences and results Pallas
moves to and from the processor's own memory while the turn before is computed; the carry stays there between turns.

It has been compared with the scan in Pallas' interpreter, and compiled for TPUs as far as that goes without one; no TPU
has run it. So it is used only where that is asked for: `Schedule(fused="always")`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from nirjax.kernels.spreading import spread
from nirjax.kernels.steps import TracedStep, fits, traced
from nirjax.kernels.walk import Arrays, Step, kernel_or_scan, with_ahead

ROWS, LANES = 8, 128
"""A register of a TPU."""

TURN = 64
"""Steps in one turn: 256 KiB of every sequence."""


def as_kernel(
    step: Step,
    constants: Arrays,
    carry: Arrays,
    sequences: Arrays,
    *,
    backward: bool = False,
    several: bool = False,
    interpret: bool = False,
) -> tuple[list[Array], list[Array]]:
    """The walk as a kernel; or, if `interpret`, as what the kernel says, on any device."""
    taken = traced(step, (len(constants), len(carry), len(sequences)), (ROWS, LANES))

    def one_device(constants: Arrays, carry: Arrays, sequences: Arrays) -> tuple[list[Array], list[Array]]:
        shape = sequences[0].shape[1:]
        single = [_in_rows(jnp.broadcast_to(one, shape)[None])[0] for one in (*constants, *carry)]
        rows = [_in_rows(one) for one in sequences]
        kernel = _kernel(taken, len(constants), len(rows), rows[0].shape, backward, interpret)
        found = [_from_rows(one, shape) for one in kernel(*single, *rows)]
        return found[: len(carry)], found[len(carry) :]

    return spread(one_device, constants, carry, sequences, taken.results, several)


def _in_rows(sequence: Array) -> Array:
    """(steps, *shape) as (steps, rows, LANES), the last row filled up."""
    flat = sequence.reshape(len(sequence), -1)
    flat = jnp.pad(flat, ((0, 0), (0, -flat.shape[1] % LANES)), mode="edge")
    return flat.reshape(len(flat), -1, LANES)


def _from_rows(array: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `_in_rows`, with or without steps."""
    lead = array.shape[:-2]
    return array.reshape(*lead, -1)[..., : math.prod(shape)].reshape(*lead, *shape)


def _kernel(
    step: TracedStep, constants: int, rows: int, size: tuple[int, ...], backward: bool, interpret: bool
) -> Callable[..., Any]:
    """(*constants, *carry, *sequences) -> (*last carry, *results); size: (steps, rows, LANES) of a sequence."""
    steps, singles = size[0], constants + step.carried
    turn_steps = min(TURN, steps)
    turns = pl.cdiv(steps, turn_steps)

    def turn_of(number: Any) -> Any:
        return turns - 1 - number if backward else number

    def body(*refs: Any) -> None:
        given, last = refs[: singles + rows], refs[singles + rows : singles + rows + step.carried]
        sequences, results = given[singles:], refs[singles + rows + step.carried :]
        number = pl.program_id(1)

        # The carry lives in what becomes its last value, which stays in place until all turns are done.
        @pl.when(number == 0)
        def start() -> None:
            for ref, one in zip(last, given[constants:singles], strict=True):
                ref[...] = one[...]

        here = jnp.minimum(turn_steps, steps - turn_of(number) * turn_steps)
        fixed = [ref[...] for ref in given[:constants]]

        def advance(k: Any, carry: list[Array]) -> list[Array]:
            t = here - 1 - k if backward else k
            carry, found = step(*fixed, *carry, *(ref[t] for ref in sequences))
            for ref, one in zip(results, found, strict=True):
                ref[t] = one
            return carry

        carry = lax.fori_loop(0, here, advance, [ref[...] for ref in last])
        for ref, one in zip(last, carry, strict=True):
            ref[...] = one

    single = pl.BlockSpec((ROWS, LANES), lambda tile, number: (tile, 0))
    sequence = pl.BlockSpec((turn_steps, ROWS, LANES), lambda tile, number: (turn_of(number), tile, 0))
    shapes = [*[size[1:]] * step.carried, *[size] * step.results]
    return pl.pallas_call(
        body,
        grid=(pl.cdiv(size[1], ROWS), turns),
        in_specs=[*[single] * singles, *[sequence] * rows],
        out_specs=[*[single] * step.carried, *[sequence] * step.results],
        out_shape=[jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],  # type: ignore[no-untyped-call]
        interpret=interpret,
    )


walk = with_ahead(kernel_or_scan(as_kernel, fits))
"""`nirjax.kernels.walk.walk`: one kernel where the step fits, else the scan."""
