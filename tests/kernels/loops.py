"""Loops that the tests of this folder run, and arrays for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.kernels.time_loop import Loop
from nirjax.surrogate import sigmoid, spike


def neuron(keep: Array, threshold: Array, v: Array, trace: Array, x: Array) -> list[Array]:
    """A neuron of two states that fires, with a threshold that its past spikes raise."""
    u = keep * v + x
    z = spike(u, threshold + trace, sigmoid(2))
    return [u * (1 - z), 0.5 * trace + z, z]


LOOP = Loop(neuron, constants=2, states=2)


def arrays(steps: int, shape: Sequence[int], dtype: Any = np.float32) -> list[Array]:
    """Constants, one for each last axis and one for all, states and x."""
    random = np.random.default_rng(steps + sum(shape))
    draw = lambda *shape: jnp.asarray(random.random(shape), dtype)  # noqa: E731
    return [draw(shape[-1]), draw() / 2 + 0.5, draw(*shape), draw(*shape) / 4, draw(steps, *shape)]
