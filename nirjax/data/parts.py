"""A data set that several processes share, and choosing recordings by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nirjax.data import processes
from nirjax.data.agreement import in_step
from nirjax.data.batch import Batch
from nirjax.data.checks import Fit
from nirjax.data.padding import filled
from nirjax.data.recordings import Seed, places_of
from nirjax.data.sources import OpenSource, Source
from nirjax.errors import DataError


@runtime_checkable
class Indexed(Protocol):
    """A source of which any recording can be taken by its number."""

    @property
    def size(self) -> int:
        """The number of recordings."""

    def check(self, fit: Fit) -> None:
        """Holds what is in memory against the model."""

    def take(self, places: np.ndarray, valid: np.ndarray) -> Batch:
        """The recordings at `places`, of which those that are not `valid` are filling."""


def is_per_process(data: Any) -> bool:
    """Is the data this process's own part?"""
    return isinstance(data, Source) and data.per_process


def share(size: int) -> range:
    """The numbers of the recordings that are this process's: a run of them, as long as the others' within one."""
    count, index = processes.count(), processes.index()
    return range(size * index // count, size * (index + 1) // count)


def chosen(source: Indexed, numbers: np.ndarray, size: int) -> Iterator[Batch]:
    """Batches of `size` of the recordings with these numbers, the last one filled up."""
    for start in range(0, len(numbers), size):
        places, valid = filled(len(numbers[start : start + size]), size)
        yield source.take(numbers[start + places], valid)


def needs_parts(source: OpenSource) -> DataError:
    """The error for a stream of which nobody can say which part is whose."""
    return DataError(
        "a stream cannot be divided among processes", found=type(source).__name__,
        expected="data with a length and an index, or each process's own part",
        hint="nirjax.data.Source(part, per_process=True) says that it is a part",
    )  # fmt: skip


def check_alike(fingerprint: str, own: bool) -> None:
    """Do the processes have what they say: all the same data, or each its `own` part of it?

    Raises:
        DataError: they do not, so samples would be counted twice, or not at all.
    """
    told = processes.bytes_of_all(fingerprint.encode())
    if not own and len(set(told)) > 1:
        raise DataError(
            "the processes do not have the same data", found=f"{len(set(told))} data sets",
            hint="If each has its own part, say so: nirjax.data.Source(part, per_process=True)",
        )  # fmt: skip
    if own and any(told) and len(set(told)) < len(told):
        raise DataError(
            "two processes have the same data, though each is to have its own part of it",
            hint="Without per_process=True nirjax divides the data among them",
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class SharedSource:
    """What one of several processes sees of the training data: its columns of every batch, in step with the others.

    A batch is the one that a single process would have made, so the number of processes changes nothing.

    Args:
        source: all data, or this process's part of it.
        per_process: it is a part. Each process then fills its columns from its own.
        multiple: the number of devices in all, by which a batch divides.
    """

    source: OpenSource
    per_process: bool
    multiple: int

    def __post_init__(self) -> None:
        if not self.per_process and not isinstance(self.source, Indexed):
            raise needs_parts(self.source)

    @property
    def size(self) -> int | None:
        """The number of recordings, None where nobody knows."""
        return None if self.per_process else self.source.size

    @property
    def count(self) -> None:
        """The processes' parts may differ."""
        return None

    def check(self, fit: Fit) -> None:
        """Holds what is in memory against the model."""
        self.source.check(fit)

    def batches(self, batch_size: int | None, seed: Seed = None, skip: int = 0) -> Iterator[Batch]:
        """This process's columns of one epoch."""
        # A process whose part ends before the others' may have nothing left behind what is skipped.
        return in_step(self._columns(batch_size, seed, skip), lambda: next(self._columns(batch_size, seed, 0), None))

    def _columns(self, batch_size: int | None, seed: Seed, skip: int) -> Iterator[Batch]:
        source, count = self.source, processes.count()
        if self.per_process or not isinstance(source, Indexed):
            yield from source.batches(self._rounded(batch_size or 1) // count, seed, skip)
            return
        for places, valid in places_of(source.size, batch_size, seed, skip):
            more = self._rounded(len(places)) - len(places)
            places, valid = np.pad(places, (0, more), mode="edge"), np.pad(valid, (0, more))
            columns = len(places) // count
            mine = slice(processes.index() * columns, (processes.index() + 1) * columns)
            yield source.take(places[mine], valid[mine])

    def _rounded(self, size: int) -> int:
        return -(-size // self.multiple) * self.multiple
