"""Sources that are run through: recordings one after the other, and loaders that make batches themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from nirjax.data.batch import Batch
from nirjax.data.checks import (
    Fit,
    Layout,
    as_array,
    as_input,
    as_target,
    check_finite,
    first,
    map_inputs,
    steps,
    time_first,
)
from nirjax.data.events import Events
from nirjax.data.padding import Recording, stack, widened, within
from nirjax.data.recordings import Seed, as_recording
from nirjax.errors import DataError


def _nothing(data: Any) -> DataError:
    hint = "An iterator gives its data once; give the list, or an object that can be iterated anew each epoch"
    return DataError(
        "there are no recordings", found="an empty stream", expected="at least one",
        hint=hint if isinstance(data, Iterator) else None,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class StreamSource:
    """An iterable of recordings without a length. Its order is its own: shuffling is the loader's."""

    data: Iterable[Any]
    time_axis: int

    @property
    def size(self) -> None:
        return None

    @property
    def count(self) -> None:
        return None

    def check(self, fit: Fit) -> None:
        """A stream is checked as it comes."""

    def batches(self, batch_size: int | None, seed: Seed = None, skip: int = 0) -> Iterator[Batch]:
        items = iter(self.data)
        one = next(items, None)
        if one is None:
            raise _nothing(self.data)
        items = chain([one], items)
        if isinstance(one, Batch):
            yield from ReadyBatches(items, 0).batches(batch_size, seed, skip)
            return
        layout = Layout.of(*as_recording(one, self.time_axis))
        size, number = None, 0
        while part := list(islice(items, batch_size)):
            size = size or len(part)
            if skip > 0:
                skip -= 1
            else:
                yield stack(self._checked(part, layout, number), layout, size)
            number += len(part)

    def _checked(self, items: list[Any], layout: Layout, number: int) -> list[Recording]:
        recordings = [as_recording(item, self.time_axis) for item in items]
        for index, (x, y) in enumerate(recordings, number):
            layout.check(x, y, f"recording {index}")
        return recordings


@dataclass(frozen=True, eq=False)
class ReadyBatches:
    """An iterable of batches: `Batch`, `(x, y)`, `(x, y, length)`, or a mapping of these; torch tensors too."""

    data: Any
    time_axis: int

    def __post_init__(self) -> None:
        if not isinstance(self.data, Iterable):
            raise DataError("batches come from an iterable", found=type(self.data).__name__)

    @property
    def size(self) -> None:
        return None

    @property
    def count(self) -> int | None:
        return len(self.data) if isinstance(self.data, Sized) else None

    def check(self, fit: Fit) -> None:
        """A stream is checked as it comes."""

    def batches(self, batch_size: int | None, seed: Seed = None, skip: int = 0) -> Iterator[Batch]:
        size = None
        for number, item in enumerate(self.data):
            batch = as_batch(item, self.time_axis, f"batch {number}")
            size = size or batch.size
            if number >= skip:
                yield widened(batch, size)
        if size is None:
            raise _nothing(self.data)


def as_batch(item: Any, time_axis: int, what: str) -> Batch:
    """One ready batch with time in front, then the samples.

    Raises:
        DataError: it is no batch, its parts differ in the number of samples, or it is not finite.
    """
    y = length = valid = None
    if isinstance(item, Batch):
        x, y, length, valid = item.x, item.y, item.length, item.valid
        if isinstance(x, Events):
            return _of_events(item)
    elif isinstance(item, Mapping) and "x" in item:
        x, y, length = item["x"], item.get("y"), item.get("length")
    elif isinstance(item, tuple | list) and len(item) in (2, 3):
        x, y, length = (*item, None)[:3]
    elif hasattr(item, "shape"):
        x = item
    else:
        raise DataError(f"{what} is no batch", found=type(item).__name__, expected="(x, y), (x, y, length) or a Batch")
    x = time_first(as_input(x), time_axis)
    time = steps(x)
    if first(x).ndim < 2:
        raise DataError(
            f"{what} has no axis of samples", field="x", found=first(x).shape, expected="(time, batch, *shape)"
        )
    size = first(x).shape[1]
    if size == 0:
        raise DataError(f"{what} is empty", field="x", found="0 samples", expected="at least one")
    target = _target(y, time, size, time_axis, what)
    length = np.full(size, time, np.int32) if length is None else as_array(length, "length").astype(np.int32)
    valid = np.ones(size, bool) if valid is None else as_array(valid, "valid").astype(bool)
    if length.shape != (size,) or valid.shape != (size,) or length.min() < 1 or length.max() > time:
        raise DataError(
            f"{what}: the lengths do not fit", field="length", found=length.tolist(),
            expected=f"{size} numbers of steps from 1 to {time}",
        )  # fmt: skip
    check_finite(map_inputs(lambda part: np.where(within(part, length), part, part.dtype.type(0)), x), what)
    return Batch(x, target, length, valid)


def _of_events(batch: Batch) -> Batch:
    """A batch of events with its lengths and what is valid said: there is no more in it to be checked."""
    length = np.full(batch.size, batch.time, np.int32) if batch.length is None else np.asarray(batch.length)
    valid = np.ones(batch.size, bool) if batch.valid is None else np.asarray(batch.valid)
    return dataclasses.replace(batch, length=length, valid=valid)


def _target(y: Any, time: int, size: int, time_axis: int, what: str) -> np.ndarray | None:
    target = as_target(y)
    if target is None:
        return None
    if target.ndim >= 3 and -target.ndim <= time_axis < target.ndim:
        series = np.moveaxis(target, time_axis, 0)
        if series.shape[:2] == (time, size):
            return series
    if target.ndim == 0 or len(target) != size:
        raise DataError(
            f"x and y of {what} differ in the number of samples", field="y", found=target.shape,
            expected=f"({size}, ...)", hint="`time_axis` says where time is in x",
        )  # fmt: skip
    return target
