"""Spike functions: a comparison going forward, a surrogate derivative going back.

A neuron fires where its membrane u passes its threshold: z = H(u - threshold). H has no useful derivative, so each
surrogate here gives one, g, and then dz/du = g(u - threshold) and dz/dthreshold = -g(u - threshold).

Surrogates are frozen values with equality and hash: they are part of what a compiled program is keyed by.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.errors import ArgumentError


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """Base: a surrogate derivative g, as a function of the distance x = u - threshold."""

    def derivative(self, x: Array) -> Array:
        """g(x), elementwise."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not value > 0:
                raise ArgumentError("a surrogate's scale is positive", field=field.name, found=value)


@dataclasses.dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """g(x) = 1 / (1 + slope |x|)^2."""

    slope: float

    def derivative(self, x: Array) -> Array:
        return 1 / (1 + self.slope * jnp.abs(x)) ** 2


@dataclasses.dataclass(frozen=True)
class Atan(Surrogate):
    """g(x) = (alpha / 2) / (1 + (pi alpha x / 2)^2)."""

    alpha: float

    def derivative(self, x: Array) -> Array:
        return (self.alpha / 2) / (1 + (jnp.pi / 2 * self.alpha * x) ** 2)


@dataclasses.dataclass(frozen=True)
class Sigmoid(Surrogate):
    """g(x) = slope s (1 - s), s = 1 / (1 + exp(-slope x))."""

    slope: float

    def derivative(self, x: Array) -> Array:
        s = jax.nn.sigmoid(self.slope * x)
        return self.slope * s * (1 - s)


@dataclasses.dataclass(frozen=True)
class Triangular(Surrogate):
    """g(x) = max(0, 1 - |x| / width) / width: unit area, zero at a distance of `width`."""

    width: float

    def derivative(self, x: Array) -> Array:
        return jnp.maximum(0, 1 - jnp.abs(x) / self.width) / self.width


@dataclasses.dataclass(frozen=True)
class Boxcar(Surrogate):
    """g(x) = 1 / width where |x| <= width / 2, else 0: unit area."""

    width: float

    def derivative(self, x: Array) -> Array:
        return jnp.where(jnp.abs(x) <= self.width / 2, 1 / self.width, 0).astype(x.dtype)


@dataclasses.dataclass(frozen=True)
class Gaussian(Surrogate):
    """g(x) = exp(-x^2 / (2 sigma^2)) / (sigma sqrt(2 pi)): unit area."""

    sigma: float

    def derivative(self, x: Array) -> Array:
        return jnp.exp(-(x**2) / (2 * self.sigma**2)) / (self.sigma * math.sqrt(2 * math.pi))


@dataclasses.dataclass(frozen=True)
class StraightThrough(Surrogate):
    """g(x) = 1."""

    def derivative(self, x: Array) -> Array:
        return jnp.ones_like(x)


@dataclasses.dataclass(frozen=True)
class Exponential(Surrogate):
    """g(x) = scale exp(-|x| / width) / width."""

    width: float
    scale: float

    def derivative(self, x: Array) -> Array:
        return self.scale / self.width * jnp.exp(-jnp.abs(x) / self.width)


@dataclasses.dataclass(frozen=True)
class Custom(Surrogate):
    """g is a function of one's own, elementwise on x = u - threshold."""

    function: Callable[[Array], Array]

    def derivative(self, x: Array) -> Array:
        return jnp.asarray(self.function(x), x.dtype)


def fast_sigmoid(slope: float = 25.0) -> FastSigmoid:
    """SuperSpike's derivative of the fast sigmoid, 1 / (1 + slope |x|)^2.

    Source: Zenke and Ganguli, SuperSpike, Neural Computation 30 (2018), eq. 7 and section 3.1.
    """
    return FastSigmoid(slope)


def atan(alpha: float = 2.0) -> Atan:
    """Derivative of (1 / pi) arctan(pi alpha x / 2).

    Source: Fang et al., Incorporating learnable membrane time constant, ICCV 2021, appendix.
    """
    return Atan(alpha)


def sigmoid(slope: float = 25.0) -> Sigmoid:
    """Derivative of the logistic function of slope x.

    Source: Neftci, Mostafa and Zenke, Surrogate gradient learning, IEEE Signal Processing Magazine 36 (2019).
    """
    return Sigmoid(slope)


def triangular(width: float = 1.0) -> Triangular:
    """A triangle of unit area.

    Source: Bellec et al., Long short-term memory and learning-to-learn in networks of spiking neurons, NeurIPS 2018.
    """
    return Triangular(width)


