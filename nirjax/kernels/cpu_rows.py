"""A walk of rows through time as machine code for CPUs: what a cycle of the graph is, with its products.

Arrays are (*lead, n), each with its own n, of `lead` axes that are treated alike: samples. Constants are rows, single
numbers, or matrices that rows are multiplied by (see `nirjax.kernels.rows`).
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.kernels import walk as scan
from nirjax.kernels.llvm_rows import Shapes, module
from nirjax.kernels.llvm_run import Layout
from nirjax.kernels.llvm_step import WIDTH
from nirjax.kernels.machine_code import NAME, call, compiled, fits, interface_version, struct
from nirjax.kernels.rows import SAMPLES, taken_apart
from nirjax.kernels.walk import Arrays, NotKnownError, Step


def walk(
    step: Step,
    constants: Arrays,
    carry: Arrays,
    sequences: Arrays,
    *,
    lead: int,
    backward: bool = False,
    several: bool = False,
) -> tuple[list[Array], list[Array]]:
    """`nirjax.kernels.walk.walk`: machine code where it can be had and the step fits, else the scan."""
    samples = sequences[0].shape[: 1 + lead]
    rows = all(one.shape[:lead] == samples[1:] and one.ndim == lead + 1 for one in carry)
    rows &= all(one.shape[: 1 + lead] == samples and one.ndim == lead + 2 for one in sequences)
    if rows and not several and samples[0] and fits(constants, carry, sequences):
        try:
            return as_rows(step, constants, carry, sequences, lead=lead, backward=backward)
        except NotKnownError:
            pass
    return scan.walk(step, constants, carry, sequences, backward=backward)


def as_rows(
    step: Step, constants: Arrays, carry: Arrays, sequences: Arrays, *, lead: int, backward: bool = False
) -> tuple[list[Array], list[Array]]:
    """The walk of rows as machine code.

    Raises:
        NotKnownError: the step has an operation that cannot be written.
    """
    dtype, shape = sequences[0].dtype, sequences[0].shape[1 : 1 + lead]
    time, samples = len(sequences[0]), math.prod(shape)
    given = [
        *(struct(dtype, *one.shape) for one in constants),
        *(struct(dtype, SAMPLES, one.shape[-1]) for one in (*carry, *sequences)),
    ]
    traced = jax.make_jaxpr(lambda *arrays: _flat(step, arrays, len(constants), len(carry)))(*given)
    widths = [one.shape[-1] if one.shape[:-1] == (SAMPLES,) else 0 for one in traced.out_avals]
    if 0 in widths:
        raise NotKnownError("a result that is no row")
    program = taken_apart(traced, len(constants))
    results, place = _without_twins(program.results[len(carry) :])
    program.results = [*program.results[: len(carry)], *(program.results[len(carry) + one] for one in results)]
    shapes = Shapes(
        tuple(program.sizes[: len(constants)]),
        tuple(widths[: len(carry)]),
        tuple(one.shape[-1] for one in sequences),
        tuple(widths[len(carry) + one] for one in results),
    )
    first = (True,) * (len(constants) + len(program.matrices))
    layout = Layout(first, len(carry), len(sequences), len(shapes.results), str(dtype), backward)
    name = compiled(module(NAME, program, shapes, layout, interface_version()))
    arguments = [
        *(_constant(one, n, dtype) for one, n in zip(constants, shapes.constants, strict=True)),
        *(_filled_up(constants[one.constant].T if one.turned else constants[one.constant]) for one in program.matrices),
        *(one.reshape(samples, one.shape[-1]) for one in carry),
        *(one.reshape(time, samples, one.shape[-1]) for one in sequences),
    ]
    given = [
        *(struct(dtype, *shape, n) for n in shapes.carry),
        *(struct(dtype, time, *shape, n) for n in shapes.results),
    ]
    found = call(name, arguments, given)
    return found[: len(carry)], [found[len(carry) + one] for one in place]


def _without_twins(results: list[Any]) -> tuple[list[int], list[int]]:
    """Which results are to be written, when one value is several; and for every result its place among those."""
    first = {result: number for number, result in reversed(list(enumerate(results))) if isinstance(result, int)}
    source = [first.get(result, number) if isinstance(result, int) else number for number, result in enumerate(results)]
    written = sorted(set(source))
    return written, [written.index(one) for one in source]


def _flat(step: Step, arrays: Arrays, constants: int, carried: int) -> list[Array]:
    second = constants + carried
    carry, results = step(arrays[:constants], arrays[constants:second], arrays[second:])
    return [*carry, *results]


def _constant(constant: Array, n: int, dtype: Any) -> Array:
    """A constant as one axis; of a matrix, which is given elsewhere, nothing."""
    return jnp.zeros(1, dtype) if n < 0 else constant.reshape(max(n, 1))


def _filled_up(matrix: Array) -> Array:
    """A matrix whose lines are whole vectors."""
    return jnp.pad(matrix, ((0, 0), (0, -matrix.shape[1] % WIDTH)))
