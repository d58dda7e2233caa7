"""What was observed at a node, in NIR's own data format: on a grid of time steps, or as events.

Names and fields are those of the reference package. Where a duration is no whole number of time steps, or an event
lies on the edge of one, rounding decides nothing here; see `nirjax.data.time_steps`.

Source: the package `nir` 1.0.8, `nir.data_ir`, and https://neuroir.org/docs/nirdata.html.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.data.time_steps import checked_step, steps_at, whole_steps
from nirjax.errors import DataError, NIRWarning

NO_EVENT = -1
"""The index that says that there is no event."""


@dataclass(frozen=True, eq=False, repr=False)
class TimeGriddedData:
    """A signal at every time step: spikes, which are bool, or numbers.

    Args:
        data: (samples, time steps, neurons); bool, integers or floats. It is not copied.
        dt: the time step.

    Raises:
        DataError: another number of axes, no numbers, a dt that is not positive.
    """

    data: np.ndarray
    dt: float

    def __post_init__(self) -> None:
        data = _array(self.data, "data")
        if data.ndim != 3:
            raise DataError(
                "the data is laid out otherwise", field="data", found=f"shape {data.shape}",
                expected="(samples, time steps, neurons)",
            )  # fmt: skip
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "dt", checked_step(self.dt, DataError))

    @property
    def shape(self) -> tuple[int, ...]:
        """(samples, time steps, neurons)."""
        return self.data.shape

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.data.shape[0])

    @property
    def n_time_steps(self) -> int:
        """Number of time steps."""
        return int(self.data.shape[1])

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return int(self.data.shape[2])

    @property
    def t_max(self) -> float:
        """How long the recording is, in the unit of dt."""
        return self.n_time_steps * self.dt

    def to_event(self, n_events: int | None = None, time_shift: float = 0.0) -> EventData:
        """Spikes as events, by time and then by neuron; the event of step k has the time k dt + time_shift.

        Args:
            n_events: events stored for each sample, the first of them where there are more, with a NIRWarning; None is
                as many as the sample with the most has.
            time_shift: where in the time step an event lies, in [0, dt).

        Raises:
            DataError: the data is not bool, or the shift leads out of the time step.
        """
        if self.data.dtype != bool:
            raise DataError("only spikes become events", field="data", found=str(self.data.dtype), expected="bool")
        if not 0 <= time_shift < self.dt:
            raise DataError("the shift leads out of the time step", field="time_shift", found=time_shift,
                            expected=f"from 0 to below dt = {self.dt}")  # fmt: skip
        sample, step, neuron = np.nonzero(self.data)
        counts = np.bincount(sample, minlength=self.n_samples)
        most = int(counts.max(initial=0))
        kept = most if n_events is None else n_events
        if kept < most:
            warnings.warn(f"{most} events of a sample do not fit into {kept}: the last are left out", NIRWarning, 2)
        place = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
        idx, time = np.full((self.n_samples, kept), NO_EVENT), np.full((self.n_samples, kept), np.inf)
        fits = place < kept
        idx[sample[fits], place[fits]] = neuron[fits]
        time[sample[fits], place[fits]] = step[fits] * self.dt + time_shift
        return EventData(idx, time, self.n_neurons, self.t_max)

    def __repr__(self) -> str:
        return f"TimeGriddedData({_counted(*self.shape)}, {self.data.dtype}, dt={self.dt:g})"


@dataclass(frozen=True, eq=False, repr=False)
class EventData:
    """Events without a magnitude: which neuron, and when.

    Args:
        idx: numbers of neurons, (samples, events); -1 where there is no event.
        time: times, (samples, events); what stands beside a -1 does not count (infinity by convention).
        n_neurons: number of neurons of the layer.
        t_max: how long the recording is.

    Raises:
        DataError: shapes that differ, a neuron that is not there, a time that is not finite.
    """

    idx: np.ndarray
    time: np.ndarray
    n_neurons: int
    t_max: float

    def __post_init__(self) -> None:
        idx, time = _array(self.idx, "idx"), _array(self.time, "time")
        if idx.shape != time.shape or idx.ndim != 2:
            raise DataError(
                "idx and time are laid out otherwise", field="time", found=f"{idx.shape} and {time.shape}",
                expected="(samples, events) of both",
            )  # fmt: skip
        if idx.dtype.kind not in "iu":
            raise DataError("idx is made of whole numbers", field="idx", found=str(idx.dtype))
        if not float(self.n_neurons).is_integer():
            raise DataError("not a number of neurons", field="n_neurons", found=self.n_neurons)
        neurons, t_max = int(self.n_neurons), float(self.t_max)
        if neurons < 0 or not 0 <= t_max < math.inf:
            raise DataError("not the size of a recording", found=f"{neurons} neurons, t_max = {t_max}")
        if idx.size and not NO_EVENT <= int(idx.min()) <= int(idx.max()) < neurons:
            found = int(idx.min()) if int(idx.min()) < NO_EVENT else int(idx.max())
            raise DataError("there is no such neuron", field="idx", found=found, expected=f"-1 to {neurons - 1}")
        if not np.isfinite(time[idx != NO_EVENT]).all():
            raise DataError("an event has no time", field="time", found="NaN or infinity", expected="a finite time")
        for name, value in {"idx": idx, "time": time, "n_neurons": neurons, "t_max": t_max}.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """(samples, events)."""
        return self.idx.shape

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.idx.shape[0])

    def to_time_gridded(self, dt: float) -> TimeGriddedData:
        """The events on a grid of whole time steps: True where there is at least one in the step.

        Raises:
            DataError: an event before the first step or after the last whole one. ArgumentError: dt is not positive.
        """
        grid, places = self._grid(dt, bool)
        grid[places] = True
        return TimeGriddedData(grid, dt)

    def _grid(self, dt: float, dtype: Any) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """An empty grid, and the places of the events in it, sample after sample."""
        dt = checked_step(dt)
        count = whole_steps(self.t_max, dt)
        sample, event = np.nonzero(self.idx != NO_EVENT)
        times = self.time[sample, event]
        steps = steps_at(times, dt)
        outside = (steps < 0) | (steps >= count)
        if outside.any():
            raise DataError(
                "an event lies outside the recording's whole time steps", field="time",
                found=float(times[outside][0]), expected=f"from 0 to below {count} steps of {dt:g}",
                hint="Give a dt of which t_max is a multiple, or a larger t_max",
            )  # fmt: skip
        try:
            grid = np.zeros((self.n_samples, count, self.n_neurons), dtype)
        except (MemoryError, ValueError) as error:
            raise DataError("the grid is too large", found=f"{count} time steps", hint="Give a larger dt") from error
        return grid, (sample, steps, self.idx[sample, event])

    def __repr__(self) -> str:
        samples, events = self.shape
        sizes = f"{samples} samples of {events} events, {self.n_neurons} neurons"
        return f"{type(self).__name__}({sizes}, t_max={self.t_max:g})"


@dataclass(frozen=True, eq=False, repr=False)
class ValuedEventData(EventData):
    """Events with a magnitude.

    Args:
        value: (samples, events). The others: see EventData.

    Raises:
        DataError: as EventData.
    """

    value: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        value = _array(self.value, "value")
        if value.shape != self.idx.shape:
            raise DataError("every event has a value", field="value", found=value.shape, expected=self.idx.shape)
        object.__setattr__(self, "value", value)

    def to_time_gridded(self, dt: float) -> TimeGriddedData:
        """The values on a grid of whole time steps, float64: zero without an event, of several in a step the last.

        Raises:
            DataError, ArgumentError: as `EventData.to_time_gridded`.
        """
        grid, places = self._grid(dt, float)
        grid[places] = self.value[self.idx != NO_EVENT]
        return TimeGriddedData(grid, dt)


Observable = TimeGriddedData | EventData
"""What a node's data holds under a name."""


def _array(value: Any, name: str) -> np.ndarray:
    """A read-only view of an array of numbers."""
    try:
        array = np.asarray(value).view()
    except (ValueError, TypeError) as error:
        raise DataError("not an array", field=name, found=type(value).__name__) from error
    if array.dtype.kind not in "biuf":
        raise DataError("not made of numbers", field=name, found=str(array.dtype), expected="bool, integers or floats")
    array.flags.writeable = False
    return array


def _counted(samples: int, steps: int, neurons: int) -> str:
    return f"{samples} samples, {steps} time steps, {neurons} neurons"
