"""Recordings a second of one network at one batch size, on as many devices as there are.

Three things are timed in turns, round by round, after everything is compiled: the bare products of the network
(`benchmarks/limit.py`, one device), the model alone on a batch that lies on the device, and the whole of
`nirjax.evaluate` in its steady state: reading, stacking, sending, running, measuring, fetching.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nirjax
from benchmarks import limit
from benchmarks.scale.networks import Network
from nirjax.data.checks import Fit
from nirjax.data.placement import placement_of
from nirjax.data.sources import open_source
from nirjax.evaluation.measuring import Wanted, scorer
from nirjax.evaluation.streaming import stream

BATCHES = 3
"""Batches of one timing of `evaluate`."""


@dataclass(frozen=True)
class Rates:
    """Recordings a second, by the least time of all rounds: what else the machine does only adds to a time.

    Args:
        batch, devices: what was run.
        bare, model, evaluate: recordings a second.
        bytes_per_recording: sent to the device.
        flops_per_recording: of the bare products, those inside a loop counted at each step.
    """

    batch: int
    devices: int
    bare: float
    model: float
    evaluate: float
    bytes_per_recording: float
    flops_per_recording: float


def recordings(model: nirjax.Model, network: Network, count: int) -> tuple[np.ndarray, np.ndarray]:
    """So many random recordings with labels, in memory."""
    (port,) = model.program.plan.inputs
    random = np.random.default_rng(0)
    shape = (count, network.time, *model.program.plan.sites[port].input_shape)
    return (random.random(shape, np.float32) < network.rate).astype(np.uint8), random.integers(0, 2, count)


def measured(network: Network, model: nirjax.Model, batch: int, rounds: int) -> Rates:
    """The rates at one batch size."""
    x, y = recordings(model, network, batch)
    data = np.concatenate([x] * BATCHES), np.concatenate([y] * BATCHES)
    calls = {
        "bare": (bare_products(model.graph, network.time, batch), batch),
        "model": (model_alone(model, x), batch),
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
    rates = {label: 1 / min(own) for label, own in seconds.items()}
    flops = sum(part.flops(1, 1, training=False) * network.time for part in limit.products(model.graph))
    return Rates(
        batch=batch, devices=len(jax.devices()), **rates,
        bytes_per_recording=moved / (batch * BATCHES), flops_per_recording=flops,
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
    function, source, fit = scorer(wanted, placement), open_source(data), Fit.of(model, labels=True)
    placed = model if placement is None else placement.replicated(model)

    def call() -> int:
        batches, done = source.batches(batch), np.empty(0, np.int64)
        parts = stream(function, placed, batches, iter(itertools.count()), done, fit, placement)
        return sum(part.moved for part in parts)

    return call
