"""nirjax on an accelerator: the workloads of `run.py` against their limit, and against scans without kernels.

    python -m benchmarks.accelerator                          about two minutes; writes ACCELERATOR.md and results/
    python -m benchmarks.accelerator --only small,conv-16

All in one process, compiled side by side and timed in turns; medians, and ratios of calls in the same turn. All compute
products in float32 (`jax_default_matmul_precision="highest"`). The outputs of kernels and scans are compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from benchmarks import engine, handwritten, limit
from benchmarks.measure import save
from benchmarks.task import Job, Task
from benchmarks.workloads import WORKLOADS, AbsentError, Workload, named

HERE = Path(__file__).parent
CONTENDERS: dict[str, tuple[ModuleType, tuple[str, ...]]] = {
    "nirjax": (engine, ()),
    "without kernels": (engine, ("block=0", "fused=never")),
    "hand-written": (handwritten, ()),
    "limit": (limit, ()),
}
LONGEST_SCAN = 1000
"""Steps beyond which only what has no scan is run: a scan costs over ten microseconds a step."""


def made_ready(workload: Workload, folder: Path, pool: ThreadPoolExecutor) -> dict[tuple[str, str], Any]:
    """(mode, contender) to the job to come."""
    save(workload, folder)
    jobs = {}
    for mode in workload.modes:
        task = Task(workload.name, mode, str(folder), workload.dt)
        for name, (module, options) in CONTENDERS.items():
            if workload.time <= LONGEST_SCAN or name in ("nirjax", "limit"):
                jobs[mode, name] = pool.submit(module.build, dataclasses.replace(task, options=options))
    return jobs


def rows(workload: Workload, jobs: Mapping[tuple[str, str], Any], rounds: int) -> Iterator[dict[str, Any]]:
    """A row for each mode."""
    for mode in workload.modes:
        ready: dict[str, Job] = {name: job.result() for (its, name), job in jobs.items() if its == mode}
        row: dict[str, Any] = {"workload": workload.name, "mode": mode, "seconds": timed(ready, rounds)}
        if mode == workload.modes[0] and "without kernels" in ready:
            kernels, scans = (np.asarray(ready[name].output()) for name in ("nirjax", "without kernels"))  # type: ignore[misc]
            row["spikes"], row["differ"] = float(scans.sum()), int((kernels != scans).sum())
        yield row


def timed(jobs: Mapping[str, Job], rounds: int) -> dict[str, list[float]]:
    """The median of a few calls of each, in turns."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job.call()
    for _ in range(rounds):
        for name, job in jobs.items():
            seconds: list[float] = []
            while sum(seconds) < 0.03 and len(seconds) < 30:
                start = time.perf_counter()
                job.call()
                seconds.append(time.perf_counter() - start)
            found[name].append(statistics.median(seconds))
    return found


def as_markdown(found: Mapping[str, Any]) -> str:
    """The table."""
    lines = [f"# Workloads on one {found['device']}", "", f"    {found['command']}", ""]
    lines += [f"jax {found['jax']}. Milliseconds, and in brackets multiples of the limit. Products in float32.", ""]
    lines += ["| workload | " + " | ".join(CONTENDERS) + " | outputs that differ without kernels |"]
    lines += ["|---" * (2 + len(CONTENDERS)) + "|"]
    for row in found["rows"]:
        bare = row["seconds"]["limit"]
        cells = []
        for name in CONTENDERS:
            own = row["seconds"].get(name)
            ratio = own and statistics.median(a / b for a, b in zip(own, bare, strict=True))
            cells.append(f"{1e3 * statistics.median(own):.2f} ({ratio:.1f})" if own else "")
        differ = f"{row['differ']} of {row['spikes']:.0f} spikes" if "differ" in row else ""
        lines.append(f"| {row['workload']}, {row['mode']} | {' | '.join(cells)} | {differ} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="workloads or families, by comma")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for ACCELERATOR.md and results/ (%(default)s)")
    arguments = parser.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    command = "python -m benchmarks.accelerator" + (f" --only {arguments.only}" if arguments.only else "")
    found: dict[str, Any] = {"device": jax.devices()[0].device_kind, "jax": jax.__version__, "command": command}
    found["rows"] = []
    (arguments.out / "results").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(12) as pool:
        coming = []
        for workload in named(arguments.only and arguments.only.split(","), WORKLOADS):
            try:
                own = Path(folder, workload.name)
                own.mkdir()
                coming.append((workload, made_ready(workload, own, pool)))
            except AbsentError as absent:
                print(f"{workload.name}: skipped: {absent}")
        for job in (job for _, jobs in coming for job in jobs.values()):
            job.exception()  # compiling measures too, and must not go on beside what is timed
        for workload, jobs in coming:
            for row in rows(workload, jobs, arguments.rounds):
                found["rows"].append(row)
                print(as_markdown(found).splitlines()[-1], flush=True)
                (arguments.out / "results" / "accelerator.json").write_text(json.dumps(found, indent=1) + "\n")
                (arguments.out / "ACCELERATOR.md").write_text(as_markdown(found))


if __name__ == "__main__":
    main()
