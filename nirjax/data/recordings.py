"""Sources that know their recordings: arrays, and anything with a length and an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nirjax.data.batch import Batch
from nirjax.data.checks import (
    Arrays,
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
from nirjax.data.padding import Recording, filled, stack, within
from nirjax.errors import ArgumentError, DataError

Seed = int | Sequence[int] | None


def as_recording(item: Any, time_axis: int) -> Recording:
    """`(x, y)`, `{"x": x, "y": y}` or a bare `x`, with time in front.

    Raises:
        DataError: it is something else.
    """
    y = None
    if isinstance(item, Mapping) and "x" in item:
        x, y = item["x"], item.get("y")
    elif isinstance(item, tuple | list) and len(item) == 2:
        x, y = item
    elif hasattr(item, "shape"):
        x = item
    else:
        raise DataError(
            "a recording is a pair (x, y)", found=type(item).__name__, hint="Whole arrays go in as a tuple (x, y)"
        )
    return time_first(as_input(x), time_axis), as_target(y)


def shuffled(count: int, seed: Seed) -> np.ndarray:
    """The numbers from 0, in an order that the seed fixes; None leaves them in their own."""
    if seed is None:
        return np.arange(count)
    try:
        return np.random.default_rng(seed).permutation(count)
    except (ValueError, TypeError):
        raise ArgumentError("a seed is a whole number from 0", field="seed", found=seed) from None


def places_of(count: int, batch_size: int | None, seed: Seed, skip: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each batch: the recordings that stand in it, the first repeated to fill it, and which are no filling."""
    size = min(count, batch_size or count)
    order = shuffled(count, seed)
    for start in range(skip * size, count, size):
        chosen = order[start : start + size]
        places, valid = filled(len(chosen), size)
        yield chosen[places], valid


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Arrays `x (sample, time, *shape)`, `y (sample, ...)`, `length (sample,)`, in memory or mapped to it."""

    x: Arrays
    y: np.ndarray | None
    length: np.ndarray
    layout: Layout
    mapped: bool

    @classmethod
    def of(cls, x: Any, y: Any, length: Any, time_axis: int) -> ArraySource:
        """Checks shapes and values, and brings time to the second axis."""
        mapped = any(isinstance(part, np.memmap) for part in (x.values() if isinstance(x, Mapping) else [x]))
        x, y = as_input(x), as_target(y)
        if any(part.ndim < 2 for part in (x.values() if isinstance(x, dict) else [x])):
            raise DataError("x is too small", field="x", found=first(x).shape, expected="(sample, time, *shape)")
        counts = {len(part) for part in (x.values() if isinstance(x, dict) else [x])}
        if counts == {0}:
            raise DataError("there are no recordings", field="x", found="0 samples", expected="at least one")
        if (y is not None and (y.ndim == 0 or len(y) not in counts)) or len(counts) > 1:
            raise DataError(
                "x and y differ in the number of samples", field="y", found=None if y is None else f"y {y.shape}",
                expected=f"as many as x {map_inputs(np.shape, x)}",
            )  # fmt: skip
        x = time_first(x, time_axis, leading=1)
        example = map_inputs(lambda part: part[0], x), None if y is None else y[0]
        source = cls(x, y, _lengths(length, counts.pop(), steps(example[0])), Layout.of(*example), mapped)
        # What lies on disk is not run through twice: it is checked batch by batch.
        if not mapped:
            source._check_values(range(source.size))
        return source

    @property
    def size(self) -> int:
        return len(self.length)

    @property
    def count(self) -> None:
        return None

    def check(self, fit: Fit) -> None:
        fit.check(self.layout.x, self.y)

    def batches(self, batch_size: int | None, seed: Seed = None, skip: int = 0) -> Iterator[Batch]:
        for places, valid in places_of(self.size, batch_size, seed, skip):
            if self.mapped:
                self._check_values(places[valid])
            length = self.length[places]
            y = self.y
            if y is not None:
                y = _gathered(y, places, length) if self.layout.series else y[places]
            yield Batch(map_inputs(lambda part: _gathered(part, places, length), self.x), y, length, valid)  # noqa: B023

    def _check_values(self, samples: Iterable[int]) -> None:
        for sample in samples:
            length, y = self.length[sample], None if self.y is None else self.y[sample]
            check_finite(map_inputs(lambda part: part[sample, :length], self.x), f"x[{sample}]")  # noqa: B023
            if y is not None and self.layout.series:
                y = y[:length]
            if y is not None and y.dtype.kind == "f" and not np.isfinite(y).all():
                raise DataError(f"y[{sample}] is not finite", field="y", found="NaN or infinity")


def _gathered(part: np.ndarray, places: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The samples at `places`, time first, cut to the longest and zero beyond each one's length."""
    chosen = np.moveaxis(part[places, : length.max()], 0, 1)
    return chosen if (length == len(chosen)).all() else np.where(within(chosen, length), chosen, part.dtype.type(0))


def _lengths(length: Any, count: int, time: int) -> np.ndarray:
    if length is None:
        return np.full(count, time, np.int32)
    lengths = as_array(length, "length")
    if lengths.shape != (count,) or lengths.dtype.kind not in "iu":
        raise DataError(
            "length holds one number of steps a sample", field="length", found=f"{lengths.dtype} {lengths.shape}",
            expected=f"integers ({count},)",
        )  # fmt: skip
    if lengths.min() < 1 or lengths.max() > time:
        found = int(lengths.min()) if lengths.min() < 1 else int(lengths.max())
        raise DataError(
            "a length is out of range", field="length", found=found, expected=f"1 to {time}, the steps of x"
        )
    return lengths.astype(np.int32)


@dataclass(frozen=True, eq=False)
class SequenceSource:
    """Recordings `(x, y)` with a length and an index: a list, or a data set that reads each from disk when asked."""

    data: Any
    time_axis: int
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        if len(self.data) == 0:
            raise DataError("there are no recordings", found="an empty sequence", expected="at least one")
        object.__setattr__(self, "layout", Layout.of(*as_recording(self.data[0], self.time_axis)))
        for index in range(len(self.data)) if isinstance(self.data, list | tuple) else (0,):
            self._recording(index)

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def count(self) -> None:
        return None

    def check(self, fit: Fit) -> None:
        labels = None
        if isinstance(self.data, list | tuple) and self.layout.y == ():
            labels = np.array([as_recording(item, self.time_axis)[1] for item in self.data])
        fit.check(self.layout.x, labels)

    def batches(self, batch_size: int | None, seed: Seed = None, skip: int = 0) -> Iterator[Batch]:
        for places, valid in places_of(self.size, batch_size, seed, skip):
            real = [self._recording(int(place)) for place in places[valid]]
            yield stack(real, self.layout, len(places))

    def _recording(self, index: int) -> Recording:
        x, y = as_recording(self.data[index], self.time_axis)
        self.layout.check(x, y, f"recording {index}")
        return x, y
