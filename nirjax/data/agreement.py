"""Batches of several processes in step: as many on each, and each time of one shape.

The processes run one program together, so all must bring the arrays that it was compiled for.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nirjax.data import processes
from nirjax.data.batch import Batch
from nirjax.data.events import Events
from nirjax.data.padding import bucket, has_time, lengthened, room, widened, with_room
from nirjax.errors import DataError, DistributedError


def in_step(batches: Iterable[Batch], spare: Callable[[], Batch | None]) -> Iterator[Batch]:
    """As many batches on every process, each time of one shape; a process that has no more gives filling.

    One shape is as many samples, time steps and places for events as the process has that has most of each.

    Args:
        batches: this process's.
        spare: gives one to fill up with where there is none in `batches` from the start.

    Raises:
        DataError: this process has no recordings, or others than its peers.
        DistributedError: another process cannot read its data, or has none.
    """
    iterator, last = iter(batches), None
    while True:
        batch, failed = None, None
        try:
            batch = next(iterator, None)
            last = batch or last or spare()
        except Exception as error:
            failed = error
        outline = Outline.of(last, is_new=batch is not None, failed=failed is not None)
        told = processes.numbers_of_all(*dataclasses.astuple(outline))
        if failed is not None:
            raise failed
        outlines = [Outline(*row) for row in told.tolist()]
        if not any(one.is_new or one.failed for one in outlines):
            return
        _check_all(last, outlines)
        assert last is not None
        yield _shaped(last if batch is not None else _as_filling(last), outlines)


@dataclass(frozen=True)
class Outline:
    """What the processes tell each other of a batch: numbers of 32 bits.

    Args:
        failed: it cannot be read.
        is_new: there is one; else this is the last one that there was.
        size, time, events: samples, time steps, and places for the events of a sample; 0 where there was never one.
        ragged: its recordings have several lengths.
        kind: a digest of what cannot be filled up: names and dtypes of the arrays, the shape of a sample's step.
    """

    failed: int = 0
    is_new: int = 0
    size: int = 0
    time: int = 0
    events: int = 0
    ragged: int = 0
    kind: int = 0

    @classmethod
    def of(cls, batch: Batch | None, is_new: bool, failed: bool) -> Outline:
        """Of a batch, None where there was never one."""
        if batch is None:
            return cls(failed=int(failed))
        ragged = batch.length is not None and bool((np.asarray(batch.length) != batch.time).any())
        kind = zlib.crc32(_kind(batch).encode()) >> 1
        return cls(int(failed), int(is_new), batch.size, batch.time, room(batch), int(ragged), kind)


def _check_all(batch: Batch | None, outlines: list[Outline]) -> None:
    """Can the processes go on together?"""
    for process, outline in enumerate(outlines):
        if outline.failed:
            raise DistributedError(f"process {process} cannot read its data: its own output says why")
        if not outline.size:
            found, expected = "an empty part", "at least one"
            if process == processes.index():
                raise DataError("this process has no recordings", found=found, expected=expected)
            raise DistributedError(f"process {process} has no recordings", found=found, expected=expected)
    if batch is not None and len({outline.kind for outline in outlines}) > 1:
        kinds = [kind.decode() for kind in processes.bytes_of_all(_kind(batch).encode())]
        raise DataError(
            "the recordings of the processes are not of one kind",
            found="; ".join(f"process {process}: {kind}" for process, kind in enumerate(kinds)),
            hint="Give all of them one dtype, and a target to all or to none",
        )


def _kind(batch: Batch) -> str:
    """The arrays of a batch in words, without the sizes on which processes can agree."""
    inputs = batch.x if isinstance(batch.x, dict) else {"x": batch.x}
    parts = [f"{name} {_kind_of_input(part)}" for name, part in sorted(inputs.items())]
    if batch.y is not None:
        parts.append(f"y {_kind_of_array(batch.y, 2 if has_time(batch) else 1)}")
    return ", ".join(parts)


def _kind_of_input(part: Any) -> str:
    return f"{part.reduce} of events {part.step_shape}" if isinstance(part, Events) else _kind_of_array(part, 2)


def _kind_of_array(part: np.ndarray, leading: int) -> str:
    return f"{jax.dtypes.canonicalize_dtype(part.dtype)} {part.shape[leading:]}"


def _as_filling(batch: Batch) -> Batch:
    return dataclasses.replace(batch, valid=np.zeros(batch.size, bool))


def _shaped(batch: Batch, outlines: list[Outline]) -> Batch:
    """The batch, filled up to what the largest of all processes needs."""
    time = max(outline.time for outline in outlines)
    if any(outline.ragged or outline.time != time for outline in outlines):
        time = bucket(time)
    batch = widened(batch, max(outline.size for outline in outlines))
    return with_room(lengthened(batch, time), max(outline.events for outline in outlines))
