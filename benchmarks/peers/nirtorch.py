"""NIRTorch 2.6 with Norse's map: `norse.torch.from_nir(graph)`, stepped through time."""

from __future__ import annotations

import norse.torch
import torch

from benchmarks.peers import eager
from benchmarks.task import Job, Task


class Stepped(torch.nn.Module):
    """An executor of one step, run over all of them."""

    def __init__(self, executor: torch.nn.Module) -> None:
        super().__init__()
        self.executor = executor

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        state, outputs = None, []
        for x in xs:
            y, state = self.executor(x, state)
            outputs.append(y)
        return torch.stack(outputs)


def build(task: Task) -> Job:
    """Norse leaves out r: it is taken into the weights."""
    executor = norse.torch.from_nir(eager.read(task.unit_graph), ignore_warnings=True, dt=task.dt)
    return eager.job(task, Stepped(executor), dialect="norse_import()", graph="unit.nir")
