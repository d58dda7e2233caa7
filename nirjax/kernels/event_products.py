"""Products of spikes with a matrix, in which zeros cost nothing.

    y = x W        x (rows, inside), W (inside, outside)

Of the elements of x, which are spikes mostly, few are not zero. Where that is so, the lines of W that they choose are
added up, by machine code, and the gradient of W, x^T times that of y, in the same way. Where it is not, it is the
product that XLA has: see `event_operations`. With a small matrix, rows are images of a single point, which are
convolved (`llvm_convolutions`): y, or the gradient, lies in the first cache. Else see `llvm_events`.

Two operations of JAX, each linear in both of what it takes, so that all derivatives are had from their transposes:

    multiply     (x, W) -> x W
    correlate    (x, g) -> x^T g
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.interpreters import batching

from nirjax.kernels import event_convolutions, llvm_events
from nirjax.kernels.event_operations import Ways, fits, operation, varies
from nirjax.kernels.machine_code import NAME, call, compiled, interface_version, struct

FEW = 0.2
"""Share of elements that are not zero, up to which adding up lines is the faster way."""

WORTH = 1 << 22
"""Multiplications from which on it is worth a look at the rows."""

LARGE = 1 << 8
"""Elements of a matrix from which on a product with a row takes longer than noting what is not zero in it."""

SMALL = 1 << 14
"""Elements of a matrix up to which rows are images of a single point."""

POINT: dict[str, Any] = {"strides": (1, 1), "pads": ((0, 0), (0, 0)), "dilations": (1, 1)}
"""A convolution of such images."""

WIDEST = 1 << 14
"""Elements of a row at most: what is noted of the rows of a tile takes memory in proportion."""


def event_product(x: Array, weight: Array, *, precision: Any = None) -> Array:
    """y[..., o] = sum_i x[..., i] W[i, o], for any leading axes of x."""
    if not worthwhile(x, weight) or varies(x) or varies(weight):
        return jnp.matmul(x, weight, precision=precision)
    y: Array = _multiply.bind(x, weight, precision=precision)  # type: ignore[no-untyped-call]
    return y


def worthwhile(x: Any, other: Any, *, precision: Any = None) -> bool:
    """Is machine code to be had for x W, or x^T g, of these sizes, and may it be faster?"""
    if not fits(x, other):
        return False
    rows, matrix = math.prod(x.shape[:-1]), x.shape[-1] * other.shape[-1]
    large: bool = matrix >= LARGE and rows * matrix >= WORTH
    narrowest = event_convolutions.NARROWEST if matrix <= SMALL else llvm_events.NARROWEST
    return large and other.shape[-1] >= narrowest and x.shape[-1] <= WIDEST


# ------------------------------------------------------------------------------------------------------- by XLA


def _multiplied(x: Array, weight: Array, *, precision: Any) -> Array:
    return jnp.matmul(x, weight, precision=precision)


def _correlated(x: Array, g: Array, *, precision: Any) -> Array:
    lead = tuple(range(x.ndim - 1))
    return lax.dot_general(x, g, ((lead, lead), ((), ())), precision=precision)


# --------------------------------------------------------------------------------------------------- as machine code


def multiplied_by_events(x: Array, weight: Array, *, precision: Any = None) -> Array:
    """x W, x (rows, inside), where only the elements of x that are not zero are looked at."""
    if weight.size > SMALL:
        return gathered(x, weight)
    return event_convolutions.convolved(x[:, None, None], weight[None, None], **POINT)[:, 0, 0]


def correlated_by_events(x: Array, g: Array, *, precision: Any = None) -> Array:
    """x^T g, x (rows, inside), where only the elements of x that are not zero are looked at."""
    if x.shape[1] * g.shape[1] > SMALL:
        return scattered(x, g)
    return event_convolutions.correlated(x[:, None, None], g[:, None, None], window=(1, 1), **POINT)[0, 0]


def gathered(x: Array, weight: Array) -> Array:
    """x W, a row of y after the other."""
    name = compiled(llvm_events.gather(NAME, str(x.dtype), interface_version()))
    return call(name, [weight, x[None]], [struct(x.dtype, len(x), weight.shape[1])])[0]


def scattered(x: Array, g: Array) -> Array:
    """x^T g, a line of it after the other."""
    name = compiled(llvm_events.scatter(NAME, str(x.dtype), interface_version()))
    return call(name, [x, g], [struct(x.dtype, x.shape[1], g.shape[1])])[0]


# ---------------------------------------------------------------------------------------------------- as operations


def _batched(dense: Any, arrays: Any, axes: Any, *, precision: Any) -> tuple[Array, int]:
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


def _folded(x: Array, other: Array) -> tuple[Array, Array]:
    return x.reshape(-1, x.shape[-1]), other.reshape(-1, other.shape[-1])


_multiply = operation(
    "event_product", Ways(_multiplied, multiplied_by_events, worthwhile, FEW, _folded), (_to_rows, _to_weight)
)
_correlate = operation(
    "event_correlation", Ways(_correlated, correlated_by_events, worthwhile, FEW, _folded), (_to_first, _to_second)
)
batching.primitive_batchers[_multiply] = _batched_rows
batching.primitive_batchers[_correlate] = functools.partial(_batched, _correlated)
