"""Rockpool 3.1, torch: LIFTorch (a CubaLIF, with its own recurrent weights) and LIFNeuronTorch (a LIF)."""

from __future__ import annotations

from typing import Any

import nir
import torch
from rockpool.nn.modules import LIFNeuronTorch, LIFTorch

from benchmarks.peers import UnsupportedError, chains, eager
from benchmarks.task import Job, Task


class Network(torch.nn.Module):
    """A chain of products, each over all steps at once, and neurons. Its modules take samples first, then time."""

    def __init__(self, graph: nir.NIRGraph, dt: float) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for name, loop in chains.chain(graph):
            node = graph.nodes[name]
            if hasattr(node, "v_threshold"):
                layers.append(neuron(node, graph.nodes[loop] if loop else None, dt))
            else:
                layers.append(eager.Folded(eager.product(node)))
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        xs = xs.transpose(0, 1)
        for layer in self.layers:
            if isinstance(layer, eager.Folded):
                xs = layer(xs)
            else:
                layer.reset_state()
                xs, _, _ = layer(xs)
        return xs.transpose(0, 1)


def neuron(node: Any, back: Any, dt: float) -> torch.nn.Module:
    """The module of a LIF or CubaLIF; of its parameters only the recurrent weights are trained."""
    size = node.v_threshold.shape
    choices = {"threshold": eager.tensor(node.v_threshold), "dt": dt}
    if isinstance(node, nir.CubaLIF):
        taus = {"tau_mem": eager.tensor(node.tau_mem), "tau_syn": eager.tensor(node.tau_syn[:, None])}
        if back is not None:
            choices |= {"has_rec": True, "w_rec": eager.tensor(chains.unbiased(back).T)}
        module = LIFTorch(size, bias=torch.zeros(size), **taus, **choices)
    elif isinstance(node, nir.LIF) and back is None:
        module = LIFNeuronTorch(size, tau_mem=eager.tensor(node.tau), bias=torch.zeros(size), **choices)
    else:
        raise UnsupportedError(f"not built: {type(node).__name__}")
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name == "w_rec")
    return module


def build(task: Task) -> Job:
    """The modules take their input whole: so do the graphs, whose r and w_in are tau / dt."""
    network = Network(eager.read(task.flat_graph), task.dt)
    return eager.job(task, network, dialect="rockpool()", graph=task.flat_graph.name)
