"""The networks: the NIR paper's own where its files are at hand, else seeded ones of the same shapes, named as such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nirjax
from benchmarks import workloads
from nirjax import ir


@dataclass(frozen=True)
class Network:
    """One network, and what it is measured with.

    Attributes:
        title: of the rows.
        file: of the NIR paper.
        twin: makes a seeded network of the same nodes and shapes.
        dt, time, rate: the time step, the steps of a recording, the probability of a spike in it.
        batches: samples of a batch on a CPU, and on an accelerator; the quick run takes those that `quick` names.
        shared: the batch that is divided among virtual devices.
    """

    title: str
    file: str
    twin: Callable[[], nirjax.NIRGraph]
    dt: float
    time: int
    rate: float
    batches: dict[bool, tuple[int, ...]]
    quick: dict[bool, tuple[int, ...]]
    shared: int

    def graph(self, paper: Path) -> tuple[nirjax.NIRGraph, str]:
        """The graph, and where it is from."""
        if (paper / self.file).is_file():
            return nirjax.read(paper / self.file), self.file
        return self.twin(), f"seeded, shaped as {self.file}"


def braille_twin() -> nirjax.NIRGraph:
    """12 inputs, 38 recurrent CubaLIF neurons, 7 more."""
    return workloads.recurrent(12, 38, 7)


def cnn_twin() -> nirjax.NIRGraph:
    """Three convolutions, two sum pools and two products, with IF neurons, for frames of 2 x 34 x 34."""
    random = np.random.default_rng(34)

    def weight(deviation: float, *shape: int) -> np.ndarray:
        return random.normal(0, deviation, shape).astype(np.float32)

    def convolution(size: int, kernel: np.ndarray, stride: int) -> ir.Conv2d:
        one = np.array([1, 1])
        bias = np.zeros(len(kernel), np.float32)
        return ir.Conv2d(np.array([size, size]), kernel, stride * one, one, one, np.array(1), bias)

    def neurons(*shape: int) -> ir.IF:
        return ir.IF(*(np.full(shape, value, np.float32) for value in (1, 1)))

    pool = ir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    nodes = {
        "input": ir.Input((2, 34, 34)),
        "0": convolution(34, weight(0.24, 16, 2, 5, 5), 2),
        "1": neurons(16, 16, 16),
        "2": convolution(16, weight(0.21, 16, 16, 3, 3), 1),
        "3": neurons(16, 16, 16),
        "4": pool,
        "5": convolution(8, weight(0.18, 8, 16, 3, 3), 1),
        "6": neurons(8, 8, 8),
        "7": pool,
        "8": ir.Flatten(input_type=(8, 4, 4), start_dim=np.array(0), end_dim=np.array(-1)),
        "9": ir.Affine(weight(0.17, 256, 128), np.zeros(256, np.float32)),
        "10": neurons(256),
        "11": ir.Affine(weight(0.15, 10, 256), np.zeros(10, np.float32)),
        "12": neurons(10),
        "output": ir.Output((10,)),
    }
    return workloads.chain(nodes)


NETWORKS = {
    "braille": Network(
        "Braille, 256 steps", workloads.BRAILLE, braille_twin, 1e-4, 256, 0.04,
        {False: (1, 16, 64, 256), True: (64, 1024, 8192)}, {False: (64,), True: (64, 4096)}, 64,
    ),
    "cnn": Network(
        "N-MNIST CNN, 100 steps", workloads.CNN, cnn_twin, 1.0, 100, 0.1,
        {False: (1, 4, 16), True: (16, 128, 512)}, {False: (16,), True: (16, 256)}, 16,
    ),
}  # fmt: skip
"""What is measured."""
