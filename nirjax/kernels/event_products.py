"""Products of spikes with a matrix, in which zeros cost nothing.

    y = x W        x (rows, inside), W (inside, outside)

Of the elements of x, which are spikes mostly, few are not zero. Where that is so, the lines of W that they choose are
added up, by machine code (`llvm_events`), and the gradient of W, x^T times that of y, in the same way. Where it is not,
on several devices, and on all but CPUs, it is the product that XLA has. Which of the two is decided when the program
runs, by some of the rows.

Two operations of JAX, each linear in both of what it takes, so that all derivatives are had from their transposes:

    multiply     (x, W) -> x W
    correlate    (x, g) -> x^T g
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from nirjax.kernels import llvm_events
from nirjax.kernels.llvm_step import FLOATS
from nirjax.kernels.machine_code import NAME, available, call, compiled, interface_version, struct
from nirjax.kernels.spreading import devices_of, wants_devices
from nirjax.kernels.walk import NotKnownError

FEW = 0.15
"""Share of elements that are not zero, up to which adding up lines is the faster way."""

WORTH = 1 << 22
"""Multiplications from which on it is worth a look at the rows."""

LARGE = 1 << 12
"""Elements of a matrix from which on a product with a row takes longer than noting what is not zero in it."""

SEEN, GOLDEN = 16, 0.6180339887
"""Rows that are looked at, at most; and the step from one to the next, in turns around all of them."""

WIDEST = 1 << 14
"""Elements of a row at most: what is noted of the rows of a tile takes memory in proportion."""


def event_product(x: Array, weight: Array, *, precision: Any = None) -> Array:
    """y[..., o] = sum_i x[..., i] W[i, o], for any leading axes of x."""
    if not worthwhile(x, weight) or _varies(x) or _varies(weight):
        return jnp.matmul(x, weight, precision=precision)
    y: Array = _multiply.bind(x, weight, precision=precision)  # type: ignore[no-untyped-call]
    return y


def _varies(array: Array) -> bool:
    """Does it differ between the devices of a `shard_map` that keeps account of that? Our operations do not."""
    kind = jax.typeof(array)
    return bool(getattr(kind, "vma", ()) or getattr(getattr(kind, "manual_axis_type", None), "varying", ()))


def _multiplied(x: Array, weight: Array, *, precision: Any) -> Array:
    return jnp.matmul(x, weight, precision=precision)


def _correlated(x: Array, g: Array, *, precision: Any) -> Array:
    lead = tuple(range(x.ndim - 1))
    return lax.dot_general(x, g, ((lead, lead), ((), ())), precision=precision)


# --------------------------------------------------------------------------------------------------- as machine code


def gathered(x: Array, weight: Array) -> Array:
    """x W, where only the elements of x that are not zero are looked at."""
    name = compiled(llvm_events.gather(NAME, str(x.dtype), interface_version()))
    return call(name, [weight, x[None]], [struct(x.dtype, len(x), weight.shape[1])])[0]


def scattered(x: Array, g: Array) -> Array:
    """x^T g, where only the elements of x that are not zero are looked at."""
    name = compiled(llvm_events.scatter(NAME, str(x.dtype), interface_version()))
    return call(name, [x, g], [struct(x.dtype, x.shape[1], g.shape[1])])[0]


def worthwhile(x: Any, other: Any) -> bool:
    """Is machine code to be had for x W, or x^T g, of these sizes, and may it be faster?"""
    if not all(isinstance(size, int) and size for size in (*x.shape, *other.shape)):
        return False
    rows, matrix = math.prod(x.shape[:-1]), x.shape[-1] * other.shape[-1]
    return (
        available()
        and str(x.dtype) in FLOATS
        and x.dtype == other.dtype
        and other.shape[-1] >= llvm_events.NARROWEST
        and x.shape[-1] <= WIDEST
        and matrix >= LARGE
        and rows * matrix >= WORTH
    )


def few(x: Array) -> Array:
    """Are few elements not zero, by some of the rows? They are spread so that they are of many steps and samples."""
    rows = sorted({int(len(x) * (turn * GOLDEN % 1)) for turn in range(SEEN)})
    return jnp.count_nonzero(x[np.array(rows)]) <= int(FEW * len(rows) * x.shape[1])


def _either(whole: Callable[..., Array], by_events: Callable[[Array, Array], Array], x: Array, other: Array) -> Array:
    rows = x.reshape(-1, x.shape[-1])
    flat = other.reshape(-1, other.shape[-1])
    found: Array = lax.cond(few(rows), lambda: by_events(rows, flat), lambda: whole(rows, flat))
    return found


# ---------------------------------------------------------------------------------------------------- as operations


def _operation(
    name: str,
    dense: Callable[..., Array],
    by_events: Callable[[Array, Array], Array],
    transposes: tuple[Callable[..., Array], Callable[..., Array]],
) -> Primitive:
    """An operation of JAX; `transposes` are the rules for what it takes first and second."""
    operation = Primitive(name)
    wants_devices(operation)

    def shape(x: Any, other: Any, *, precision: Any) -> ShapedArray:
        found = jax.eval_shape(functools.partial(dense, precision=precision), x, other)
        return ShapedArray(found.shape, found.dtype)

    def on_cpu(context: Any, x: Any, other: Any, *, precision: Any) -> Any:
        program = context.module_context
        here = devices_of(program) == 1 and not program.lowering_parameters.for_export
        whole = functools.partial(dense, precision=precision)
        if here and worthwhile(*context.avals_in):
            with contextlib.suppress(NotKnownError):
                chosen = functools.partial(_either, whole, by_events)
                return mlir.lower_fun(_shaped(chosen, context), multiple_results=False)(context, x, other)
        return mlir.lower_fun(whole, multiple_results=False)(context, x, other)

    @functools.partial(jax.jit, static_argnames=("precision",))
    def run(x: Array, other: Array, *, precision: Any) -> Array:
        return operation.bind(x, other, precision=precision)  # type: ignore[no-any-return,no-untyped-call]

    operation.def_impl(run)  # type: ignore[no-untyped-call]
    operation.def_abstract_eval(shape)  # type: ignore[no-untyped-call]
    ad.defbilinear(operation, *transposes)  # type: ignore[no-untyped-call]
    mlir.register_lowering(operation, mlir.lower_fun(dense, multiple_results=False))
    mlir.register_lowering(operation, on_cpu, platform="cpu")
    return operation


def _shaped(function: Callable[..., Array], context: Any) -> Callable[..., Array]:
    """What a function gives, in the shape that the operation has to give."""
    (result,) = context.avals_out
    return lambda x, other: function(x, other).reshape(result.shape)


def _batched(dense: Callable[..., Array], arrays: Any, axes: Any, *, precision: Any) -> tuple[Array, int]:
    return jax.vmap(functools.partial(dense, precision=precision), in_axes=tuple(axes))(*arrays), 0


def _batched_rows(arrays: Any, axes: Any, *, precision: Any) -> tuple[Array, int]:
    """Of several arrays of rows and one matrix, one array of rows."""
    if axes[1] is not None:
        return _batched(_multiplied, arrays, axes, precision=precision)
    return event_product(jnp.moveaxis(arrays[0], axes[0], 0), arrays[1], precision=precision), 0


def _to_rows(ct: Array, x: Any, weight: Array, *, precision: Any) -> Array:
    return _multiplied(ct, weight.T, precision=precision)


def _to_weight(ct: Array, x: Array, weight: Any, *, precision: Any) -> Array:
    return _correlate.bind(x, ct, precision=precision)  # type: ignore[no-any-return,no-untyped-call]


def _to_first(ct: Array, x: Any, g: Array, *, precision: Any) -> Array:
    return _multiplied(g, ct.T, precision=precision)


def _to_second(ct: Array, x: Array, g: Any, *, precision: Any) -> Array:
    return _multiply.bind(x, ct, precision=precision)  # type: ignore[no-any-return,no-untyped-call]


_multiply = _operation("event_product", _multiplied, gathered, (_to_rows, _to_weight))
_correlate = _operation("event_correlation", _correlated, scattered, (_to_first, _to_second))
batching.primitive_batchers[_multiply] = _batched_rows
batching.primitive_batchers[_correlate] = functools.partial(_batched, _correlated)
