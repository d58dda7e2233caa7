"""snnTorch 1.0: Leaky and Synaptic, reset to zero in the step of the spike."""

from __future__ import annotations

from typing import Any

import nir
import snntorch
import snntorch.surrogate
import torch

from benchmarks.peers import UnsupportedError, eager
from benchmarks.task import Job, Task

CHOICES: dict[str, Any] = {"reset_mechanism": "zero", "reset_delay": False}


class Cell(torch.nn.Module):
    """Leaky or Synaptic as (x, state) -> (spikes, state)."""

    def __init__(self, node: Any, dt: float) -> None:
        super().__init__()
        surrogate = snntorch.surrogate.fast_sigmoid(25)
        threshold = eager.tensor(node.v_threshold)
        if isinstance(node, nir.LIF):
            beta = eager.tensor(1 - dt / node.tau)
            self.cell = snntorch.Leaky(beta, threshold, surrogate, **CHOICES)
        elif isinstance(node, nir.CubaLIF):
            alpha, beta = eager.tensor(1 - dt / node.tau_syn), eager.tensor(1 - dt / node.tau_mem)
            self.cell = snntorch.Synaptic(alpha, beta, threshold, surrogate, **CHOICES)
        else:
            raise UnsupportedError(f"snntorch has no {type(node).__name__}")

    def forward(self, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        if state is None:
            state = [torch.zeros_like(x)] * (1 if isinstance(self.cell, snntorch.Leaky) else 2)
        spikes, *state = self.cell(x, *state)
        return spikes, state


def build(task: Task) -> Job:
    """Leaky and Synaptic take their input whole: so do the graphs, whose r is tau / dt."""
    network = eager.Network(eager.read(task.flat_graph), lambda node: Cell(node, task.dt), at_rest=True)
    return eager.job(
        task, network, dialect="snntorch(reset_mechanism='zero', reset_delay=False)", graph=task.flat_graph.name
    )
