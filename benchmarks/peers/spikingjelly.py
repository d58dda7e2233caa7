"""SpikingJelly 2.0: LIFNode and IFNode in multi-step mode, with a hard reset."""

from __future__ import annotations

from typing import Any

import nir
import torch
from spikingjelly.activation_based import functional, neuron

from benchmarks.peers import UnsupportedError, chains, eager
from benchmarks.task import Job, Task


class Network(torch.nn.Module):
    """A chain of products, each over all steps at once, and neurons in multi-step mode."""

    def __init__(self, graph: nir.NIRGraph, dt: float) -> None:
        super().__init__()
        layers = []
        for name, loop in chains.chain(graph):
            if loop is not None:
                raise UnsupportedError("not built: a recurrent layer of SpikingJelly runs in single-step mode")
            node = graph.nodes[name]
            layers.append(cell(node, dt) if hasattr(node, "v_threshold") else eager.Folded(eager.product(node)))
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        functional.reset_net(self.layers)
        return self.layers(xs)


def cell(node: Any, dt: float) -> torch.nn.Module:
    choices = {"v_threshold": chains.one(node.v_threshold), "v_reset": chains.one(node.v_reset), "step_mode": "m"}
    if isinstance(node, nir.LIF):
        return neuron.LIFNode(tau=chains.one(node.tau) / dt, decay_input=False, **choices)
    if isinstance(node, nir.IF):
        return neuron.IFNode(**choices)
    raise UnsupportedError(f"not built: {type(node).__name__}")


def build(task: Task) -> Job:
    """Without decay_input a node takes its input whole: so do the graphs, whose r is tau / dt."""
    network = Network(eager.read(task.flat_graph), task.dt)
    return eager.job(task, network, dialect="spikingjelly()", graph=task.flat_graph.name)
