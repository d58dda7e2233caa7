"""Convolutions and pooling over space, channels first, with PyTorch's conventions.

    Conv1d, Conv2d   y[o] = b[o] + sum over channels c of o's group of (W[o, c] cross-correlated with x[c])
    SumPool2d        sum over each window;  AvgPool2d  the same divided by the window's size, padding included

Padding is with zeros; "same" pads d (k - 1) in all, the smaller half in front. Shapes: x is (*lead, channels, *space)
with any leading axes, the output (*lead, channels, *space) with space floor((n + pads - d (k - 1) - 1) / stride) + 1.
Source: https://neuroir.org/docs/primitives.html; torch.nn.Conv2d.
"""

from __future__ import annotations

from typing import cast

from jax import Array, lax

from nirjax.ir.nodes import AvgPool2d, Conv1d, Conv2d, SumPool2d
from nirjax.primitives.base import Parameters, Primitive, Site


def convolve(site: Site, params: Parameters, x: Array) -> Array:
    """The convolution with its bias."""
    node = cast(Conv2d, site.node)
    space = "HW"[: len(site.input_shape) - 1]
    y = lax.conv_general_dilated(
        site.factor(x.reshape(-1, *site.input_shape)),
        site.factor(params["weight"]),
        window_strides=node.strides(),
        padding=node.pads(),
        rhs_dilation=node.dilations(),
        feature_group_count=node.group_count(),
        dimension_numbers=("NC" + space, "OI" + space, "NC" + space),
    )
    y = y + params["bias"].reshape(-1, *(1,) * len(space))
    return y.reshape(*x.shape[: x.ndim - len(site.input_shape)], *site.output_shape)


def sum_pool(site: Site, params: Parameters, x: Array) -> Array:
    """Sums over windows."""
    node = cast(SumPool2d, site.node)
    lead = (1,) * (x.ndim - 2)
    pooled: Array = lax.reduce_window(
        x,
        0.0,
        lax.add,
        window_dimensions=(*lead, *node.window()),
        window_strides=(*lead, *node.strides()),
        padding=((0, 0),) * len(lead) + node.pads(),
    )
    return pooled


def average_pool(site: Site, params: Parameters, x: Array) -> Array:
    """Means over windows, padding counted."""
    height, width = cast(AvgPool2d, site.node).window()
    return sum_pool(site, params, x) / (height * width)


CONVOLUTIONS = (
    Primitive(Conv1d, apply=convolve),
    Primitive(Conv2d, apply=convolve),
    Primitive(SumPool2d, apply=sum_pool),
    Primitive(AvgPool2d, apply=average_pool),
)
