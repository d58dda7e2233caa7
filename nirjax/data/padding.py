"""Recordings of several lengths side by side, and lengths rounded so that few shapes are compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from nirjax.data.batch import Batch
from nirjax.data.checks import Arrays, Layout, map_inputs, steps
from nirjax.data.events import NOWHERE, Events

Recording = tuple[Arrays, np.ndarray | None]
"""The input `(time, *shape)`, or one by Input node, and the target."""


def filled(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `count` samples stand in a batch of `size`, and which of those places are no filling."""
    places = np.arange(max(count, size))
    valid = places < count
    return np.where(valid, places, 0), valid


def stack(recordings: Sequence[Recording], layout: Layout, size: int) -> Batch:
    """A batch of `size`: the recordings, time first, filled up with zeros in time and repeats of the first."""
    places, valid = filled(len(recordings), size)
    chosen = [recordings[place] for place in places]
    lengths = np.array([steps(x) for x, _ in chosen], np.int32)
    time = int(lengths.max())
    x = map_inputs(lambda *parts: _side_by_side(parts, time), *(x for x, _ in chosen))
    targets: list[Any] = [y for _, y in chosen]
    if layout.y is None:
        y = None
    elif layout.series:
        y = _side_by_side(targets, time)
    else:
        y = np.stack(targets)
    return Batch(x, y, lengths, valid)


def _side_by_side(parts: Sequence[np.ndarray], time: int) -> np.ndarray:
    dtype = np.result_type(*parts)
    whole = np.zeros((time, len(parts), *parts[0].shape[1:]), dtype)
    for place, part in enumerate(parts):
        whole[: len(part), place] = part
    return whole


def within(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Which entries of `x (time, batch, *shape)` lie within the recordings' lengths; broadcasts against `x`."""
    real = np.arange(len(x))[:, None] < length
    return real.reshape(real.shape + (1,) * (x.ndim - 2))


def bucket(length: int) -> int:
    """`length` rounded up to one of eight lengths an octave: at most an eighth is filling."""
    grain = max(1, 1 << max(0, length.bit_length() - 4))
    return -(-length // grain) * grain


def to_bucket(batch: Batch) -> Batch:
    """The batch, longer in time by zeros if its recordings differ in length, so that few lengths are compiled.

    Recordings of one length stay as they are. It depends on nothing but the batch, so a run that is continued sees
    what the first one saw.
    """
    if batch.length is None:
        return batch
    lengths = np.asarray(batch.length)
    if len(lengths) > 1 and (lengths == batch.time).all():
        return batch
    return lengthened(batch, bucket(batch.time))


def in_buckets(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, made longer so that few lengths are compiled: one a bucket, and that of the first batch.

    Where the first batch holds recordings of one length, that length stays as it is, wherever it comes again.
    """
    exact: int | None = None
    for number, batch in enumerate(batches):
        if number == 0 and (batch.length is None or (np.asarray(batch.length) == batch.time).all()):
            exact = batch.time
        yield batch if batch.time == exact else lengthened(batch, bucket(batch.time))


def widened(batch: Batch, size: int) -> Batch:
    """The batch with repeats of its first sample, up to `size` samples."""
    if batch.size >= size:
        return batch
    places, real = filled(batch.size, size)
    y, length = batch.y, batch.length
    if y is not None:
        y = y[:, places] if has_time(batch) else y[places]
    if length is None:
        length = np.full(batch.size, batch.time, np.int32)
    valid = real if batch.valid is None else batch.valid[places] & real
    x = jax.tree.map(lambda part: part[:, places], batch.x)
    return dataclasses.replace(batch, x=x, y=y, length=length[places], valid=valid)


def has_time(batch: Batch) -> bool:
    """Does the target have a time axis of its own?"""
    y = batch.y
    return y is not None and y.ndim >= 3 and y.shape[:2] == (batch.time, batch.size)


def lengthened(batch: Batch, time: int) -> Batch:
    """The batch with zeros up to `time` steps, in the input and in a target that has a time axis."""
    more = time - batch.time
    if more <= 0:
        return batch

    def longer(part: Any) -> Any:
        if isinstance(part, Events):
            return dataclasses.replace(part, time=time)
        return np.pad(part, [(0, more)] + [(0, 0)] * (part.ndim - 1))

    y, length = batch.y, batch.length
    if has_time(batch):
        y = longer(y)
    if length is None:
        length = np.full(batch.size, batch.time, np.int32)
    return dataclasses.replace(batch, x=map_inputs(longer, batch.x), y=y, length=length)


def room(batch: Batch) -> int:
    """Places for the events of a sample, the most of any Input; 0 without events."""
    return max((part.index.shape[0] for part in _inputs(batch) if isinstance(part, Events)), default=0)


def with_room(batch: Batch, places: int) -> Batch:
    """The batch with so many places for the events of a sample, the new ones empty."""

    def roomier(part: Any) -> Any:
        if not isinstance(part, Events) or part.index.shape[0] >= places:
            return part
        more = [(0, places - part.index.shape[0]), (0, 0)]
        return dataclasses.replace(part, index=np.pad(part.index, more, constant_values=NOWHERE))

    return dataclasses.replace(batch, x=map_inputs(roomier, batch.x))


def _inputs(batch: Batch) -> list[Any]:
    return list(batch.x.values()) if isinstance(batch.x, dict) else [batch.x]
