"""A batch of recordings, time first, and what is real in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from nirjax.data.events import Events


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Batch:
    """Recordings of one or several lengths, side by side; a pytree.

    A recording shorter than the others is filled up with zeros in time: `where` is False there. A batch with fewer
    recordings than the others is filled up with repeats of its first one: `valid` is False there. So each shape is
    compiled once, every sample computes to something finite, and no filling has to be counted.

    Args:
        x: the input, `(time, batch, *shape)`, or `nirjax.data.Events` that stand for it, or a dict of such by Input.
        y: labels `(batch,)`, targets `(batch, ...)`, targets in time `(time, batch, ...)`, or None.
        length: time steps of each recording, `(batch,)`; None where all are as long as `x`.
        valid: which samples are no filling, `(batch,)`; None where all are real.
    """

    x: Any
    y: Any = None
    length: Any = None
    valid: Any = None

    @property
    def time(self) -> int:
        """The number of time steps, filling included."""
        return int(jax.tree.leaves(self.x, is_leaf=_is_events)[0].shape[0])

    @property
    def size(self) -> int:
        """The number of samples, filling included."""
        return int(jax.tree.leaves(self.x)[0].shape[1])

    @property
    def step_shape(self) -> Any:
        """The shape of one time step of one sample; a dict by Input node, where `x` is one."""
        return jax.tree.map(lambda x: tuple(x.shape[2:]), self.x, is_leaf=_is_events)

    @property
    def nbytes(self) -> int:
        """Bytes of everything in the batch: what moves to a device, events as events."""
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self))

    @property
    def where(self) -> jax.Array | None:
        """Which time steps belong to the recordings, `(time, batch)`, True or False; None where all do."""
        return None if self.length is None else jnp.arange(self.time)[:, None] < self.length

    def binned(self) -> Batch:
        """The batch with frames where it has events, made where it lies; to be called in the compiled program."""
        return dataclasses.replace(
            self, x=jax.tree.map(lambda x: x.dense() if _is_events(x) else x, self.x, is_leaf=_is_events)
        )

    def mean(self, values: jax.Array) -> jax.Array:
        """The mean of `values`, `(batch,)`, over the samples that are no filling."""
        if self.valid is None:
            return jnp.mean(values)
        return jnp.sum(values, where=self.valid) / jnp.sum(self.valid)


def _is_events(part: Any) -> bool:
    return isinstance(part, Events)
