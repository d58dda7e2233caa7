"""Where the time of a workload goes: the operations of the compiled program, by `jax.profiler`.

    python -m benchmarks.profile batch training
    python -m benchmarks.profile batch training --contender handwritten
    python -m benchmarks.profile wide forward block=5 recompute=1

Operations that run at the same time each count in full, and so do an operation and those inside of it (a `while`, a
`cond`): the sum may exceed the time of a call. Names are XLA's; `ffi_call` is machine code of nirjax, `ynn_fusion` and
`dot` are products.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax

from benchmarks.measure import save
from benchmarks.task import Task
from benchmarks.workloads import FORWARD, TRAINING, named

CALLS = 5
SKIPPED = ("$", "Pjit", "Thunk", "end: ")
"""Beginnings of the names of what is no operation: Python's functions, and XLA's own bookkeeping."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload")
    parser.add_argument("mode", choices=(FORWARD, TRAINING))
    parser.add_argument("options", nargs="*", help="of nirjax, as in benchmarks/run.py: block=16 recompute=1")
    parser.add_argument("--contender", default="engine", help="a module of benchmarks that uses JAX (engine)")
    arguments = parser.parse_args()
    (workload,) = named([arguments.workload])
    with tempfile.TemporaryDirectory() as folder:
        save(workload, Path(folder))
        task = Task(workload.name, arguments.mode, folder, workload.dt, tuple(arguments.options))
        job = importlib.import_module(f"benchmarks.{arguments.contender}").build(task)
        seconds = [timed(job.call) for _ in range(2 * CALLS)][CALLS:]
        with jax.profiler.trace(folder):
            for _ in range(CALLS):
                job.call()
        milliseconds, calls = operations(Path(folder))
    print(f"{workload.name}, {arguments.mode}: {1e3 * statistics.median(seconds):.2f} ms a call")
    for name, found in milliseconds.most_common(25):
        print(f"{found / CALLS:9.2f} ms {calls[name] / CALLS:6.0f} x  {name}")


def timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def operations(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """What a trace says of all operations: milliseconds, and how often they ran."""
    (file,) = folder.rglob("*.trace.json.gz")
    milliseconds, calls = Counter[str](), Counter[str]()
    for event in json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]:
        if event.get("ph") == "X" and not event["name"].startswith(SKIPPED):
            milliseconds[event["name"]] += event["dur"] / 1e3
            calls[event["name"]] += 1
    return milliseconds, calls


if __name__ == "__main__":
    main()
