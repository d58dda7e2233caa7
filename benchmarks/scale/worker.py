"""All measurements of one network, in a process that nothing else has run in before.

    python -m benchmarks.scale.worker NETWORK PAPER ROUNDS all|quick|shared         prints one line of JSON

PAPER is the folder of the NIR paper's files. "shared" measures nothing but the batch that is divided among devices.
"""

from __future__ import annotations

import time

BEGUN = time.perf_counter()

import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402

import nirjax  # noqa: E402
from benchmarks.scale import pieces, throughput  # noqa: E402
from benchmarks.scale.networks import NETWORKS  # noqa: E402


def measured(name: str, paper: Path, rounds: int, extent: str) -> dict[str, Any]:
    """What `run.py` makes its tables of."""
    network = NETWORKS[name]
    graph, origin = network.graph(paper)
    model = nirjax.from_nir(graph, dt=network.dt)
    accelerated = jax.default_backend() != "cpu"
    first = jax.devices()[0]
    found = {
        "network": name,
        "title": network.title,
        "graph": origin,
        "machine": {
            "device": f"{len(jax.devices())} x {first.device_kind} ({first.platform})",
            "accelerated": accelerated,
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "jax": jax.__version__,
        },
    }
    if extent == "shared":
        return found | {"rates": [asdict(throughput.measured(network, model, network.shared, rounds))]}
    x, y = throughput.recordings(model, network, pieces.BATCH)
    nirjax.evaluate(model, (x, y), batch_size=pieces.BATCH, progress=False)
    start = time.perf_counter() - BEGUN
    sizes = (network.quick if extent == "quick" else network.batches)[accelerated]
    rates = [asdict(throughput.measured(network, model, size, rounds)) for size in sizes]
    return found | {"start": start, "rates": rates, "pieces": asdict(pieces.measured(network, model, rounds))}


if __name__ == "__main__":
    name, folder, rounds, extent = sys.argv[1:]
    print(json.dumps(measured(name, Path(folder), int(rounds), extent)))
