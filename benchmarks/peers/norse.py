"""Norse 1.1: the cells that its own importer makes, stepped through time."""

from __future__ import annotations

from typing import Any

import torch
from norse.torch.utils.import_nir import _import_norse_module

from benchmarks.peers import eager
from benchmarks.task import Job, Task


class Cell(torch.nn.Module):
    """A Norse cell as (x, state) -> (spikes, state)."""

    def __init__(self, node: Any, dt: float) -> None:
        super().__init__()
        self.cell = _import_norse_module(node, ignore_warnings=True, dt=dt)

    def forward(self, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        return self.cell(x, state)


def build(task: Task) -> Job:
    """Norse leaves out r: it is taken into the weights."""
    graph = eager.read(task.unit_graph)
    network = eager.Network(graph, lambda node: Cell(node, task.dt))
    return eager.job(task, network, dialect="norse_import()", graph="unit.nir")
