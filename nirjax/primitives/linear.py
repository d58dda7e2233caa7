"""Pointwise linear maps, and the lone threshold.

    Affine      y = W x + b
    Linear      y = W x
    Scale       y = s x
    Threshold   y = 1 where x > threshold, else 0, with a surrogate derivative
    Flatten     axes start_dim..end_dim become one
    Input, Output (of a subgraph)   y = x

The factors of a product may be rounded to a narrower type (`Site.product_dtype`); sums stay in `dtype`.
Shapes: x is (*lead, *input_shape) with any leading axes. Source: https://neuroir.org/docs/primitives.html.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from nirjax.ir.nodes import Affine, Flatten, Input, Linear, Output, Scale, Threshold
from nirjax.primitives.base import Constants, Parameters, Primitive, Site


def prepare(site: Site, params: Parameters) -> Constants:
    """The parameters, and W turned to (in, out): in a loop, XLA on CPU reads it so faster than as (out, in)."""
    weight = params["weight"]
    return {**params, "turned": weight.T} if weight.ndim == 2 else params


def linear(site: Site, params: Parameters, x: Array) -> Array:
    """y[..., o] = sum_i W[..., o, i] x[..., i]: weight (*axes, out, in), x (*lead, *axes, in)."""
    turned = params.get("turned")
    if turned is not None and site.product_dtype is None:
        return site.multiply(x, turned, precision=site.precision)
    factors = site.factor(x), site.factor(params["weight"] if turned is None else turned)
    x, weight = (one.astype(site.product_dtype or one.dtype) for one in factors)
    axes = "...i,...oi->...o" if turned is None else "...i,io->...o"
    return jnp.einsum(axes, x, weight, precision=site.precision, preferred_element_type=site.dtype)


def affine(site: Site, params: Parameters, x: Array) -> Array:
    """y = W x + b."""
    y = linear(site, params, x)
    return y + params["bias"] if "bias" in params else y


def scale(site: Site, params: Parameters, x: Array) -> Array:
    """y = s x."""
    return params["scale"] * x


def threshold(site: Site, params: Parameters, x: Array) -> Array:
    """y = H(x - threshold)."""
    return site.spike(x, params["threshold"])


def flatten(site: Site, params: Parameters, x: Array) -> Array:
    """Reshape; under a dialect that flattens channels last, the first axis is moved behind the others before."""
    axes = len(site.input_shape)
    lead = x.shape[: x.ndim - axes]
    if site.flatten == "channels_last" and axes == 3 and len(site.output_shape) == 1:
        x = jnp.moveaxis(x, x.ndim - axes, x.ndim - 1)
    return x.reshape(*lead, *site.output_shape)


def identity(site: Site, params: Parameters, x: Array) -> Array:
    """y = x."""
    return x


LINEAR = (
    Primitive(Affine, apply=affine, prepare=prepare, late_bias=True),
    Primitive(Linear, apply=linear, prepare=prepare),
    Primitive(Scale, apply=scale),
    Primitive(Threshold, apply=threshold, spiking=True),
    Primitive(Flatten, apply=flatten),
    Primitive(Input, apply=identity),
    Primitive(Output, apply=identity),
)
