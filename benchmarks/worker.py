"""A process that holds one contender: takes tasks, makes them ready, and runs them when told.

    python -m benchmarks.worker CONTENDER

Commands come as JSON lines and are answered by one JSON line each:

    {"do": "prepare", "task": ...}   -> {"facts": ..., "seconds": ...}      build and compile
    {"do": "output", "to": path}     -> {"saved": ..., "dialect": ...}      what the network emits, as .npy
    {"do": "time", "calls": n}       -> {"seconds": [...]}                  n calls, each timed
    {"do": "release"}                -> {}                                  forget the task
    {"do": "versions"}               -> {"versions": {...}}
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import importlib.metadata
import json
import os
import sys
import time
import traceback
from typing import Any

import numpy as np

from benchmarks.task import Job, Task

PACKAGES = (
    *("nirjax", "jax", "jaxlib", "flax", "torch", "numpy", "nir"),
    *("nirtorch", "norse", "snntorch", "sinabs", "spikingjelly", "spyx", "rockpool"),
)


class Worker:
    """One contender, and the task that it holds."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.task: Task | None = None
        self.job: Job | None = None

    def prepare(self, command: dict[str, Any]) -> dict[str, Any]:
        start = time.perf_counter()
        self.task = Task.loads(command["task"])
        self.job = self.module.build(self.task)
        return {"facts": self.job.facts, "seconds": time.perf_counter() - start}

    def output(self, command: dict[str, Any]) -> dict[str, Any]:
        if self.job is None or self.job.output is None:
            return {"saved": False}
        np.save(command["to"], self.job.output())
        return {"saved": True, "dialect": self.job.dialect, "graph": self.job.graph}

    def time(self, command: dict[str, Any]) -> dict[str, Any]:
        if self.job is None:
            assert self.task is not None
            self.job = self.module.build(self.task)
            if command["calls"] > 1:
                self.job.call()
        seconds: list[float] = []
        for _ in range(command["calls"]):
            start = time.perf_counter()
            result = self.job.call()
            seconds.append(time.perf_counter() - start)
            del result
        # The neurons of eager frameworks hold on to the graph of their last call, of gigabytes: not in others' turns.
        if "torch" in sys.modules:
            self.forget()
        return {"seconds": seconds}

    def forget(self) -> None:
        """Let go of the job; it is made again when it is timed again. The system gets its memory back."""
        self.job = None
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)

    def release(self, command: dict[str, Any]) -> dict[str, Any]:
        self.task = None
        self.forget()
        return {}

    def versions(self, command: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for package in PACKAGES:
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        return {"versions": found | {"python": sys.version.split()[0]}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender")
    worker = Worker(importlib.import_module(f"benchmarks.{parser.parse_args().contender}"))
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command["do"])(command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
