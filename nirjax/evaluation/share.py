"""What one process has to score: all of the data, its share of it, or its own part."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nirjax.data import parts, processes
from nirjax.data.batch import Batch
from nirjax.data.fingerprint import fingerprint, fingerprint_of_first
from nirjax.data.sources import OpenSource


@dataclass(frozen=True, eq=False)
class Share:
    """The recordings of one process.

    Args:
        source: where they come from.
        own: the source is this process's own part of the data, and its samples are numbered from 0; else all processes
            have the same, and each scores a run of it.
        size: samples in a batch.
        stream: batches of a source that cannot be asked for a recording by its number; else None.
        data: a digest of the source.
    """

    source: OpenSource
    own: bool
    size: int
    stream: Iterator[Batch] | None
    data: str

    @classmethod
    def of(cls, source: OpenSource, own: bool, size: int) -> Share:
        """Raises a DataError if the source is empty, or a stream that nobody has divided among the processes."""
        if isinstance(source, parts.Indexed):
            return cls(source, own, size, None, fingerprint(source))
        if processes.count() > 1 and not own:
            raise parts.needs_parts(source)
        batches = source.batches(size)
        first = next(batches)
        return cls(source, own, size, itertools.chain([first], batches), fingerprint_of_first(first))

    @property
    def numbers(self) -> range | None:
        """The numbers of the samples; None where nobody knows how many there are."""
        if self.source.size is None:
            return None
        return range(self.source.size) if self.own else parts.share(self.source.size)

    def left(self, done: np.ndarray, multiple: int) -> tuple[Iterator[Batch], Iterator[int]]:
        """Batches of what is not `done`, of a multiple of this many samples, and the numbers of their samples.

        A stream cannot leave out what is done, and comes whole.
        """
        if self.stream is not None:
            return self.stream, itertools.count()
        assert isinstance(self.source, parts.Indexed)
        numbers = np.asarray(self.numbers, np.int64)
        numbers = numbers[~np.isin(numbers, done)]
        size = max(1, min(self.size, -(-len(numbers) // multiple) * multiple))
        return parts.chosen(self.source, numbers, size), iter(numbers)
