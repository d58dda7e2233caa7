"""Timing contenders in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import nirjax
from benchmarks.contenders import Contender, ContenderError, Process
from benchmarks.task import Task
from benchmarks.workloads import Workload, with_unit_r

REFERENCE = "limit"
TOLERANCE = 0.002
"""The share of outputs that may differ: sums in another order tip a membrane over its threshold now and then."""

SLOW, SLOW_ROUNDS = 1.0, 2
"""A contender that takes more seconds a call than this has its turn in the first rounds only."""

VERY_SLOW = 8.0
"""A contender that takes more seconds a call than this is timed once."""


@dataclass
class Row:
    """One contender on one workload in one mode.

    Attributes:
        seconds: the median of each round.
        mismatch: share of outputs that differ from nirjax's under this contender's dialect; None: not compared.
        trouble: why there is no time, or why it does not count.
        facts: flops, temporary bytes and seconds to compile, where the contender knows them.
    """

    workload: str
    mode: str
    contender: str
    seconds: list[float] = field(default_factory=list)
    mismatch: float | None = None
    trouble: str = ""
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the rounds."""
        low, high = np.percentile(self.seconds, (25, 75))
        return float(low), float(high)

    @property
    def counts(self) -> bool:
        """Is it compared with others?"""
        return bool(self.seconds) and not self.trouble

    def over(self, other: Row) -> float:
        """The median over rounds of this time divided by the other's in the same round."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=False))


def save(workload: Workload, folder: Path) -> None:
    """The files of a task."""
    flat = nirjax.flatten(workload.graph())
    nirjax.write(folder / "graph.nir", workload.graph())
    nirjax.write(folder / "flat.nir", flat)
    nirjax.write(folder / "unit.nir", with_unit_r(flat))
    np.save(folder / "x.npy", workload.input())
    np.save(folder / "target.npy", workload.target())


def compare(
    workload: Workload, contenders: Sequence[Contender], rounds: int, seconds: float, versions: dict[str, str]
) -> Iterator[Row]:
    """All contenders on one workload, mode by mode.

    Args:
        workload: what they run.
        contenders: who runs.
        rounds: how often each has its turn.
        seconds: about how long a turn lasts.
        versions: takes up the packages of every contender.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(workload, folder)
        held = [(contender, Process(contender)) for contender in contenders]
        for mode in workload.modes:
            yield from _turns(Task(workload.name, mode, name, workload.dt), held, rounds, seconds, versions)
        for _, process in held:
            process.close()


def _turns(
    task: Task, held: Sequence[tuple[Contender, Process]], rounds: int, seconds: float, versions: dict[str, str]
) -> list[Row]:
    rows: list[Row] = []
    ready: list[tuple[Row, Process, int]] = []
    for contender, process in held:
        row = Row(task.workload, task.mode, contender.label)
        rows.append(row)
        try:
            row.facts = process.prepare(task)["facts"]
            versions |= process.ask("versions")["versions"]
            _agree(task, process, row)
            once = _seconds(process, 1)
            if once > VERY_SLOW:
                row.seconds.append(once)
                continue
            once = min(once, _seconds(process, 1))
        except (ContenderError, nirjax.NIRError) as failed:
            row.trouble = str(failed).strip().splitlines()[-1]
            continue
        ready.append((row, process, max(1, min(200, int(seconds / once)))))
    for turn in range(rounds):
        start = turn % max(1, len(ready))
        for row, process, calls in ready[start:] + ready[:start]:
            if row.trouble or (turn >= SLOW_ROUNDS and row.seconds[0] > SLOW):
                continue
            try:
                row.seconds.append(_seconds(process, calls))
            except ContenderError as failed:  # stopped by the system, say, where its memory is not enough
                row.trouble = str(failed).strip().splitlines()[-1]
    for _, process in held:
        process.release()
    return rows


def _seconds(process: Process, calls: int) -> float:
    """The median of so many calls."""
    return statistics.median(process.ask("time", calls=calls)["seconds"])


def _agree(task: Task, process: Process, row: Row) -> None:
    """Compare what the contender emits with nirjax under that contender's dialect."""
    path = Path(task.folder, "output.npy")
    answer = process.ask("output", to=str(path))
    if not answer["saved"]:
        return
    wanted = _expected(task, answer["dialect"], answer["graph"])
    found = np.load(path)
    row.mismatch = 1.0 if found.shape != wanted.shape else float(np.mean(np.abs(found - wanted) > 1e-3))
    if row.mismatch > TOLERANCE:
        row.trouble = f"its outputs differ from nirjax's in {100 * row.mismatch:.2g} %"


def _expected(task: Task, dialect: str, graph: str) -> np.ndarray:
    """What nirjax emits, step by step, under a dialect."""
    path = Path(task.folder, f"{dialect} {graph}.npy".replace("/", ""))
    if not path.exists():
        model = nirjax.from_nir(Path(task.folder, graph), dt=task.dt, dialect=dialect, schedule=1)
        np.save(path, np.asarray(model(task.x())[0]))
    return np.load(path)
