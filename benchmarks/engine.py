"""nirjax itself.

Options: `block=16` (0: the whole sequence), with it `recompute=1` and `fused=never` (no kernel for a neuron's loop on a
GPU); `fold=1` (the loss folded over blocks).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

import nirjax
from benchmarks import compiled
from benchmarks.task import Job, Task


def build(task: Task) -> Job:
    """The model of the task's graph, forward or one training step."""
    model = nirjax.from_nir(task.graph, dt=task.dt, schedule=schedule(task))
    x, target = jnp.asarray(task.x()), jnp.asarray(task.target())

    def output() -> jax.Array:
        return model(x)[0]

    if not task.training:
        return compiled.job(lambda model, x: model(x)[0], (model, x), output)
    if not any(name.endswith((".weight", ".bias")) for name in model.parameters):
        return compiled.job(train_input, (model, x, target), output)
    params, rest = nirjax.partition(model, ["*.weight", "*.bias"])
    step = train_folded if task.option("fold") == "1" else train
    return compiled.job(step, (params, rest, x, target), output)


def schedule(task: Task) -> nirjax.Schedule | str:
    """The schedule that the options ask for, or "auto"."""
    block = task.option("block")
    if not block:
        return "auto"
    return nirjax.Schedule(
        int(block) or None, recompute=task.option("recompute", "0") == "1", fused=task.option("fused", "auto")
    )


def train(params: Any, rest: Any, x: jax.Array, target: jax.Array) -> tuple[jax.Array, Any]:
    """One step on the loss of the stacked output."""

    def loss(params: Any) -> jax.Array:
        spikes, _ = nirjax.combine(params, rest)(x)
        return compiled.loss(spikes, target)

    value, gradient = jax.value_and_grad(loss)(params)
    return value, compiled.updated(params, gradient)


def train_folded(params: Any, rest: Any, x: jax.Array, target: jax.Array) -> tuple[jax.Array, Any]:
    """The same, with the outputs summed inside the scan."""

    def loss(params: Any) -> jax.Array:
        model = nirjax.combine(params, rest)
        total, _ = model.fold(x, lambda total, block: total + block.sum(0), jnp.zeros_like(target))
        return ((total / x.shape[0] - target) ** 2).mean()

    value, gradient = jax.value_and_grad(loss)(params)
    return value, compiled.updated(params, gradient)


def train_input(model: nirjax.Model, x: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step on the input of a graph without weights."""
    value, gradient = jax.value_and_grad(lambda x: compiled.loss(model(x)[0], target))(x)
    return value, compiled.updated(x, gradient)
