"""A walk through time as one kernel for GPUs, through Pallas and Mosaic.

A warpgroup of 128 threads takes 128 elements, holds their carry and constants in registers, and walks through time: in
every step each thread reads its element of every sequence, computes the step and writes its element of every result. So
each sequence is read once and each result written once, whatever the number of steps, and nothing else touches memory.
Reads run AHEAD steps before their use, so that the walk does not wait for memory.

The last 128 elements overlap with those before them where their number is no multiple of 128: both warpgroups write the
same. Measured in `benchmarks/KERNELS.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from nirjax.kernels.spreading import spread
from nirjax.kernels.steps import TracedStep, fits, traced
from nirjax.kernels.walk import Arrays, Step, kernel_or_scan, with_ahead

TILE = 128
"""Elements of one warpgroup, one a thread."""

AHEAD = 16
"""Steps by which reads precede their use, and that are written out in one turn of the loop."""

OLDEST = 9.0
"""The first compute capability that Mosaic writes kernels for: Hopper."""

Body = Callable[..., None]


def has_warpgroups() -> bool:
    """Is this process's GPU of compute capability 9.0 (Hopper) or later?"""
    try:
        return float(getattr(jax.devices("gpu")[0], "compute_capability", 0)) >= OLDEST
    except (RuntimeError, ValueError):  # no GPU, or one whose generation is no number, as AMD's
        return False


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
    taken = traced(step, (len(constants), len(carry), len(sequences)), (TILE,))
    steps = sequences[0].shape[0]

    def one_device(constants: Arrays, carry: Arrays, sequences: Arrays) -> tuple[list[Array], list[Array]]:
        shape = sequences[0].shape[1:]
        elements, filled = math.prod(shape), max(math.prod(shape), TILE)
        single = [_filled_up(jnp.broadcast_to(one, shape).reshape(elements), filled) for one in (*constants, *carry)]
        rows = [_filled_up(one.reshape(steps, elements), filled) for one in sequences]
        body = _body(taken, len(constants), len(rows), steps, filled, backward)
        results = [*[(filled,)] * len(carry), *[(steps, filled)] * taken.results]
        found = _launched(body, results, pl.cdiv(elements, TILE), interpret)(*single, *rows)
        found = [one[..., :elements].reshape(*one.shape[:-1], *shape) for one in found]
        return found[: len(carry)], found[len(carry) :]

    return spread(one_device, constants, carry, sequences, taken.results, several)


def _filled_up(array: Array, size: int) -> Array:
    missing = size - array.shape[-1]
    return jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)], mode="edge") if missing else array


def _body(step: TracedStep, constants: int, rows: int, steps: int, elements: int, backward: bool) -> Body:
    """What one warpgroup does, given its tile and references to constants, carry, sequences, last carry and results."""
    singles = constants + step.carried

    def body(tile: Array, *refs: Any) -> None:
        columns = pl.ds(jnp.minimum(tile * TILE, elements - TILE), TILE)
        sequences, last = refs[singles : singles + rows], refs[singles + rows : singles + rows + step.carried]
        results = refs[singles + rows + step.carried :]
        single = [ref[columns] for ref in refs[:singles]]

        def place(turn: Any, k: int) -> Any:
            t = turn * AHEAD + k
            return steps - 1 - t if backward else t

        def read(turn: Any) -> list[list[Array]]:
            at = [jnp.clip(place(turn, k), 0, steps - 1) for k in range(AHEAD)]
            return [[ref[t, columns] for ref in sequences] for t in at]

        def advance(t: Any, carry: list[Array], now: list[Array]) -> list[Array]:
            carry, found = step(*single[:constants], *carry, *now)
            for ref, one in zip(results, found, strict=True):
                ref[t, columns] = one
            return carry

        def one_turn(turn: Any, now: tuple[list[Array], list[list[Array]]]) -> tuple[list[Array], list[list[Array]]]:
            carry, given = now
            coming = read(turn + 1)
            for k, row in enumerate(given):
                carry = advance(place(turn, k), carry, row)
            return carry, coming

        turns, left = divmod(steps, AHEAD)
        carry, given = lax.fori_loop(0, turns, one_turn, (single[constants:], read(0)))
        for k in range(left):
            carry = advance(place(turns, k), carry, given[k])
        for ref, one in zip(last, carry, strict=True):
            ref[columns] = one

    return body


def _launched(body: Body, shapes: Sequence[tuple[int, ...]], tiles: int, interpret: bool) -> Callable[..., Any]:
    """The body for every tile, as a kernel for GPUs, or interpreted."""
    results = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]  # type: ignore[no-untyped-call]
    if interpret:
        return pl.pallas_call(
            lambda *refs: body(pl.program_id(0), *refs), out_shape=results, grid=(tiles,), interpret=True
        )
    from jax.experimental.pallas import mosaic_gpu

    # Every element is read and written by one thread alone (or by two that write the same): no barriers.
    choices = mosaic_gpu.CompilerParams(
        unsafe_no_auto_barriers=True, lowering_semantics=mosaic_gpu.LoweringSemantics.Warpgroup
    )
    kernel: Callable[..., Any] = mosaic_gpu.kernel(
        lambda *refs: body(lax.axis_index("tile"), *refs),
        out_type=results,
        grid=(tiles,),
        grid_names=("tile",),
        compiler_params=choices,
    )
    return kernel


def _there_is_one(step: Step, constants: Arrays, carry: Arrays, sequences: Arrays) -> bool:
    return has_warpgroups() and fits(step, constants, carry, sequences)


walk = with_ahead(kernel_or_scan(as_kernel, _there_is_one))
"""`nirjax.kernels.walk.walk`: one kernel where there is a GPU for it and the step fits, else the scan."""
