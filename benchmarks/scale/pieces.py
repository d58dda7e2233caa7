"""What an evaluation consists of besides the computation, each measured alone.

python -m benchmarks.scale.pieces PAPER WORKLOAD TIME ROUNDS          prints one line of JSON
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import nirjax
from benchmarks import workloads
from nirjax.data.padding import filled
from nirjax.data.sources import open_source
from nirjax.evaluation.folder import Folder
from nirjax.evaluation.streaming import Scored

BATCH = 64
TOGETHER = 4096
"""Results in a shard."""

COLD = """
import sys, time
start = time.perf_counter()
import numpy as np, nirjax
model = nirjax.from_nir(sys.argv[1], dt=float(sys.argv[2]))
shape = next(iter(model.graph.inputs.values())).input_type["input"]
x = np.zeros((64, int(sys.argv[3]), *map(int, shape)), np.uint8)
nirjax.evaluate(model, (x, np.zeros(64, int)), batch_size=64, progress=False)
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Pieces:
    """Seconds, medians.

    Args:
        workload, time: what was run.
        start: a cold process up to its first batch of 64, compiled anew.
        take: for each recording, reading it from a file that is mapped into memory and putting it beside the others.
        send: for each byte, from there to the device (on a CPU that is one copy).
        write: for each result, in a shard of 4,096 of them, compressed and synced.
        bytes: of a recording, as uint8.
    """

    workload: str
    time: int
    start: float
    take: float
    send: float
    write: float
    bytes: int


def measured(name: str, time_steps: int, rounds: int) -> Pieces:
    """The pieces of a workload of `benchmarks/workloads.py`."""
    (workload,) = workloads.named([name])
    shape = tuple(int(n) for n in next(iter(workload.graph().inputs.values())).input_type["input"])
    with tempfile.TemporaryDirectory() as folder:
        nirjax.write(Path(folder, "graph.nir"), workload.graph())
        place = str(Path(folder, "graph.nir"))
        cold = [sys.executable, "-c", COLD, place, str(workload.dt), str(time_steps)]
        environment = {"PYTHONPATH": str(workloads.ROOT), "JAX_ENABLE_COMPILATION_CACHE": "0"}
        started = [
            float(subprocess.run(cold, capture_output=True, check=True, text=True, env=environment).stdout)
            for _ in range(min(rounds, 3))
        ]
        stored = np.lib.format.open_memmap(Path(folder, "x.npy"), "w+", np.uint8, (4 * BATCH, time_steps, *shape))
        source = open_source((stored, np.zeros(4 * BATCH, int)))
        places, valid = filled(BATCH, BATCH)
        batch = source.take(places, valid)  # type: ignore[attr-defined]
        take = median(rounds, lambda: source.take(places, valid)) / BATCH  # type: ignore[attr-defined]
        send = median(rounds, lambda: jax.block_until_ready(jax.device_put(batch.x))) / batch.x.nbytes
        results = Scored(
            np.arange(TOGETHER),
            {metric: np.random.default_rng(0).random(TOGETHER, np.float32) for metric in ("a", "b", "c")},
            {}, np.zeros(TOGETHER, np.int32), 0,
        )  # fmt: skip
        write = median(rounds, lambda: Folder(Path(folder)).write([results])) / TOGETHER
    return Pieces(name, time_steps, statistics.median(started), take, send, write, batch.x.nbytes // BATCH)


def median(rounds: int, call: Callable[[], Any]) -> float:
    """Seconds of a call, after one that does not count."""
    call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    paper, workload, *numbers = sys.argv[1:]
    workloads.PAPER = Path(paper)
    print(json.dumps(asdict(measured(workload, *map(int, numbers)))))
