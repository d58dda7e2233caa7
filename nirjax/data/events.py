"""Recordings as events, on their way to frames on the device.

What goes to the device is one number an event, its place in `(time, *shape)`. The frames are made there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Reduce = Literal["sum", "any"]

NOWHERE = 2**31 - 1
"""A place that is in no frame: filling."""

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Events:
    """Recordings as events, side by side: the `x` of a batch that is binned when a model computes with it.

    It is a pytree with one leaf, and stands for the array `(time, *batch, *step_shape)` wherever JAX takes an array:
    `model(events)` runs the model on the frames, which are made on the device, inside the compiled program.

    Attributes:
        index: where each event lies in `(time, *step_shape)`, flattened, int32 `(events, *batch)`; filling is 2^31 - 1.
        time: the number of time steps.
        step_shape: the shape of one time step.
        reduce: "sum" counts the events of an element, float32; "any" says whether there are any, bool.
    """

    index: Any
    time: int
    step_shape: Shape
    reduce: Reduce = "sum"

    @property
    def shape(self) -> Shape:
        """The shape of the frames."""
        return (self.time, *self.index.shape[1:], *self.step_shape)

    @property
    def ndim(self) -> int:
        """The number of axes of the frames."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the frames."""
        return np.dtype(bool if self.reduce == "any" else np.float32)

    def dense(self) -> Array:
        """The frames, `(time, *batch, *step_shape)`."""
        features, batch = math.prod(self.step_shape), math.prod(self.index.shape[1:])
        index = jnp.asarray(self.index).reshape(-1, batch)
        places = (index // features, jnp.arange(batch), index % features)
        frames = jnp.zeros((self.time, batch, features), self.dtype).at[places]
        filled = frames.set(True, mode="drop") if self.reduce == "any" else frames.add(1, mode="drop")
        return filled.reshape(self.shape)

    def __jax_array__(self) -> Array:
        return self.dense()


jax.tree_util.register_dataclass(Events, data_fields=["index"], meta_fields=["time", "step_shape", "reduce"])
