"""Convolutions of spikes, in which zeros cost nothing.

    y = x * W        x (samples, *space, taken), W (*window, taken, given), y (samples, *space, given)

with strides, padding and dilations, as `nirjax.primitives.channels_last` has them. Where few elements of x are not
zero, each adds what its taps make of it, by machine code (`llvm_convolutions`), and the same for the gradient of W;
where that is not so, it is the convolution that XLA has: see `event_operations`.

Two operations of JAX, each linear in both of what it takes, so that all derivatives are had from their transposes:

    convolve     (x, W) -> y
    correlate    (x, g) -> the gradient of W, from that of y
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.interpreters import batching

from nirjax.kernels import llvm_convolutions
from nirjax.kernels.event_operations import Ways, fits, operation, varies
from nirjax.kernels.llvm_convolutions import Window
from nirjax.kernels.machine_code import NAME, call, compiled, interface_version, struct
from nirjax.primitives import channels_last
from nirjax.primitives.channels_last import Pads

FEW = 0.3
"""Share of elements that are not zero, up to which machine code is the faster way."""

WORTH = 1 << 20
"""Multiplications from which on it is worth a look at the samples."""

NARROWEST = 4
"""Channels of y at least: they are computed in vectors."""

MOST_TAPS = 1 << 7
"""Taps of a window at most: all are written out."""

LARGEST = 1 << 17
"""Elements at most of W, of an image of x, and of one of y with its margins, so that they stay in the cache."""

PARTS, PART = 16, 1 << 14
"""Into how many sums the gradient of W is parted, at most, and how many elements of x are worth one."""


def event_convolution(
    x: Array,
    weight: Array,
    *,
    strides: Sequence[int],
    pads: Pads,
    dilations: Sequence[int],
    precision: lax.Precision | None = None,
) -> Array:
    """y, as `channels_last.convolve`."""
    window: dict[str, Any] = {"strides": tuple(strides), "pads": tuple(pads), "dilations": tuple(dilations)}
    if not worthwhile(x, weight, **window) or varies(x) or varies(weight):
        return channels_last.convolve(x, weight, **window, precision=precision)
    y: Array = _convolve.bind(x, weight, **window, precision=precision)  # type: ignore[no-untyped-call]
    return y


def worthwhile(x: Any, weight: Any, **static: Any) -> bool:
    """Is machine code to be had for a convolution of these sizes, and may it be faster?"""
    if not fits(x, weight):
        return False
    window = window_of(x.shape, weight.shape, **static)
    taps, image = math.prod(window.window), math.prod(window.result) * window.given
    sizes = (taps * window.taken * window.lanes, window.elements, math.prod(window.padded) * window.lanes)
    large = x.shape[0] * window.taken * taps * image >= WORTH
    return (
        large and min(window.result) > 0 and window.given >= NARROWEST and taps <= MOST_TAPS and max(sizes) <= LARGEST
    )


def window_of(x: Sequence[int], weight: Sequence[int], **static: Any) -> Window:
    """What machine code has to know, of the shapes of x and W; a single axis of space is a row."""

    def both(one: Sequence[int], rest: int) -> tuple[int, int]:
        return (one[0], one[1]) if len(one) == 2 else (rest, one[0])

    image, window = both(x[1:-1], 1), both(weight[:-2], 1)
    strides, dilations = both(static["strides"], 1), both(static["dilations"], 1)
    pads = static["pads"] if len(static["pads"]) == 2 else ((0, 0), *static["pads"])
    reach = [(window[axis] - 1) * dilations[axis] + 1 for axis in (0, 1)]
    high, wide = ((image[axis] + sum(pads[axis]) - reach[axis]) // strides[axis] + 1 for axis in (0, 1))
    return Window(image, window, (high, wide), strides, (pads[0][0], pads[1][0]), dilations, *weight[-2:])


# ------------------------------------------------------------------------------------------------------- by XLA


def _convolved(x: Array, weight: Array, **static: Any) -> Array:
    return channels_last.convolve(x, weight, **static)


def _correlated(x: Array, g: Array, *, window: tuple[int, ...], **static: Any) -> Array:
    weight = jax.ShapeDtypeStruct((*window, x.shape[-1], g.shape[-1]), x.dtype)  # type: ignore[no-untyped-call]
    return channels_last.to_weight(g, x, weight, spread=(1,) * len(window), **static)


# --------------------------------------------------------------------------------------------------- as machine code


def convolved(x: Array, weight: Array, *, precision: Any = None, **static: Any) -> Array:
    """y, where only the elements of x that are not zero are looked at."""
    window = window_of(x.shape, weight.shape, **static)
    name = compiled(llvm_convolutions.convolution(NAME, window, str(x.dtype), interface_version()))
    full = jnp.pad(weight, [*[(0, 0)] * (weight.ndim - 1), (0, window.lanes - window.given)])
    space = window.result[-len(static["strides"]) :]
    return call(name, [full, x[None]], [struct(x.dtype, len(x), *space, window.given)])[0]


def correlated(x: Array, g: Array, *, window: tuple[int, ...], precision: Any = None, **static: Any) -> Array:
    """The gradient of W, where only the elements of x that are not zero are looked at."""
    shape = (*window, x.shape[-1], g.shape[-1])
    own = window_of(x.shape, shape, **static)
    name = compiled(llvm_convolutions.gradient(NAME, own, str(x.dtype), interface_version()))
    parts = min(len(x), PARTS, max(x.size // PART, 1))
    sums = call(name, [x, g], [struct(x.dtype, 1, parts, *shape[:-1], own.lanes)])[0]
    return sums.sum((0, 1))[..., : own.given]


# ---------------------------------------------------------------------------------------------------- as operations


def _worth_correlating(x: Any, g: Any, *, window: tuple[int, ...], **static: Any) -> bool:
    weight = jax.ShapeDtypeStruct((*window, x.shape[-1], g.shape[-1]), g.dtype)  # type: ignore[no-untyped-call]
    return worthwhile(x, weight, **static)


def _to_image(ct: Array, x: Any, weight: Array, **static: Any) -> Array:
    return channels_last.to_input(ct, x.aval, weight, spread=(1,) * len(static["strides"]), **static)


def _to_weight(ct: Array, x: Array, weight: Any, **static: Any) -> Array:
    return _correlate.bind(x, ct, window=weight.aval.shape[:-2], **static)  # type: ignore[no-any-return,no-untyped-call]


def _to_first(ct: Array, x: Any, g: Array, *, window: tuple[int, ...], **static: Any) -> Array:
    return channels_last.to_input(g, x.aval, ct, spread=(1,) * len(window), **static)


def _to_second(ct: Array, x: Array, g: Any, *, window: tuple[int, ...], **static: Any) -> Array:
    return _convolve.bind(x, ct, **static)  # type: ignore[no-any-return,no-untyped-call]


def _batched(dense: Any, arrays: Any, axes: Any, **static: Any) -> tuple[Array, int]:
    return jax.vmap(functools.partial(dense, **static), in_axes=tuple(axes))(*arrays), 0


def _batched_samples(arrays: Any, axes: Any, **static: Any) -> tuple[Array, int]:
    """Of several arrays of samples and one W, one array of samples."""
    if axes[1] is not None:
        return _batched(_convolved, arrays, axes, **static)
    x = jnp.moveaxis(arrays[0], axes[0], 0)
    y = event_convolution(x.reshape(-1, *x.shape[2:]), arrays[1], **static)
    return y.reshape(*x.shape[:2], *y.shape[1:]), 0


_convolve = operation("event_convolution", Ways(_convolved, convolved, worthwhile, FEW), (_to_image, _to_weight))
_correlate = operation(
    "event_convolution_gradient", Ways(_correlated, correlated, _worth_correlating, FEW), (_to_first, _to_second)
)
batching.primitive_batchers[_convolve] = _batched_samples
batching.primitive_batchers[_correlate] = functools.partial(_batched, _correlated)
