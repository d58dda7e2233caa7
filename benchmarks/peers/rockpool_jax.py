"""Rockpool 3.1, jax: LinearJax and LIFJax (a CubaLIF, with its own recurrent weights) in a Sequential, under jit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import nir
import numpy as np
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFJax, LinearJax

from benchmarks import compiled
from benchmarks.peers import UnsupportedError, chains
from benchmarks.task import Job, Task

WEIGHTS = {"LinearJax": ("weight", "bias"), "LIFJax": ("w_rec",)}


def build(task: Task) -> Job:
    """The network, forward or one training step. Its modules take samples first, then time."""
    graph = nir.read(task.flat_graph, type_check=False)
    network = Sequential(*(module(graph, name, loop, task.dt) for name, loop in chains.chain(graph)))
    x, target = jnp.asarray(task.x()), jnp.asarray(task.target())
    weights, others = split(network.parameters())

    def forward(weights: Any, others: Any, x: jax.Array) -> jax.Array:
        # What it learns from is its own module with other parameters; the state stays that of its start.
        given = {layer: {**others[layer], **weights[layer]} for layer in others}
        return network.set_attributes(given)(x.swapaxes(0, 1))[0].swapaxes(0, 1)

    def output() -> jax.Array:
        return jax.jit(forward)(weights, others, x)

    def train(weights: Any, others: Any, x: jax.Array, target: jax.Array) -> Any:
        value, gradient = jax.value_and_grad(lambda w: compiled.loss(forward(w, others, x), target))(weights)
        return value, compiled.updated(weights, gradient)

    if task.training:
        job = compiled.job(train, (weights, others, x, target), output)
    else:
        job = compiled.job(forward, (weights, others, x), output)
    return Job(job.call, job.output, job.facts, dialect="rockpool()", graph=task.flat_graph.name)


def split(parameters: Any) -> tuple[Any, Any]:
    """Weights and biases of the products and recurrent weights, and the other parameters, by layer."""
    kept = {layer: WEIGHTS[layer.partition("_")[2]] for layer in parameters}
    weights = {layer: {name: v for name, v in own.items() if name in kept[layer]} for layer, own in parameters.items()}
    others = {layer: {n: v for n, v in own.items() if n not in kept[layer]} for layer, own in parameters.items()}
    return weights, others


def module(graph: nir.NIRGraph, name: str, loop: str | None, dt: float) -> Any:
    """The module of an Affine or a CubaLIF."""
    node = graph.nodes[name]
    if isinstance(node, nir.Affine):
        return LinearJax(node.weight.shape[::-1], weight=single(node.weight.T), bias=single(node.bias))
    if not isinstance(node, nir.CubaLIF):
        raise UnsupportedError(f"not built: {type(node).__name__}; its one neuron in JAX has a current of its own")
    back = {} if loop is None else {"has_rec": True, "w_rec": single(chains.unbiased(graph.nodes[loop]).T)}
    return LIFJax(
        node.v_threshold.shape,
        tau_mem=single(node.tau_mem),
        tau_syn=single(node.tau_syn[:, None]),
        bias=np.zeros(node.v_threshold.shape, np.float32),
        threshold=single(node.v_threshold),
        dt=dt,
        **back,
    )


def single(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
