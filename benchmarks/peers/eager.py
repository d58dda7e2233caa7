"""What the PyTorch peers share: a network of their neurons, stepped through time, and its training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import torch

from benchmarks.peers import UnsupportedError
from benchmarks.peers.chains import chain
from benchmarks.task import LEARNING_RATE, Job, Task

Neuron = Callable[[Any, Any], tuple[Any, Any]]


def read(path: Any) -> nir.NIRGraph:
    return nir.read(path, type_check=False)


def tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def product(node: Any) -> torch.nn.Module:
    """An Affine, a convolution, a pool or a Flatten, over one step of a batch."""
    if isinstance(node, nir.Affine | nir.Linear):
        layer = torch.nn.Linear(node.weight.shape[1], node.weight.shape[0], bias=isinstance(node, nir.Affine))
    elif isinstance(node, nir.Conv2d):
        stride, padding, dilation = (
            [int(n) for n in np.atleast_1d(v)] for v in (node.stride, node.padding, node.dilation)
        )
        outputs, inputs, *kernel = node.weight.shape
        layer = torch.nn.Conv2d(inputs * node.groups, outputs, kernel, stride, padding, dilation, node.groups)
    elif isinstance(node, nir.SumPool2d):
        kernel = tuple(int(n) for n in node.kernel_size)
        return torch.nn.LPPool2d(1, kernel, tuple(int(n) for n in node.stride))
    elif isinstance(node, nir.Flatten):
        return torch.nn.Flatten(1)
    else:
        raise UnsupportedError(type(node).__name__)
    layer.weight.data = tensor(node.weight)
    if hasattr(node, "bias"):
        layer.bias.data = tensor(node.bias)
    return layer


class Network(torch.nn.Module):
    """A chain of products and neurons, run step by step.

    Args:
        graph: what to build.
        neuron: a NIR node to (x, state or None) -> (spikes, state).
        at_rest: a recurrent bias acts at the first step.
    """

    def __init__(self, graph: nir.NIRGraph, neuron: Callable[[Any], Neuron], *, at_rest: bool = False) -> None:
        super().__init__()
        self.at_rest = at_rest
        layers, back = [], {}
        self.spiking = []
        for at, (name, loop) in enumerate(chain(graph)):
            node = graph.nodes[name]
            self.spiking.append(hasattr(node, "v_threshold"))
            layers.append(neuron(node) if self.spiking[-1] else product(node))
            if loop is not None:
                back[str(at)] = product(graph.nodes[loop])
        self.layers = torch.nn.ModuleList(layers)
        self.back = torch.nn.ModuleDict(back)

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        states: list[Any] = [None] * len(self.layers)
        before: dict[str, torch.Tensor] = {}
        outputs = []
        for x in xs:
            for at, layer in enumerate(self.layers):
                if not self.spiking[at]:
                    x = layer(x)
                    continue
                back = str(at) in self.back
                if back and self.at_rest and states[at] is None:
                    before[str(at)] = torch.zeros_like(x)
                if back and str(at) in before:
                    x = x + self.back[str(at)](before[str(at)])
                x, states[at] = layer(x, states[at])
                if back:
                    before[str(at)] = x
            outputs.append(x)
        return torch.stack(outputs)


class Folded(torch.nn.Module):
    """A layer with time folded into the batch."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        return self.layer(xs.flatten(0, 1)).unflatten(0, xs.shape[:2])


def job(task: Task, network: Callable[[torch.Tensor], torch.Tensor], *, dialect: str, graph: str = "graph.nir") -> Job:
    """Forward without gradients, or one training step by SGD on weights and biases."""
    x, target = tensor(task.x()), tensor(task.target())
    chosen = ("weight", "bias", "w_rec")
    weights = [p for name, p in network.named_parameters() if name.endswith(chosen) and p.requires_grad]
    if not weights:
        x.requires_grad_(task.training)
    optimizer = torch.optim.SGD(weights or [x], lr=LEARNING_RATE)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return network(x)

    def train() -> float:
        optimizer.zero_grad()
        loss = ((network(x).mean(0) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return Job(train if task.training else forward, lambda: forward().numpy(), dialect=dialect, graph=graph)
