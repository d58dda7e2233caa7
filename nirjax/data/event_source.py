"""Recordings that stay events until they are on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.data.batch import Batch
from nirjax.data.binning import Binning, padded
from nirjax.data.checks import Fit, as_target
from nirjax.data.events import Events, Reduce
from nirjax.data.recordings import Seed, places_of
from nirjax.errors import ArgumentError, DataError, NIRError


@dataclass(frozen=True, eq=False)
class EventSource:
    """A data set of events, taken wherever data is: batches of it are binned on the device.

        nirjax.evaluate(model, nirjax.data.EventSource(tonic.datasets.NMNIST("data", train=False)))

    Args:
        data: a sequence (a list, or a data set that reads each from disk when asked) of pairs (events, y), of mappings
            with `x` and `y`, or of events alone; events as `nirjax.data.bin_events` takes them.
        dt: the time step, in seconds; None is the model's.
        shape: of one frame; None is that of the model's Input. This and the rest: see `nirjax.data.bin_events`.
    """

    data: Sequence[Any]
    dt: float | None = None
    shape: Sequence[int] | None = None
    unit: float = 1e-6
    duration: float | None = None
    reduce: Reduce = "sum"

    def opened(self, fit: Fit | None) -> BinnedEvents:
        """The source, made ready for a model.

        Raises:
            ArgumentError: a time step or a shape that neither the source nor the model says.
            DataError: no recordings, or a model with several Inputs.
        """
        if not (hasattr(self.data, "__getitem__") and hasattr(self.data, "__len__")):
            raise DataError("recordings of events come as a sequence", found=type(self.data).__name__)
        if fit is not None and len(fit.inputs) > 1:
            raise DataError("events go into one Input", found=sorted(fit.inputs), hint="Bin them, and give x as a dict")
        dt = self.dt if self.dt is not None or fit is None else fit.dt
        shape = self.shape if self.shape is not None or fit is None else next(iter(fit.inputs.values()))
        for name, value in {"dt": dt, "shape": shape}.items():
            if value is None:
                raise ArgumentError("nothing says this", field=name, expected=f"EventSource(..., {name}=...)")
        binning = Binning.of(dt, shape, self.unit, self.duration, self.reduce)  # type: ignore[arg-type]

        def recording(number: int) -> Recording:
            events, y = _pair(self.data[number])
            try:
                return (*binning.places(events), as_target(y))
            except NIRError as error:
                error.message = f"recording {number}: {error.message}"
                raise

        return BinnedEvents(len(self.data), recording, binning.shape, binning.reduce)


Recording = tuple[np.ndarray, int, np.ndarray | None]
"""Places of events, the number of time steps, the target."""


@dataclass(frozen=True, eq=False)
class BinnedEvents:
    """Recordings of events by number, each its places in the frames; see `nirjax.data.sources.OpenSource`."""

    size: int
    recording: Callable[[int], Recording]
    shape: tuple[int, ...]
    reduce: Reduce

    def __post_init__(self) -> None:
        if self.size == 0:
            raise DataError("there are no recordings", found="an empty sequence", expected="at least one")

    @property
    def count(self) -> None:
        return None

    def check(self, fit: Fit) -> None:
        """Recordings are checked as they come; their shape is known."""
        fit.check(self.shape, None)

    def batches(self, batch_size: int | None, seed: Seed = None, skip: int = 0) -> Iterator[Batch]:
        """Batches whose `x` is `Events`."""
        return (self.take(*chosen) for chosen in places_of(self.size, batch_size, seed, skip))

    def take(self, places: np.ndarray, valid: np.ndarray) -> Batch:
        """The recordings at `places`, each read once, of which those that are not `valid` are filling."""
        read = {place: self.recording(place) for place in dict.fromkeys(places.tolist())}
        chosen = [read[place] for place in places.tolist()]
        length = np.array([steps for _, steps, _ in chosen], np.int32)
        most = int(length.max())
        x = Events(padded([index for index, _, _ in chosen]).T, most, self.shape, self.reduce)
        return Batch(x, _targets([y for _, _, y in chosen], length, most), length, valid)


def _pair(item: Any) -> tuple[Any, Any]:
    if isinstance(item, Mapping) and "x" in item and "t" not in item:
        return item["x"], item.get("y")
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    return item, None


def _targets(targets: list[np.ndarray | None], length: np.ndarray, time: int) -> np.ndarray | None:
    """The targets side by side: (batch, ...), or (time, batch, ...) where each is as long as its recording."""
    given = [y for y in targets if y is not None]
    if len(given) < len(targets):
        if given:
            raise DataError("some recordings have a target, some have none", field="y")
        return None
    if all(y.ndim >= 2 and len(y) == steps for y, steps in zip(given, length, strict=True)):
        whole = np.zeros((time, len(given), *given[0].shape[1:]), np.result_type(*given))
        for place, y in enumerate(given):
            whole[: len(y), place] = y
        return whole
    if len({y.shape for y in given}) > 1:
        raise DataError("the targets have several shapes", field="y", found=sorted({y.shape for y in given}))
    return np.stack(given)
