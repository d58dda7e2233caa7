"""`evaluate`: a model on a data set of any length, every sample exactly once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from nirjax.data import processes
from nirjax.data.checks import Fit
from nirjax.data.parts import check_alike, is_per_process
from nirjax.data.placement import Placement, placement_of
from nirjax.data.sources import OpenSource, fitting_source
from nirjax.engine.model import Model
from nirjax.errors import ArgumentError
from nirjax.evaluation import identity
from nirjax.evaluation.folder import Folder, Writer
from nirjax.evaluation.measuring import PREDICTION, Wanted, held_bytes, scorer
from nirjax.evaluation.progress import Bar
from nirjax.evaluation.share import Share
from nirjax.evaluation.streaming import Scored, stream
from nirjax.evaluation.tables import NUMBER, Table, collected, joined, metric, of_all_processes
from nirjax.finetuning.objectives import Loss, Objective
from nirjax.finetuning.scoring import mean
from nirjax.ir.patterns import as_patterns

MEMORY = 256 * 2**20
"""Bytes that a batch, and what is kept of its run over time, may take on each device, where its size is chosen."""

LARGEST = 256
"""The most samples of a batch on each device, where its size is chosen."""

UNKNOWN = 32
"""Samples of a batch on each device, where the data is a stream, of which nothing is known beforehand."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` measured.

    Args:
        metrics: the mean of each metric over all samples.
        per_sample: each metric, `(samples,)`, in the order of the data; by default `prediction` too.
        samples: how many there are.
        bytes_moved: bytes that this call sent to devices, filling included; samples that an earlier call had scored
            cost none.
        samples_moved: how many samples those bytes were for.
    """

    metrics: dict[str, float]
    per_sample: dict[str, np.ndarray]
    samples: int
    bytes_moved: int = 0
    samples_moved: int = 0

    @property
    def bytes_per_sample(self) -> float:
        """Bytes sent to a device for each recording; NaN where none was."""
        return self.bytes_moved / self.samples_moved if self.samples_moved else float("nan")


def evaluate(
    model: Model,
    data: Any,
    *,
    metrics: Mapping[str, Objective | Loss] | None = None,
    batch_size: int | str = "auto",
    record: Sequence[str] | str = (),
    mesh: Any = None,
    output: str | PathLike[str] | None = None,
    resume: bool = True,
    progress: bool = True,
) -> Evaluation:
    """Runs a model over data and measures every sample once; filling never counts.

    The data is streamed: two batches are in memory at a time, the next one being read and sent while one runs. Each
    batch lies side by side over all devices. Metrics see the state `run.state` that a recording's own last step left.

    Where several processes work together (`jax.distributed.initialize`), each scores its share of the recordings on
    its own devices, and all return the same.

    Args:
        model: the model.
        data: as `nirjax.data.batches` takes it, or a `nirjax.data.Source`.
        metrics: names to functions, `(run, batch) -> (*batch,)` or `(output, target, *, where) -> (*batch,)`. None is
            accuracy, where the targets are labels, and the rate of spikes, where the graph has spiking nodes; with
            them comes each sample's prediction.
        batch_size: samples in a batch, over all devices; "auto" is as many as fit, with what is kept of their runs
            over time, into 256 MiB on each device, 256 at most.
        record: traces that the metrics see in `run.traces`, and that are written to `output`.
        mesh: the devices: a `jax.sharding.Mesh`, over all axes of which the batch is divided, the sizes of such axes by
            name, or how many devices; None is all there are.
        output: a folder for results, written as they come: per sample every metric and what `record` names; see
            `nirjax.evaluation.folder`.
        resume: score only what is not in that folder yet. Without it, the folder must hold no evaluation.
        progress: show a progress bar, where stderr is a terminal.

    Raises:
        DataError: data that is malformed or does not fit the model.
        ArgumentError: a batch size below one, or one that does not divide over the devices of `mesh`; a mesh of more
            devices than there are.
        ShapeError: a metric that is not one value a sample.
        CheckpointError: a folder of another evaluation.
        DistributedError: another process has failed or is gone.
    """
    records = as_patterns(record, "record")
    wanted = Wanted.of(metrics, records, output is not None, model)
    fit = Fit.of(model, labels=wanted.measures(model).read_labels())
    placement = placement_of(mesh, here=True)
    given = _checked_size(batch_size, placement_of(mesh))

    def opened() -> Share:
        source = fitting_source(data, fit, "data")
        size = given or _fitting_size(model, source, placement, wanted)
        return Share.of(source, is_per_process(data), size)

    share = processes.all_or_none(opened)
    check_alike(share.data, share.own)
    folder = None if output is None else _folder(output, model, wanted, share, resume)
    reads = folder is not None and (share.own or processes.is_first())
    known = processes.all_or_none(lambda: folder.read() if folder is not None and reads else {})
    done = np.sort(known.get(NUMBER, np.empty(0, np.int64)))
    done = done if share.own else processes.from_first(done)
    job = _Job(model, wanted, share, done, fit, placement, folder)
    scored, moved = processes.all_or_none(lambda: job.run(progress))
    table = of_all_processes(joined([known, scored]), share.own)
    result = _evaluation(table, wanted, processes.gathered({"moved": moved[None]})["moved"].sum(0))
    if folder is not None and reads:
        folder.finish(result.metrics, len(known.get(NUMBER, ())) + len(scored.get(NUMBER, ())))
    return result


@dataclass(frozen=True, eq=False)
class _Job:
    """What one process has to do, of which `done` was done before."""

    model: Model
    wanted: Wanted
    share: Share
    done: np.ndarray
    fit: Fit
    placement: Placement | None
    folder: Folder | None

    def run(self, progress: bool) -> tuple[Table, np.ndarray]:
        """Scores what is left: the results, and how many bytes went to devices for how many samples.

        With a folder, what was scored is written whatever ends this.
        """
        numbers, moved = self.share.numbers, np.zeros(2, np.int64)
        before = len(self.done) if numbers is None else int(np.isin(numbers, self.done).sum())
        bar = Bar(progress and processes.is_first(), None if numbers is None else len(numbers), before)
        with bar, contextlib.nullcontext() if self.folder is None else Writer(self.folder) as writer:

            def tables() -> Iterator[Table]:
                for part in self._parts():
                    moved[:] += (part.moved, len(part.numbers))
                    if writer is not None:
                        writer.add(part)
                    bar.advance(len(part.numbers))
                    yield part.table

            return collected(tables()), moved

    def _parts(self) -> Iterator[Scored]:
        """What is left, batch by batch."""
        if self.folder is not None and self.folder.finished == len(self.done):
            return iter(())
        model = self.model if self.placement is None else self.placement.replicated(self.model)
        batches, numbers = self.share.left(self.done, 1 if self.placement is None else self.placement.devices)
        function = scorer(self.wanted, self.placement)
        return stream(function, model, batches, numbers, self.done, self.fit, self.placement)


def _folder(output: str | PathLike[str], model: Model, wanted: Wanted, share: Share, resume: bool) -> Folder:
    """The folder of the results; where each process has its own part of the data, one of each process in it."""
    names = {
        "model": identity.of_model(model),
        "data": share.data,
        "metrics": identity.of_wanted(wanted),
        "traces": list(wanted.kept),
    }
    if not share.own or processes.count() == 1:
        return Folder.of_all(Path(output), names, resume)
    own = Path(output, f"process_{processes.index():04d}_of_{processes.count():04d}")
    return processes.all_or_none(lambda: Folder.at(own, names, resume))


def _evaluation(table: Table, wanted: Wanted, moved: np.ndarray) -> Evaluation:
    values = {name.removeprefix(metric("")): array for name, array in table.items() if name != NUMBER}
    classes = (PREDICTION,) if wanted.metrics is None else ()
    means = {name: mean(samples) for name, samples in values.items() if name not in classes}
    return Evaluation(means, values, len(table[NUMBER]), *moved.tolist())


def _checked_size(given: int | str, placement: Placement | None) -> int | None:
    """The samples of a batch on this process's devices; None where nirjax is to choose."""
    if given == "auto":
        return None
    if isinstance(given, bool | str) or given < 1:
        raise ArgumentError("this is a number from 1, or 'auto'", field="batch_size", found=given)
    if placement is None:
        return int(given)
    return placement.divided(int(given), chosen=True) // processes.count()


def _fitting_size(model: Model, source: OpenSource, placement: Placement | None, wanted: Wanted) -> int:
    """As many samples as fit into the memory of this process's devices."""
    devices = 1 if placement is None else placement.devices
    if source.size is None:
        return UNKNOWN * devices
    held = held_bytes(wanted, model, next(source.batches(1)))
    return devices * max(1, min(LARGEST, MEMORY // held))
