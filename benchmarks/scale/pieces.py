"""What an evaluation consists of besides the computation, each measured alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import nirjax
from benchmarks.scale.networks import Network
from nirjax.data.padding import filled
from nirjax.data.parts import Indexed
from nirjax.data.sources import open_source
from nirjax.evaluation.folder import Folder
from nirjax.evaluation.streaming import Scored

BATCH = 64
TOGETHER = 4096
"""Results in a shard."""


@dataclass(frozen=True)
class Pieces:
    """Seconds, the least of all rounds.

    Args:
        take: for each recording, reading it from a file that is mapped into memory and putting it beside the others.
        send: for each byte, from there to the device (on a CPU that is one copy).
        write: for each result, in a shard of 4,096 of them, compressed and synced.
        bytes: of a recording, as uint8.
    """

    take: float
    send: float
    write: float
    bytes: int


def measured(network: Network, model: nirjax.Model, rounds: int) -> Pieces:
    """The pieces for recordings of this network."""
    (port,) = model.program.plan.inputs
    shape = model.program.plan.sites[port].input_shape
    with tempfile.TemporaryDirectory() as folder:
        stored = np.lib.format.open_memmap(Path(folder, "x.npy"), "w+", np.uint8, (4 * BATCH, network.time, *shape))
        source = open_source((stored, np.zeros(4 * BATCH, int)))
        assert isinstance(source, Indexed)
        places, valid = filled(BATCH, BATCH)
        batch = source.take(places, valid)
        take = least(rounds, lambda: source.take(places, valid)) / BATCH
        send = least(rounds, lambda: jax.block_until_ready(jax.device_put(batch.x))) / batch.x.nbytes
        results = Scored(
            np.arange(TOGETHER),
            {metric: np.random.default_rng(0).random(TOGETHER, np.float32) for metric in ("a", "b", "c")},
            {}, np.zeros(TOGETHER, np.int32), 0,
        )  # fmt: skip
        write = least(rounds, lambda: Folder(Path(folder)).write([results])) / TOGETHER
    return Pieces(take, send, write, batch.x.nbytes // BATCH)


def least(rounds: int, call: Callable[[], Any]) -> float:
    """Seconds of a call, after one that does not count."""
    call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
