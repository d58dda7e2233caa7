"""Rockpool 3.1, jax: LinearJax and LIFJax (a CubaLIF, with its own recurrent weights) in a Sequential, under jit.

It has no neuron without a synaptic current. A LIF is a LIFJax whose current is gone after a step: it keeps e^-20 of
it, and the product before it is larger by e^20.
"""

from __future__ import annotations

import itertools
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

GONE = 20.0
"""Synaptic time constants in a time step, for a current that is to be gone after it."""

WEIGHTS = {"LinearJax": ("weight", "bias"), "LIFJax": ("w_rec",)}


def build(task: Task) -> Job:
    """The network, forward or one training step. Its modules take samples first, then time."""
    graph = nir.read(task.flat_graph, type_check=False)
    network = Sequential(*modules(graph, task.dt))
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


def modules(graph: nir.NIRGraph, dt: float) -> list[Any]:
    """The modules of a chain."""
    names = chains.chain(graph)
    made = []
    for (name, loop), behind in itertools.zip_longest(names, names[1:]):
        node = graph.nodes[name]
        if isinstance(node, nir.Affine):
            larger = np.exp(GONE) if behind and isinstance(graph.nodes[behind[0]], nir.LIF) else 1.0
            weight, bias = single(larger * node.weight.T), single(larger * node.bias)
            made.append(LinearJax(weight.shape, weight=weight, bias=bias))
        elif isinstance(node, nir.CubaLIF):
            made.append(neuron(node, node.tau_mem, node.tau_syn, graph.nodes[loop] if loop else None, dt))
        elif isinstance(node, nir.LIF) and loop is None and made:
            made.append(neuron(node, node.tau, np.full_like(node.tau, dt / GONE), None, dt))
        else:
            raise UnsupportedError(f"not built: {type(node).__name__}")
    return made


def neuron(node: Any, tau_mem: np.ndarray, tau_syn: np.ndarray, back: Any, dt: float) -> Any:
    """A LIFJax, with the recurrent weights of `back`."""
    recurrence = {} if back is None else {"has_rec": True, "w_rec": single(chains.unbiased(back).T)}
    return LIFJax(
        node.v_threshold.shape,
        tau_mem=single(tau_mem),
        tau_syn=single(tau_syn[:, None]),
        bias=np.zeros(node.v_threshold.shape, np.float32),
        threshold=single(node.v_threshold),
        dt=dt,
        **recurrence,
    )


def single(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
