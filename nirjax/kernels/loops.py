"""Loops over the time steps of a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

Advance = Callable[[Any, Any], tuple[Any, Any]]
Loop = Callable[[Advance, Any, Any], tuple[Any, Any]]


def loop(step: Advance, state: Any, xs: Any) -> tuple[Any, Any]:
    """The steps of a block, each recomputed in the backward pass."""
    steps = jax.tree.leaves(xs)[0].shape[0]
    return kept_loop(step if steps == 1 else jax.checkpoint(step, prevent_cse=False), state, xs)


def kept_loop(step: Advance, state: Any, xs: Any) -> tuple[Any, Any]:
    """`lax.scan` over the steps of a block; a block of one has no loop."""
    if jax.tree.leaves(xs)[0].shape[0] == 1:
        state, ys = step(state, jax.tree.map(lambda x: x[0], xs))
        return state, jax.tree.map(lambda y: y[None], ys)
    return lax.scan(step, state, xs)
