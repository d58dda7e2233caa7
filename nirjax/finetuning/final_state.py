"""The state at each recording's own last step, where recordings of several lengths lie side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from nirjax.engine.model import Model
from nirjax.engine.states import States


def state_at(model: Model, x: Any, length: Array) -> States:
    """The state after step `length[k]` of sample k.

    A plain loop over `Model.step`, in which a state stays as it is once its recording has ended. Under jit it costs
    nothing where nobody looks at it.

    Args:
        model: the model.
        x: (time, batch, *shape), by Input node where there are several; what lies behind a recording's end is filling.
        length: time steps of each recording, (batch,), from 1 to time.

    Returns:
        what `model(x[:length[k], k:k + 1])` leaves, for all k side by side.
    """
    time, samples = jax.tree.leaves(x)[0].shape[:2]
    axes = _batch_axes(model)

    def advance(state: States, at: tuple[Array, Any]) -> tuple[States, None]:
        step, x_t = at
        _, new = model.step(x_t, state)
        return jax.tree.map(lambda axis, a, b: jnp.where(_along(step < length, axis, a), a, b), axes, new, state), None

    state, _ = lax.scan(advance, model.init_state((samples,)), (jnp.arange(time), x))
    return state


def _batch_axes(model: Model) -> Mapping[str, Mapping[str, int]]:
    """Where the batch axis is in each array of the state: a Delay has its history in front."""
    one, two = (jax.eval_shape(lambda n=n: model.init_state((n,))) for n in (1, 2))
    axes: Mapping[str, Mapping[str, int]] = jax.tree.map(
        lambda a, b: next(axis for axis, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n), one, two
    )
    return axes


def _along(mask: Array, axis: int, array: Array) -> Array:
    """The mask as an axis of the array, against which it broadcasts."""
    return mask.reshape(*(1,) * axis, -1, *(1,) * (array.ndim - axis - 1))
