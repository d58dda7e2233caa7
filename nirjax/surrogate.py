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


def custom(derivative: Callable[[Array], Array]) -> Custom:
    """A surrogate derivative of one's own: an elementwise function of u - threshold.

    Two models with the same function object share a compiled program.
    """
    return Custom(derivative)


def spike(u: Array, threshold: Array, surrogate: Surrogate, comparison: str = ">") -> Array:
    """z = 1 where u > threshold (or >=), else 0, in u's dtype.

    The primal compares and never subtracts, so a tie stays a tie. First derivatives are right in forward and in reverse
    mode, and forward over forward too. A second derivative taken over reverse mode is not, through a loop with a reset:
    JAX does not keep the rule for what it saves there.
    """
    z: Array = _spike(surrogate, comparison, u, threshold)
    return z


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _spike(surrogate: Surrogate, comparison: str, u: Array, threshold: Array) -> Array:
    return _fires(comparison, u, threshold).astype(u.dtype)


def _fires(comparison: str, u: Array, threshold: Array) -> Array:
    return u > threshold if comparison == ">" else u >= threshold


@_spike.defjvp
def _spike_jvp(
    surrogate: Surrogate, comparison: str, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Any]:
    u, threshold = primals
    du, dthreshold = tangents
    return _spike(surrogate, comparison, u, threshold), surrogate.derivative(u - threshold) * (du - dthreshold)


def spike_count(u: Array, threshold: Array, surrogate: Surrogate, comparison: str = ">=") -> Array:
    """n = trunc(u / threshold) where u is positive, else 0: how many spikes fit under the membrane at once.

    The surrogate derivative is that of a single spike at the nearest threshold crossing at or above the first:
    dn/du = g(u - m threshold) with m = max(1, round(u / threshold)), and dn/dthreshold = -m dn/du.
    """
    n: Array = _spike_count(surrogate, comparison, u, threshold)
    return n


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _spike_count(surrogate: Surrogate, comparison: str, u: Array, threshold: Array) -> Array:
    count = jnp.maximum(jnp.trunc(u / threshold), 0)
    if comparison == ">":
        count = jnp.where(u == count * threshold, jnp.maximum(count - 1, 0), count)
    return count


@_spike_count.defjvp
def _spike_count_jvp(
    surrogate: Surrogate, comparison: str, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Any]:
    u, threshold = primals
    du, dthreshold = tangents
    crossing = jax.lax.stop_gradient(jnp.maximum(jnp.round(u / threshold), 1))
    slope = surrogate.derivative(u - crossing * threshold)
    return _spike_count(surrogate, comparison, u, threshold), slope * (du - crossing * dthreshold)
