"""Statistics over time, accumulated block by block: counts, rates, maxima, last values, first spike times.

Each is a triple `init`, `update`, `finish`; the carry in between has the shape of one time step, whatever the number
of steps. What one block of the whole recording gives, several short ones give too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from nirjax.errors import ShapeError

Carry = Any
Shape = tuple[int, ...]


@dataclass(frozen=True)
class TimeFold:
    """A statistic over time.

    Args:
        init: `(*batch, *shape)` of one time step, and the dtype, to the carry before the first step.
        update: carry, block `(time, *batch, *shape)`, mask (broadcasts against the block) to the next carry.
        finish: carry to the statistic, `(*batch, *shape)`.
    """

    init: Callable[[Shape, Any], Carry]
    update: Callable[[Carry, Array, Array], Carry]
    finish: Callable[[Carry], Array]


def over_time(fold: TimeFold, output: Array, where: ArrayLike | None) -> Array:
    """The statistic of a whole recording `(time, *batch, *shape)` over the steps in `where`, `(*batch, *shape)`."""
    output = as_float(output)
    return fold.finish(fold.update(fold.init(output.shape[1:], output.dtype), output, mask(output, where)))


def as_float(output: Array) -> Array:
    """Floats as they are; bool and integers as float32."""
    output = jnp.asarray(output)
    return output if jnp.issubdtype(output.dtype, jnp.floating) else output.astype(jnp.float32)


def mask(output: Array, where: ArrayLike | None) -> Array:
    """`where`, `(time, *batch)`, with axes of size one behind, so that it broadcasts against the output.

    Raises:
        ShapeError: its axes are not the output's first.
    """
    if where is None:
        return jnp.ones((1,) * output.ndim, bool)
    where = jnp.asarray(where)
    fits = where.ndim <= output.ndim and all(
        found in (1, wanted) for found, wanted in zip(where.shape, output.shape, strict=False)
    )
    if not fits or where.ndim == 0 or where.shape[0] != output.shape[0]:
        raise ShapeError(
            "the mask does not fit the output", field="where", found=where.shape,
            expected=f"the first axes of {output.shape}: (time, *batch)",
        )  # fmt: skip
    return where.astype(bool).reshape(where.shape + (1,) * (output.ndim - where.ndim))


def _wide(dtype: Any) -> Any:
    """The dtype that sums are taken in: float32, or wider where the values are."""
    return jnp.promote_types(dtype, jnp.float32)


def _zeros(shape: Shape, dtype: Any) -> tuple[Array, Array]:
    return jnp.zeros(shape, _wide(dtype)), jnp.zeros(shape, _wide(dtype))


def _add(carry: tuple[Array, Array], block: Array, where: Array) -> tuple[Array, Array]:
    total, steps = carry
    total = total + jnp.sum(block, 0, where=where, dtype=total.dtype)
    return total, steps + jnp.sum(jnp.broadcast_to(where, block.shape), 0, dtype=steps.dtype)


count_and_steps = TimeFold(_zeros, _add, lambda carry: jnp.stack(carry))
"""The sum over time, and the number of steps it goes over: `(2, *batch, *shape)`."""

count = TimeFold(_zeros, _add, lambda carry: carry[0])
"""The sum over time."""

rate = TimeFold(_zeros, _add, lambda carry: carry[0] / jnp.maximum(carry[1], 1))
"""The mean over time; zero over no steps."""


def _largest(carry: Array, block: Array, where: Array) -> Array:
    block = jnp.where(where, block, -jnp.inf)
    here = jnp.take_along_axis(block, jnp.argmax(block, 0, keepdims=True), 0)[0].astype(carry.dtype)
    return jnp.where((here > carry) | jnp.isnan(here), here, carry)


maximum = TimeFold(
    lambda shape, dtype: jnp.full(shape, -jnp.inf, jnp.promote_types(dtype, jnp.float16)),
    _largest,
    lambda carry: jnp.where(carry == -jnp.inf, 0, carry),
)
"""The largest value; zero over no steps. Of equal ones the first has the gradient, wherever blocks end."""


def _latest(carry: Array, block: Array, where: Array) -> Array:
    at = jnp.where(where, jnp.arange(block.shape[0]).reshape(-1, *(1,) * (block.ndim - 1)), -1).max(0, keepdims=True)
    at = jnp.broadcast_to(at, (1, *block.shape[1:]))
    return jnp.where(at[0] < 0, carry, jnp.take_along_axis(block, jnp.maximum(at, 0), 0)[0])


last = TimeFold(lambda shape, dtype: jnp.zeros(shape, dtype), _latest, lambda carry: carry)
"""The value at the last step; zero over no steps."""


def _add_softmax(carry: Array, block: Array, where: Array) -> Array:
    return carry + jnp.sum(jax.nn.softmax(block.astype(carry.dtype), axis=-1), 0, where=where)


softmax_sum = TimeFold(lambda shape, dtype: jnp.zeros(shape, _wide(dtype)), _add_softmax, lambda carry: carry)
"""The sum over time of the softmax over the last axis."""


def _add_log_softmax(carry: tuple[Array, Array], block: Array, where: Array) -> tuple[Array, Array]:
    return _add(carry, jax.nn.log_softmax(block.astype(carry[0].dtype), axis=-1), where)


log_softmax_rate = TimeFold(_zeros, _add_log_softmax, rate.finish)
"""The mean over time of the logarithm of the softmax over the last axis; zero over no steps."""


def _silent_steps(carry: tuple[Array, Array, Array], spikes: Array, where: Array) -> tuple[Array, Array, Array]:
    silent, time, steps = carry
    # Several spikes in one step are one event; `minimum` would halve the gradient where the count is one.
    stays = jnp.where(where, 1 - jnp.where(spikes > 1, 1, spikes), 1).astype(silent.dtype)
    still = silent * jnp.cumprod(stays, 0)
    time = time + jnp.sum(still, 0, where=where)
    return still[-1], time, steps + jnp.sum(jnp.broadcast_to(where, spikes.shape), 0, dtype=steps.dtype)


first_spike = TimeFold(
    lambda shape, dtype: (jnp.ones(shape, _wide(dtype)), *_zeros(shape, dtype)),
    _silent_steps,
    lambda carry: jnp.stack(carry[1:]),
)
"""Steps before the first spike, sum_t prod_(s <= t) (1 - z_s), and the number of steps: `(2, *batch, *shape)`.

A neuron that never spikes has as many as there are steps. The product is the multilinear extension of the first spike
time, so its derivative at z_t is by how many steps the time changes if that spike comes or goes.
"""
