"""Sinabs 2.0: LIF and IAF over the whole sequence, one spike a step, a subtracted threshold."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import sinabs.activation
import sinabs.layers
import torch

from benchmarks.peers import UnsupportedError, chains, eager
from benchmarks.task import Job, Task


class Network(torch.nn.Module):
    """A chain of products, each over all steps at once, and neurons."""

    def __init__(self, graph: nir.NIRGraph, dt: float) -> None:
        super().__init__()
        layers = []
        for name, loop in chains.chain(graph):
            if loop is not None:
                raise UnsupportedError("sinabs' importer drops recurrence")
            node = graph.nodes[name]
            layers.append(neuron(node, dt) if hasattr(node, "v_threshold") else eager.Folded(eager.product(node)))
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            if hasattr(layer, "reset_states"):
                layer.reset_states()
        return self.layers(xs.transpose(0, 1)).transpose(0, 1)


def neuron(node: Any, dt: float) -> torch.nn.Module:
    choices = {
        "spike_threshold": eager.tensor(node.v_threshold),
        "spike_fn": sinabs.activation.SingleSpike,
        "reset_fn": sinabs.activation.MembraneSubtract(),
    }
    if isinstance(node, nir.LIF):
        return sinabs.layers.LIF(tau_mem=eager.tensor(np.asarray(node.tau / dt)), norm_input=False, **choices)
    if isinstance(node, nir.IF):
        return sinabs.layers.IAF(**choices)
    raise UnsupportedError(f"sinabs' importer has no {type(node).__name__}")


def build(task: Task) -> Job:
    """Its LIF takes its input whole: so do the graphs, whose r is tau / dt."""
    network = Network(eager.read(task.flat_graph), task.dt)
    return eager.job(
        task, network, dialect="sinabs(spike_fn='SingleSpike', norm_input=False)", graph=task.flat_graph.name
    )
