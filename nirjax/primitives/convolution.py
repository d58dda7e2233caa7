"""Convolutions and pooling over space, with PyTorch's conventions.

    Conv1d, Conv2d   y[o] = b[o] + sum over channels c of o's group of (W[o, c] cross-correlated with x[c])
    SumPool2d        sum over each window;  AvgPool2d  the same divided by the window's size, padding included

Padding is with zeros; "same" pads d (k - 1) in all, the smaller half in front. Shapes: x is (*lead, channels, *space)
with any leading axes, the output (*lead, channels, *space) with space floor((n + pads - d (k - 1) - 1) / stride) + 1.
All are computed channels last, which is fast on CPU, and the engine keeps signals so between them.
Source: https://neuroir.org/docs/primitives.html; torch.nn.Conv2d.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import jax.numpy as jnp
from jax import Array, lax

from nirjax.ir.nodes import AvgPool2d, Conv1d, Conv2d, NIRNode, SumPool2d
from nirjax.primitives import channels_last
from nirjax.primitives.base import Parameters, Primitive, Site

MOST_SLICES = 16
"""The longest window that is written out as a sum of slices."""


def convolve(site: Site, params: Parameters, x: Array) -> Array:
    """The convolution with its bias, x (*lead, *space, channels)."""
    node = cast(Conv2d, site.node)
    window: dict[str, Any] = {"strides": node.strides(), "pads": node.pads(), "dilations": node.dilations()}
    window["precision"] = site.precision
    axes = len(site.input_shape)
    samples = site.factor(x.reshape(-1, *x.shape[x.ndim - axes :]))
    weight = site.factor(jnp.moveaxis(params["weight"], (0, 1), (-1, -2)))
    groups = node.group_count()
    function = site.convolve if groups == 1 else functools.partial(channels_last.by_xla, groups=groups)
    y = function(samples, weight, **window)
    y = y + params["bias"] if "bias" in params else y
    return y.reshape(*x.shape[: x.ndim - axes], *y.shape[1:])


def sum_pool(site: Site, params: Parameters, x: Array) -> Array:
    """Sums over windows, x (*lead, *space, channels).

    Along one axis after the other, each a sum of strided slices: XLA's own sum over windows is slow on CPU.
    """
    node = cast(SumPool2d, site.node)
    for axis, (window, stride, pads) in enumerate(zip(node.window(), node.strides(), node.pads(), strict=True)):
        x = _summed(x, x.ndim - 3 + axis, window, stride, pads, site.output_shape[1 + axis])
    return x


def _summed(x: Array, axis: int, window: int, stride: int, pads: tuple[int, int], size: int) -> Array:
    if window > MOST_SLICES:
        along = [(window, stride, pads) if at == axis else (1, 1, (0, 0)) for at in range(x.ndim)]
        windows, strides, padding = zip(*along, strict=True)
        whole: Array = lax.reduce_window(x, 0.0, lax.add, windows, strides, padding)
        return whole
    if pads != (0, 0):
        x = jnp.pad(x, [pads if at == axis else (0, 0) for at in range(x.ndim)])
    parts = [lax.slice_in_dim(x, start, start + (size - 1) * stride + 1, stride, axis) for start in range(window)]
    return functools.reduce(lax.add, parts)


def average_pool(site: Site, params: Parameters, x: Array) -> Array:
    """Means over windows, padding counted, x (*lead, *space, channels)."""
    height, width = cast(AvgPool2d, site.node).window()
    return sum_pool(site, params, x) / (height * width)


def _spatial(node: type[NIRNode], last: Callable[[Site, Parameters, Array], Array]) -> Primitive:
    def apply(site: Site, params: Parameters, x: Array) -> Array:
        channels = x.ndim - len(site.input_shape)
        return jnp.moveaxis(last(site, params, jnp.moveaxis(x, channels, -1)), -1, channels)

    return Primitive(node, apply=apply, channels_last=last, late_bias=last is convolve)


CONVOLUTIONS = (
    _spatial(Conv1d, convolve),
    _spatial(Conv2d, convolve),
    _spatial(SumPool2d, sum_pool),
    _spatial(AvgPool2d, average_pool),
)
