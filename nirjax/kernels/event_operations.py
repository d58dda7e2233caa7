"""Operations on spikes that have two ways: machine code, to which zeros cost nothing, and XLA's.

Which of the two is a branch of the program: some samples are looked at when it runs, and where few of their elements
are not zero it is machine code. On several devices, on all but CPUs, and in programs that are exported, it is XLA's.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, mlir

from nirjax.kernels.llvm_step import FLOATS
from nirjax.kernels.machine_code import available
from nirjax.kernels.spreading import devices_of, wants_devices
from nirjax.kernels.walk import NotKnownError

SEEN, GOLDEN = 16, 0.6180339887
"""Rows that are looked at, at most; and the step from one to the next, in turns around all of them."""


@dataclass(frozen=True)
class Ways:
    """The two ways to compute something of spikes and another array, each (x, other, **static) -> result.

    Attributes:
        dense: by XLA.
        by_events: by machine code; raises NotKnownError where there is none.
        worthwhile: of the same, without their values: is machine code to be had, and may it be faster?
        few: the share of elements of x that are not zero up to which machine code is faster.
        folded: (x, other) -> the same with all leading axes as one, along which the rows of x lie.
    """

    dense: Callable[..., Array]
    by_events: Callable[..., Array]
    worthwhile: Callable[..., bool]
    few: float
    folded: Callable[[Array, Array], tuple[Array, Array]] = lambda x, other: (x, other)


def operation(name: str, ways: Ways, transposes: tuple[Callable[..., Array], Callable[..., Array]]) -> Primitive:
    """An operation of JAX, linear in x and in the other; `transposes` are the rules for the one and the other."""
    operation = Primitive(name)
    wants_devices(operation)

    def shape(x: Any, other: Any, **static: Any) -> ShapedArray:
        found = jax.eval_shape(functools.partial(ways.dense, **static), x, other)
        return ShapedArray(found.shape, found.dtype)

    def on_cpu(context: Any, x: Any, other: Any, **static: Any) -> Any:
        program = context.module_context
        here = devices_of(program) == 1 and not program.lowering_parameters.for_export
        if here and ways.worthwhile(*context.avals_in, **static):
            with contextlib.suppress(NotKnownError):
                chosen = functools.partial(_either, ways, context.avals_out[0].shape, static)
                return mlir.lower_fun(chosen, multiple_results=False)(context, x, other)
        return mlir.lower_fun(functools.partial(ways.dense, **static), multiple_results=False)(context, x, other)

    @functools.cache
    def jitted(**static: Any) -> Callable[[Array, Array], Array]:
        return jax.jit(functools.partial(operation.bind, **static))

    def run(x: Array, other: Array, **static: Any) -> Array:
        return jitted(**static)(x, other)

    operation.def_impl(run)  # type: ignore[no-untyped-call]
    operation.def_abstract_eval(shape)  # type: ignore[no-untyped-call]
    ad.defbilinear(operation, *transposes)  # type: ignore[no-untyped-call]
    mlir.register_lowering(operation, mlir.lower_fun(ways.dense, multiple_results=False))
    mlir.register_lowering(operation, on_cpu, platform="cpu")
    return operation


def _either(ways: Ways, shape: tuple[int, ...], static: dict[str, Any], x: Array, other: Array) -> Array:
    x, other = ways.folded(x, other)
    found: Array = lax.cond(
        few(x.reshape(len(x), -1), ways.few),
        lambda: ways.by_events(x, other, **static),
        lambda: ways.dense(x, other, **static),
    )
    return found.reshape(shape)


def few(rows: Array, share: float) -> Array:
    """Are few elements not zero, by some of the rows? They are spread so that they are of many steps and samples."""
    chosen = sorted({int(len(rows) * (turn * GOLDEN % 1)) for turn in range(SEEN)})
    return jnp.count_nonzero(rows[np.array(chosen)]) <= int(share * len(chosen) * rows.shape[1])


def fits(x: Any, other: Any) -> bool:
    """Is machine code to be had for arrays like these: of known sizes, none of them zero, and of one dtype?"""
    sizes = (*x.shape, *other.shape)
    known = all(isinstance(size, int) and size for size in sizes)
    return known and available() and str(x.dtype) in FLOATS and x.dtype == other.dtype


def varies(array: Array) -> bool:
    """Does it differ between the devices of a `shard_map` that keeps account of that? Our operations do not."""
    kind = jax.typeof(array)
    return bool(getattr(kind, "vma", ()) or getattr(getattr(kind, "manual_axis_type", None), "varying", ()))
