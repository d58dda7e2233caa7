"""Compiling a JAX function for a job: what it costs, by the compiler's own account."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.task import LEARNING_RATE, Job


def job(function: Callable[..., Any], arguments: tuple[Any, ...], output: Callable[[], Any] | None) -> Job:
    """The job of calling `function` with `arguments`, both jitted."""
    arguments = jax.device_put(arguments)
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    return Job(
        call=lambda: jax.block_until_ready(program(*arguments)),
        output=None if output is None else lambda: np.asarray(output()),
        facts=facts(program) | {"compile_seconds": seconds},
    )


def facts(program: Any) -> dict[str, float]:
    """Flops (the body of a loop counted once) and temporary bytes of a compiled program."""
    return {
        "flops": float(program.cost_analysis()["flops"]),
        "temporary_bytes": float(program.memory_analysis().temp_size_in_bytes),
    }


def loss(spikes: jax.Array, target: jax.Array) -> jax.Array:
    """Mean square distance between the rate of each output and its target.

    The rate is a product with ones, for every contender that uses JAX: for `spikes.mean(0)` XLA takes sixty times as
    long where there are a million outputs (`python -m benchmarks.pieces`).
    """
    ones = jnp.ones(len(spikes), spikes.dtype)
    return ((jnp.tensordot(ones, spikes, 1) / len(spikes) - target) ** 2).mean()


def updated(params: Any, gradient: Any) -> Any:
    """One step of SGD."""
    return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, gradient)