def boxcar(width: float = 1.0) -> Boxcar:
    """A rectangle of unit area.

    Source: Wu et al., Spatio-temporal backpropagation, Frontiers in Neuroscience 12 (2018), eq. 24.
    """
    return Boxcar(width)


def gaussian(sigma: float = 0.5) -> Gaussian:
    """A normal density.

    Source: Wu et al., Spatio-temporal backpropagation, Frontiers in Neuroscience 12 (2018), eq. 27.
    """
    return Gaussian(sigma)


def straight_through() -> StraightThrough:
    """The identity.

    Source: Bengio, Leonard and Courville, Estimating or propagating gradients through stochastic neurons,
    arXiv:1308.3432 (2013).
    """
    return StraightThrough()


def exponential(width: float = 0.5, scale: float = 1.0) -> Exponential:
    """SLAYER's exponential; Sinabs' default, where the width is taken as a part of the threshold.

    Source: Shrestha and Orchard, SLAYER: spike layer error reassignment in time, NeurIPS 2018, section 3.
    """
    return Exponential(width, scale)


def custom(derivative: Callable[[Array], Array]) -> Custom:
    """A surrogate derivative of one's own: an elementwise function of u - threshold.

    Two models with the same function object share a compiled program.
    """
    return Custom(derivative)


def spike(u: Array, threshold: Array, surrogate: Surrogate, comparison: str = ">", gradient: str = "crossing") -> Array:
    """z = 1 where u > threshold (or >=), else 0, in u's dtype.

    The primal compares and never subtracts, so a tie stays a tie. First derivatives are right in forward and in reverse
    mode, and second ones too, but for those taken over reverse mode through a `lax.scan`, as a cycle of a graph is one:
    JAX does not keep the rule for what it saves there.
    """
    z: Array = _spikes(_Firing(surrogate, comparison, gradient), u, threshold)
    return z


def spike_count(
    u: Array,
    threshold: Array,
    surrogate: Surrogate,
    comparison: str = ">=",
    gradient: str = "crossing",
    most: int | None = None,
) -> Array:
    """n = trunc(u / threshold) where u is positive, else 0, at most `most`: how many spikes fit under the membrane.

    With the gradient "crossing" its derivative is that of a single spike at the nearest threshold crossing at or above
    the first: dn/du = g(u - m threshold) with m = max(1, round(u / threshold)), and dn/dthreshold = -m dn/du.
    """
    n: Array = _spikes(_Firing(surrogate, comparison, gradient, many=True, most=most), u, threshold)
    return n


@dataclasses.dataclass(frozen=True)
class _Firing:
    """How spikes come of a membrane: one or many, and with which derivative."""

    surrogate: Surrogate
    comparison: str
    gradient: str
    many: bool = False
    most: int | None = None


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _spikes(firing: _Firing, u: Array, threshold: Array) -> Array:
    if not firing.many:
        return _fires(firing.comparison, u, threshold).astype(u.dtype)
    count = jnp.maximum(jnp.trunc(u / threshold), 0)
    if firing.comparison == ">":
        count = jnp.where(u == count * threshold, jnp.maximum(count - 1, 0), count)
    return count if firing.most is None else jnp.minimum(count, firing.most)


def _fires(comparison: str, u: Array, threshold: Array) -> Array:
    return u > threshold if comparison == ">" else u >= threshold


@_spikes.defjvp
def _spikes_jvp(firing: _Firing, primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Any]:
    (u, threshold), (du, dthreshold) = primals, tangents
    to_u, to_threshold = _slopes(firing, u, threshold)
    return _spikes(firing, u, threshold), to_u * du + to_threshold * dthreshold


def _slopes(firing: _Firing, u: Array, threshold: Array) -> tuple[Array, Array]:
    """(dz/du, dz/dthreshold).

    crossing    s = g(u - m threshold): (s, -m s), with m = 1, or for many spikes max(1, round(u / threshold))
    membrane    (g(u - threshold), 0)
    linear      (1 / threshold, -u / threshold^2) where u >= threshold - 1/2, else 0
    """
    if firing.gradient == "linear":
        inside = (u >= threshold - 0.5).astype(u.dtype)
        return inside / threshold, -inside * u / threshold**2
    if firing.gradient == "membrane":
        slope = firing.surrogate.derivative(u - threshold)
        return slope, jnp.zeros_like(slope)
    if not firing.many:
        slope = firing.surrogate.derivative(u - threshold)
        return slope, -slope
    crossing = jax.lax.stop_gradient(jnp.maximum(jnp.round(u / threshold), 1))
    slope = firing.surrogate.derivative(u - crossing * threshold)
    return slope, -crossing * slope
