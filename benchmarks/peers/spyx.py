"""Spyx 1.0: its own NIR importer, and `spyx.nn.run` under jit. Images are channels last, as its layers want them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import nir
import numpy as np
import spyx.nir
import spyx.nn
from flax import nnx

from benchmarks import compiled
from benchmarks.peers import UnsupportedError
from benchmarks.task import Job, Task

WEIGHTS = ("kernel", "bias", "recurrent_w")


def build(task: Task) -> Job:
    """The imported model, forward or one training step."""
    graph = followed(nir.read(task.graph, type_check=False))
    x = jnp.asarray(task.x())
    if x.ndim == 5:
        x = jnp.moveaxis(x, 2, -1)
    model = spyx.nir._build_model(graph, task.dt, nnx.Rngs(0))
    frame, weights, others = nnx.split(model, is_weight, ...)
    target = jnp.asarray(task.target())

    def forward(weights: Any, others: Any, x: jax.Array) -> jax.Array:
        return spyx.nn.run(nnx.merge(frame, weights, others), x)[0]

    def output() -> jax.Array:
        return jax.jit(forward)(weights, others, x)

    def train(weights: Any, others: Any, x: jax.Array, target: jax.Array) -> Any:
        def loss(weights: Any) -> jax.Array:
            return compiled.loss(forward(weights, others, x), target)

        value, gradient = jax.value_and_grad(loss)(weights)
        return value, compiled.updated(weights, gradient)

    def train_input(weights: Any, others: Any, x: jax.Array, target: jax.Array) -> Any:
        value, gradient = jax.value_and_grad(lambda x: compiled.loss(forward(weights, others, x), target))(x)
        return value, compiled.updated(x, gradient)

    if not task.training:
        job = compiled.job(forward, (weights, others, x), output)
    else:
        step = train if jax.tree.leaves(weights) else train_input
        job = compiled.job(step, (weights, others, x, target), output)
    return Job(job.call, job.output, job.facts, dialect="spyx_import()")


def is_weight(path: tuple[Any, ...], value: Any) -> bool:
    return str(path[-1]) in WEIGHTS


def followed(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph, if Spyx's importer follows it.

    Raises:
        UnsupportedError: names that its importer does not find its way by.
    """
    if not {"input", "output"} <= set(graph.nodes):
        raise UnsupportedError("spyx follows a chain from 'input' to 'output'")
    for node in graph.nodes.values():
        if isinstance(node, nir.SumPool2d) and np.any(np.atleast_1d(node.padding)):
            raise UnsupportedError("spyx pads a pool with 'same' only")
    return graph
