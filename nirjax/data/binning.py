"""Events of a sensor, (t, x, y, p), binned into frames.

A sensor speaks of (width, height, polarities), and of the address (x, y, p) of an event; an Input of NIR is
(polarities, height, width), as frames of a convolution are. The turning round is done here and nowhere else: an
event at (x, y, p) is counted at [p, y, x].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import jax
import numpy as np
from jax import Array

from nirjax.data.events import NOWHERE, Events, Reduce, Shape
from nirjax.data.padding import bucket
from nirjax.data.time_steps import checked_step, started_steps, steps_at
from nirjax.errors import ArgumentError, DataError, quoted


def bin_events(
    events: Any,
    *,
    dt: float,
    shape: Sequence[int],
    unit: float = 1e-6,
    duration: float | None = None,
    reduce: Reduce = "sum",
) -> Array:
    r"""Bin one recording of events into frames, on the device.

    .. math::
        x[k, p, j, i] = \#\{\text{events } e : \lfloor t_e \cdot \text{unit} / dt \rfloor = k,
        (x_e, y_e, p_e) = (i, j, p)\}

    Rounding does not decide: an event on the border of two steps is in the second.

    Args:
        events: a structured array with fields t, x, y, p, as tonic yields it, a mapping of arrays with these names, or
            a tuple (t, x, y, p) or (t, x, p) of arrays. A polarity is 0 or 1, a bool, or -1 or 1. y and p may be
            missing.
        dt: the time step, in the unit of time of the graph's file, seconds by convention.
        shape: of one frame, as NIR's Input has it: (P, H, W); (H, W) with the polarities together; (P, W) or (W,)
            where the events have no y. One polarity (P = 1) is all of them together. A tonic `sensor_size` is the
            other way round, (W, H, P).
        unit: of the events' times, in the unit of dt: 1e-6 for microseconds.
        duration: in the unit of dt; the frames go so far, and later events are left out. None is as far as the last
            event.
        reduce: "sum" counts; "any" says whether there are any.

    Returns:
        `(time, *shape)`, float32 counts, or bool.

    Raises:
        DataError: an event outside the sensor or before time 0, fields that are missing, more frames than can be
            counted. ArgumentError: an argument that makes no sense.
    """
    binning = Binning.of(dt, shape, unit, duration, reduce)
    index, steps = binning.places(events)
    frames: Array = _frames(padded([index])[0], steps, binning.shape, binning.reduce)
    return frames


@partial(jax.jit, static_argnames=("steps", "shape", "reduce"))
def _frames(index: Array, steps: int, shape: Shape, reduce: Reduce) -> Array:
    return Events(index, steps, shape, reduce).dense()


def padded(indices: Sequence[np.ndarray]) -> np.ndarray:
    """The places of several recordings as rows of one length, rounded up so that few lengths are compiled."""
    longest = bucket(max(1, *map(len, indices)))
    rows = np.full((len(indices), longest), NOWHERE, np.int32)
    for row, index in zip(rows, indices, strict=True):
        row[: len(index)] = index
    return rows


@dataclass(frozen=True)
class Binning:
    """How events become frames; see `bin_events`."""

    dt: float
    shape: Shape
    unit: float
    duration: float | None
    reduce: Reduce

    @classmethod
    def of(
        cls, dt: float, shape: Sequence[int], unit: float = 1e-6, duration: float | None = None, reduce: Any = "sum"
    ) -> Binning:
        """Checked arguments; raises ArgumentError for one that makes no sense."""
        try:
            axes = tuple(int(n) for n in shape)
        except (TypeError, ValueError):
            axes = ()
        if not 1 <= len(axes) <= 3 or min(axes) < 1:
            raise ArgumentError("not the shape of a frame", field="shape", found=shape, expected="(P, H, W)")
        for name, value in {"unit": unit, "duration": duration}.items():
            if value is not None and not 0 < value < math.inf:
                raise ArgumentError("this is a positive number", field=name, found=value)
        if reduce not in get_args(Reduce):
            raise ArgumentError("no such reduction", field="reduce", found=reduce, expected="'sum' or 'any'")
        return cls(checked_step(dt), axes, float(unit), duration, reduce)

    def places(self, events: Any) -> tuple[np.ndarray, int]:
        """Where each event lies in the flattened `(time, *shape)`, int32, and the number of time steps.

        Raises:
            DataError: see `bin_events`.
        """
        fields = fields_of(events)
        time = fields["t"]
        if time.dtype.kind == "f" and not np.isfinite(time).all():
            raise DataError("an event has no time", field="t", found="NaN or infinity")
        if len(time) and time.min() < 0:
            raise DataError("an event lies before time 0", field="t", found=time.min().item(), hint="Subtract t.min()")
        steps = steps_at(time, self.dt / self.unit)
        if self.duration is not None:
            count = started_steps(self.duration, self.dt)
            inside = steps < count
            fields, steps = {name: values[inside] for name, values in fields.items()}, steps[inside]
        elif not len(time):
            raise DataError("no event says how long the recording is", found="no events", expected="a duration")
        else:
            count = int(steps.max()) + 1
        check_count(count, self.shape)
        return (steps * math.prod(self.shape) + channels(fields, self.shape)).astype(np.int32), count


def check_count(count: int, shape: Shape) -> None:
    """Raises a DataError where the elements of so many frames have no numbers of 32 bits."""
    most = NOWHERE // math.prod(shape)
    if count > most:
        raise DataError(
            "there are more frames than can be counted", field="duration", found=f"{count} frames of {shape}",
            expected=f"at most {most}", hint="Does time begin at 0? If not, subtract t.min()",
        )  # fmt: skip


def fields_of(events: Any) -> dict[str, np.ndarray]:
    """The events' fields by name: t, x and, where they have them, y and p.

    Raises:
        DataError: fields that are missing, or differ in length; something that is no list of events.
    """
    if isinstance(events, Mapping):
        found = {str(name): np.asarray(values) for name, values in events.items()}
    elif isinstance(events, tuple) and len(events) in (3, 4):
        found = dict(zip("txp" if len(events) == 3 else "txyp", map(np.asarray, events), strict=True))
    else:
        array = np.asarray(events)
        if array.dtype.names is None:
            raise DataError(
                "this is no list of events", found=f"{type(events).__name__} {array.dtype}",
                expected="a structured array with fields t, x, y, p, a mapping of them, or a tuple",
            )  # fmt: skip
        found = {name: array[name] for name in array.dtype.names}
    missing = [name for name in "tx" if name not in found]
    if missing:
        raise DataError("the events lack a field", field=missing[0], found=sorted(found), expected="t, x, y, p")
    found = {name: found[name] for name in "txyp" if name in found}
    for name, values in found.items():
        if (
            values.ndim != 1
            or len(values) != len(found["t"])
            or values.dtype.kind not in ("biuf" if name == "t" else "biu")
        ):
            raise DataError(
                "a field of events is one number an event", field=name, found=f"{values.dtype} {values.shape}",
                expected=f"{'numbers' if name == 't' else 'whole numbers'} ({len(found['t'])},)",
            )  # fmt: skip
    return found


def channels(fields: Mapping[str, np.ndarray], shape: Shape) -> np.ndarray:
    """Where in a frame of this shape each event lies, flattened.

    Raises:
        DataError: an event outside the frame; events that have a y where a frame has none, or the other way round.
    """
    axes = _axes(fields, shape)
    place = np.zeros(len(fields["t"]), np.int64)
    for name, size in axes:
        if size == 1 and (name == "p" or name not in fields):
            continue
        if name not in fields:
            raise DataError("the events lack a field", field=name, found=sorted(fields), expected=f"for frames {shape}")
        values = fields[name].astype(np.int64)
        if name == "p" and len(values) and values.min() < 0:
            values = np.where(values == -1, 0, values)
        if len(values) and not 0 <= values.min() <= values.max() < size:
            found = int(values.min()) if values.min() < 0 else int(values.max())
            raise DataError(
                "an event lies outside the sensor", field=name, found=found, expected=f"0 to {size - 1}",
                hint=f"shape={shape} is ({', '.join(axis.upper() for axis, _ in axes)}); "
                "a sensor's size is often given as (W, H, P)",
            )  # fmt: skip
        place = place * size + values
    return place


def _axes(fields: Mapping[str, np.ndarray], shape: Shape) -> list[tuple[str, int]]:
    """The field that each axis of a frame stands for."""
    flat = "y" not in fields or (len(shape) == 1 and not fields["y"].any())
    names = {1: "x", 2: "px" if flat else "yx", 3: "pyx"}[len(shape)]
    if len(shape) == 1 and not flat:
        raise DataError(
            "the events have a y, the frames do not", field="shape", found=quoted(shape), expected="(P, H, W)",
            hint="Bin into (P, H, W) and reshape",
        )  # fmt: skip
    return list(zip(names, shape, strict=True))
