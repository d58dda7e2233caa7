"""Recordings a second of one network at one batch size, on as many devices as there are.

    python -m benchmarks.scale.throughput PAPER WORKLOAD TIME BATCH ROUNDS      prints one line of JSON

PAPER is the folder of the NIR paper's files.

Three things are timed in turns, round by round, after everything is compiled: the bare products of the network
(`benchmarks/limit.py`, one device), the model alone on a batch that lies on the device, and the whole of
`nirjax.evaluate` in its steady state: reading, stacking, sending, running, measuring, fetching.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nirjax
from benchmarks import limit, workloads
from nirjax.data.checks import Fit
from nirjax.data.placement import placement_of
from nirjax.data.sources import open_source
from nirjax.evaluation.measuring import Wanted, compiled
from nirjax.evaluation.streaming import stream

BATCHES = 3
"""Batches of one timing of `evaluate`."""


@dataclass(frozen=True)
class Rates:
    """Recordings a second, medians, and ratios within a round.

    Args:
        workload, time, batch, devices: what was run.
        bare, model, evaluate: recordings a second.
        model_share, evaluate_share: of what the bare products reach.
        bytes_per_recording: sent to the device.
        flops_per_recording: of the bare products, those inside a loop counted at each step.
    """

    workload: str
    time: int
    batch: int
    devices: int
    bare: float
    model: float
    evaluate: float
    model_share: float
    evaluate_share: float
    bytes_per_recording: float
    flops_per_recording: float


def measured(name: str, time_steps: int, batch: int, rounds: int) -> Rates:
    """The rates of a workload of `benchmarks/workloads.py`."""
    (workload,) = workloads.named([name])
    model = nirjax.from_nir(workload.graph(), dt=workload.dt)
    shape = next(iter(model.program.plan.sites[port].input_shape for port in model.program.plan.inputs))
    random = np.random.default_rng(0)
    x = random.random((batch * BATCHES, time_steps, *shape), np.float32) < (workload.rate or 0.1)
    data = (x.astype(np.uint8), random.integers(0, 2, len(x)))
    calls = {
        "bare": (bare_products(model.graph, time_steps, batch), batch),
        "model": (model_alone(model, data[0][:batch]), batch),
        "evaluate": (whole_evaluation(model, data, batch), batch * BATCHES),
    }
    moved = 0
    for call, _ in calls.values():
        moved = call() or 0
    seconds: dict[str, list[float]] = {label: [] for label in calls}
    for turn in range(rounds):
        for label in [*calls][turn % 3 :] + [*calls][: turn % 3]:
            call, samples = calls[label]
            start = time.perf_counter()
            call()
            seconds[label].append((time.perf_counter() - start) / samples)
    shares = {
        label: statistics.median(bare / own for bare, own in zip(seconds["bare"], seconds[label], strict=True))
        for label in calls
    }
    parts = limit.products(model.graph)
    return Rates(
        name, time_steps, batch, len(jax.devices()),
        *(1 / statistics.median(seconds[label]) for label in calls),
        shares["model"], shares["evaluate"],
        moved / (batch * BATCHES), sum(part.flops(1, 1, training=False) * time_steps for part in parts),
    )  # fmt: skip


def bare_products(graph: nirjax.NIRGraph, time_steps: int, batch: int) -> Callable[[], Any]:
    """The products and convolutions of a batch, on one device."""
    parts = limit.products(graph)
    forward, _ = limit.function_of(parts, time_steps)
    weights = [part.weight() for part in parts]
    xs = [part.arrays(time_steps, batch)[0] for part in parts]
    program = jax.jit(forward).lower(weights, xs).compile()

    def call() -> None:
        jax.block_until_ready(program(weights, xs))

    return call


def model_alone(model: nirjax.Model, x: np.ndarray) -> Callable[[], Any]:
    """The model on a batch that lies on one device."""
    placed = jnp.asarray(np.swapaxes(x, 0, 1))
    program = jax.jit(lambda model, x: model(x)[0]).lower(model, placed).compile()

    def call() -> None:
        jax.block_until_ready(program(model, placed))

    return call


def whole_evaluation(model: nirjax.Model, data: Any, batch: int) -> Callable[[], int]:
    """The steady state of `evaluate` over all devices: what it does between opening the data and giving the result."""
    placement = placement_of(None)
    wanted = Wanted.of(None, (), kept=False, model=model)
    function, source, fit = compiled(wanted, placement), open_source(data), Fit.of(model, labels=True)
    placed = model if placement is None else placement.replicated(model)

    def call() -> int:
        batches, done = source.batches(batch), np.empty(0, np.int64)
        parts = stream(function, placed, batches, iter(itertools.count()), done, fit, placement)
        return sum(part.moved for part in parts)

    return call


if __name__ == "__main__":
    folder, workload, *numbers = sys.argv[1:]
    workloads.PAPER = Path(folder)
    print(json.dumps(asdict(measured(workload, *map(int, numbers)))))
