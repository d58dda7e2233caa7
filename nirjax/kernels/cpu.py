"""An elementwise walk through time as machine code for CPUs, which LLVM makes of the step, and XLA calls.

`lax.scan` writes the state and the outputs of all elements in every step, in one thread. Here a tile of elements walks
through all steps with its state in the cache, in vectors, and the tiles are spread over XLA's threads.

Where machine code cannot be had, for other dtypes than float32 and float64, and for steps with operations that
`llvm_step` has not, the walk is the scan. (`time_loop` leaves exported programs to the scan too: they run elsewhere.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from nirjax.kernels.llvm_run import Layout
from nirjax.kernels.llvm_step import WIDTH
from nirjax.kernels.llvm_walk import module
from nirjax.kernels.machine_code import NAME, call, compiled, fits, interface_version, struct
from nirjax.kernels.spreading import spread
from nirjax.kernels.steps import traced
from nirjax.kernels.walk import Ahead, Arrays, Step, carry_alone, kernel_or_scan


def as_kernel(
    step: Step,
    constants: Arrays,
    carry: Arrays,
    sequences: Arrays,
    *,
    backward: bool = False,
    ahead: Ahead | None = None,
    several: bool = False,
) -> tuple[list[Array], list[Array]]:
    """The walk as machine code.

    Raises:
        NotKnownError: the step has an operation that cannot be written.
    """
    dtype = sequences[0].dtype
    start = () if ahead is None else ahead.carry
    taken = traced(step, (len(constants), len(carry), len(start) + len(sequences)), (8,), dtype)
    first = None
    if ahead is not None:
        first = traced(carry_alone(ahead.step), (len(constants), len(start), ahead.sequences), (8,), dtype)
    single = tuple(one.size == 1 and not several for one in constants)
    layout = Layout(single, len(carry), len(sequences), taken.results, str(dtype), backward, len(start))
    name = compiled(module(NAME, taken, layout, interface_version(), first))

    def one_device(constants: Arrays, carry: Arrays, sequences: Arrays) -> tuple[list[Array], list[Array]]:
        time, *shape = sequences[0].shape
        elements = math.prod(shape)
        own = _row([one for one, alone in zip(constants, single, strict=True) if not alone], shape)
        given = [
            *(_as_row(one, (1,) if alone else own) for one, alone in zip(constants, single, strict=True)),
            *(one.reshape(elements) for one in carry),
            *(one.reshape(time, elements) for one in sequences),
        ]
        # results have their own shapes at once: XLA copies what is given another one on its way out of the program
        places = [*[tuple(shape)] * layout.carried, *[(time, *shape)] * taken.results]
        in_place = None
        if backward and taken.results and len(sequences) > 1 and elements % WIDTH == 0:
            # what comes back last, a cotangent, nobody needs any more; the first sequence says the sizes
            given[-1], in_place = sequences[-1], {len(given) - 1: layout.carried}
        found = call(name, given, [struct(dtype, *place) for place in places], in_place)
        last = [*found[: layout.carried], *carry[layout.carried :]]
        return last, found[layout.carried :]

    last, results = spread(one_device, constants, [*carry, *start], sequences, taken.results, several)
    return last[: layout.carried], results


def _row(constants: Arrays, shape: Sequence[int]) -> Sequence[int]:
    """The last axes of a shape, along which constants differ."""
    axes = max((_stripped(one).ndim for one in constants), default=0)
    return shape[len(shape) - axes :]


def _stripped(constant: Array) -> Array:
    """A constant without leading axes of one element."""
    kept = next((axis for axis, size in enumerate(constant.shape) if size != 1), constant.ndim)
    return constant.reshape(constant.shape[kept:])


def _as_row(constant: Array, shape: Sequence[int]) -> Array:
    """A constant as one axis, of the elements of the last axes."""
    return jnp.broadcast_to(_stripped(constant), shape).reshape(math.prod(shape))


walk = kernel_or_scan(as_kernel, lambda step, constants, carry, sequences: fits(constants, carry, sequences))
"""`nirjax.kernels.walk.walk`: machine code where it can be had and the step fits, else the scan."""
