"""A batch of recordings, time first, and what is real in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Batch:
    """Recordings of one or several lengths, side by side; a pytree.

    A recording shorter than the others is filled up with zeros in time: `where` is False there. A batch with fewer
    recordings than the others is filled up with repeats of its first one: `valid` is False there. So each shape is
    compiled once, every sample computes to something finite, and no filling has to be counted.

    Args:
        x: the input, `(time, batch, *shape)`, or a dict of such arrays by Input node.
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
        return int(jax.tree.leaves(self.x)[0].shape[0])

    @property
    def size(self) -> int:
        """The number of samples, filling included."""
        return int(jax.tree.leaves(self.x)[0].shape[1])

    @property
    def where(self) -> jax.Array | None:
        """Which time steps belong to the recordings, `(time, batch)`, True or False; None where all do."""
        return None if self.length is None else jnp.arange(self.time)[:, None] < self.length

    def mean(self, values: jax.Array) -> jax.Array:
        """The mean of `values`, `(batch,)`, over the samples that are no filling."""
        if self.valid is None:
            return jnp.mean(values)
        return jnp.sum(values, where=self.valid) / jnp.sum(self.valid)
