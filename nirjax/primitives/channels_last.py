"""A convolution, channels last, whose gradients are convolutions of the same form.

    y[n, p, o] = sum over q, c of x[n, s p + d q - b, c] W[q, c, o]

with stride s, dilation d and padding b in front, along one or two axes p. On CPU, XLA has a fast convolution for this
form, and for it alone: those that JAX derives for the gradients of a general convolution have other forms, which run
ten times slower inside a loop. So this is a primitive of its own, whose two transposes are

    with respect to x    a convolution of the cotangent, dilated by s, with W turned round, its channels exchanged
    with respect to W    a convolution of x with the cotangent as kernel, samples and channels exchanged

Being bilinear, that gives it forward and reverse mode of any order. Shapes: x (samples, *space, in), W (*window, in,
out), y (samples, *space, out). Measured in `benchmarks/README.md`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Pads = tuple[tuple[int, int], ...]


def convolve(
    x: Array,
    weight: Array,
    *,
    strides: Sequence[int],
    pads: Pads,
    dilations: Sequence[int],
    precision: lax.Precision | None = None,
) -> Array:
    """y, without groups and without a bias."""
    window = {"strides": tuple(strides), "pads": tuple(pads), "dilations": tuple(dilations)}
    return _bound(x, weight, **window, spread=(1,) * len(strides), precision=precision)


def _bound(x: Array, weight: Array, **window: Any) -> Array:
    y: Array = _convolution.bind(x, weight, **window)  # type: ignore[no-untyped-call]
    return y


def by_xla(
    x: Array,
    weight: Array,
    *,
    strides: Sequence[int],
    pads: Pads,
    dilations: Sequence[int],
    precision: lax.Precision | None,
    spread: tuple[int, ...] | None = None,
    groups: int = 1,
) -> Array:
    """What the primitive stands for, and groups; `spread` dilates x, which the gradient of a stride asks for."""
    space = "HW"[: len(strides)]
    return lax.conv_general_dilated(
        x,
        weight,
        strides,
        pads,
        lhs_dilation=spread,
        rhs_dilation=dilations,
        feature_group_count=groups,
        precision=precision,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
    )


def _shape(x: Any, weight: Any, **window: Any) -> ShapedArray:
    y = jax.eval_shape(functools.partial(by_xla, **window), x, weight)
    return ShapedArray(y.shape, y.dtype)


def _span(size: int, dilation: int) -> int:
    """How far `size` points reach that lie `dilation` apart."""
    return (size - 1) * dilation + 1


def to_input(cotangent: Array, x: Any, weight: Array, **window: Any) -> Array:
    """The gradient of x, of which the shape is known, from that of y."""
    axes = range(len(window["strides"]))
    flipped = jnp.flip(weight, tuple(axes)).swapaxes(-1, -2)
    pads = []
    for axis in axes:
        kernel = _span(weight.shape[axis], window["dilations"][axis])
        wanted = _span(x.shape[1 + axis], window["spread"][axis])
        given = _span(cotangent.shape[1 + axis], window["strides"][axis])
        front = kernel - 1 - window["pads"][axis][0]
        pads.append((front, wanted + kernel - 1 - given - front))
    turned = {"strides": window["spread"], "spread": window["strides"], "dilations": window["dilations"]}
    return _bound(cotangent, flipped, pads=tuple(pads), precision=window["precision"], **turned)


def to_weight(cotangent: Array, x: Array, weight: Any, **window: Any) -> Array:
    """The gradient of W, of which the shape is known, from that of y."""
    axes = range(len(window["strides"]))
    pads = []
    for axis in axes:
        kernel = _span(cotangent.shape[1 + axis], window["strides"][axis])
        wanted = _span(weight.shape[axis], window["dilations"][axis])
        given = _span(x.shape[1 + axis], window["spread"][axis])
        front = window["pads"][axis][0]
        pads.append((front, wanted + kernel - 1 - given - front))
    turned = {"strides": window["dilations"], "spread": window["spread"], "dilations": window["strides"]}
    channels_as_samples = jnp.swapaxes(x, 0, -1)
    samples_as_channels = jnp.moveaxis(cotangent, 0, -2)
    turned |= {"pads": tuple(pads), "precision": window["precision"]}
    return jnp.moveaxis(_bound(channels_as_samples, samples_as_channels, **turned), 0, -2)


def _batched(arguments: Sequence[Array], axes: Sequence[Any], **window: Any) -> tuple[Array, int]:
    x, weight = arguments
    if axes[1] is None:
        x = jnp.moveaxis(x, axes[0], 0)
        y = _bound(x.reshape(-1, *x.shape[2:]), weight, **window)
        return y.reshape(*x.shape[:2], *y.shape[1:]), 0
    return jax.vmap(lambda x, weight: by_xla(x, weight, **window), axes)(x, weight), 0


_convolution = Primitive("channels_last_convolution")
_compiled = jax.jit(by_xla, static_argnames=("strides", "pads", "spread", "dilations", "precision"))
_convolution.def_impl(_compiled)  # type: ignore[no-untyped-call]
_convolution.def_abstract_eval(_shape)  # type: ignore[no-untyped-call]
ad.defbilinear(  # type: ignore[no-untyped-call]
    _convolution,
    lambda cotangent, x, weight, **window: to_input(cotangent, x.aval, weight, **window),
    lambda cotangent, x, weight, **window: to_weight(cotangent, x, weight.aval, **window),
)
batching.primitive_batchers[_convolution] = _batched
mlir.register_lowering(_convolution, mlir.lower_fun(by_xla, multiple_results=False))
