"""Delay: y(t) = x(t - delay), elementwise, differentiable with respect to the delay.

With d = delay / dt in steps, k = floor(d) and f = d - k: y[t] = (1 - f) x[t - k] + f x[t - k - 1]; inputs before the
first step are zero. d within a few ulp of a whole number is that number; it is clipped to [0, capacity] (from one step
up where the delay keeps a cycle open). dy/dd = x[t - k - 1] - x[t - k], one-sided where d is whole.

State: `history` (capacity + 1, *batch, *shape), the last inputs in time order; the one beyond the capacity gives the
largest delay its derivative. Source: the NIR specification.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from nirjax.ir.nodes import Delay, Shape
from nirjax.primitives.base import Constants, Parameters, Primitive, Site, State

_ULPS = 4


def steps_of(delay: np.ndarray, dt: float) -> np.ndarray:
    """The delays of a file in steps, whole where they are within rounding of a whole number."""
    exact = np.asarray(delay, np.float64) / dt
    precision = _precision(delay.dtype)
    whole = np.round(exact)
    return np.where(np.abs(exact - whole) <= _ULPS * precision * np.maximum(1, exact), whole, exact)


def _precision(dtype: DTypeLike) -> float:
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 0.0  # type: ignore[no-untyped-call]


def capacity(site: Site) -> int:
    """The longest delay that can be run: `max_delay`, or the largest delay of the node, in steps."""
    if site.max_delay is not None:
        return site.max_delay
    return int(np.ceil(steps_of(site.node.delay, site.dt).max()))  # type: ignore[attr-defined]


def init(site: Site, params: Parameters, batch: Shape) -> State:
    """No input before the first step."""
    length = capacity(site) + 1 if capacity(site) else 0
    return {"history": jnp.zeros((length, *batch, *site.input_shape), site.dtype)}


def prepare(site: Site, params: Parameters) -> Constants:
    """Per element: the nearer of the two inputs (a whole number of steps back) and the weight of the farther."""
    most, least = capacity(site), 1.0 if site.waits else 0.0
    # Whole steps need float32 at least: bfloat16 cannot count to 300.
    d = params["delay"].astype(jnp.promote_types(site.dtype, jnp.float32)) / site.dt
    whole = jnp.round(d)
    # A file's float32 delay is a whole number of steps only to float32's precision, also in a float64 run.
    precision = max(_precision(site.dtype), _precision(site.node.delay.dtype))  # type: ignore[attr-defined]
    near = jnp.abs(d - whole) <= _ULPS * precision * jnp.maximum(1, d)
    d = d + jax.lax.stop_gradient(jnp.where(near, whole - d, 0))
    d = jnp.where(d < least, least, jnp.where(d > most, most, d))
    back = jax.lax.stop_gradient(jnp.floor(d))
    shape = site.input_shape
    return {"back": jnp.broadcast_to(back, shape), "weight": jnp.broadcast_to((d - back).astype(site.dtype), shape)}


def block(site: Site, constants: Constants, state: State, xs: Array) -> tuple[State, Array]:
    """A block of steps at once: two gathers over [history, xs]."""
    history = state["history"]
    most, length = history.shape[0], xs.shape[0]
    if most == 0:
        return state, xs
    inputs = jnp.concatenate([history, xs])
    axes = (1,) * (xs.ndim - 1 - len(site.input_shape))
    back = constants["back"].astype(jnp.int32).reshape(1, *axes, *site.input_shape)
    now = most + jnp.arange(length, dtype=jnp.int32).reshape(length, *(1,) * (xs.ndim - 1))
    nearer = jnp.take_along_axis(inputs, now - back, axis=0)
    farther = jnp.take_along_axis(inputs, now - back - 1, axis=0)
    weight = constants["weight"]
    return {"history": inputs[length:]}, (1 - weight) * nearer + weight * farther


def step(site: Site, constants: Constants, state: State, x: Array) -> tuple[State, Array]:
    """One step: a block of one."""
    state, ys = block(site, constants, state, x[None])
    return state, ys[0]


def holds(site: Site) -> bool:
    """A delay that is zero somewhere cannot break a cycle."""
    return bool((steps_of(site.node.delay, site.dt) > 0).all())  # type: ignore[attr-defined]


def waits(site: Site) -> bool:
    """A delay of a step or more, everywhere, gives an output that its present input cannot change."""
    return bool((steps_of(site.node.delay, site.dt) >= 1).all())  # type: ignore[attr-defined]


DELAYS = (Primitive(Delay, init=init, step=step, prepare=prepare, block=block, holds=holds, waits=waits),)
