"""A network and a task for tests: two input channels, the busier one is the class."""

from __future__ import annotations

from typing import Any

import numpy as np
from engine.graphs import graph, lif, ports

import nirjax
from nirjax.ir import nodes as ir

STEPS, CHANNELS, CLASSES = 8, 2, 2


def model(readout: Any = None, hidden: int = 5) -> nirjax.Model:
    rng = np.random.default_rng(0)
    nodes = {
        "in": ir.Input((CHANNELS,)),
        "out": ir.Output((CLASSES,)),
        "fc1": ir.Affine(rng.normal(1, 1, (hidden, CHANNELS)).astype(np.float32), np.full(hidden, 0.1, np.float32)),
        "lif1": lif(hidden),
        "fc2": ir.Linear(rng.normal(0.3, 0.5, (CLASSES, hidden)).astype(np.float32)),
        "lif2": readout or lif(CLASSES),
    }
    return nirjax.from_nir(graph(nodes, "in fc1 lif1 fc2 lif2 out"), dt=1)


def data(count: int = 12, seed: int = 0, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count)
    rates = np.where(np.arange(CLASSES) == y[:, None], 0.9, 0.2)
    return (rng.random((count, steps, CHANNELS)) < rates[:, None]).astype(np.uint8), y


__all__ = ["CLASSES", "data", "model", "ports"]
