"""Times to time steps, safe against rounding.

0.3 / 0.1 is 2.9999999999999996 in floating point, and its floor is 2. A time that lies within rounding of the start of
a step is in that step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nirjax.errors import ArgumentError, DataError, NIRError

MOST_STEPS = 2**40
"""More time steps than any recording has."""

_EPSILON = float(np.finfo(np.float64).eps)


def steps_at(time: npt.ArrayLike, dt: float) -> npt.NDArray[np.int64]:
    r"""The time step in which each time lies, :math:`\lfloor \text{time} / dt \rfloor`.

    A quotient within rounding of a whole number (four units in the last place, or one of `time`'s dtype where that is
    coarser) is that number. Integer times are divided exactly by a whole `dt`.

    Args:
        time: finite times, integers or floats, in the unit of `dt`.
        dt: the time step, positive.
    """
    time = np.asarray(time)
    if time.dtype.kind in "biu" and (whole := _whole(dt)) is not None:
        return time.astype(np.int64) // whole
    steps = time.astype(np.float64) / dt
    return np.where(_is_whole(steps, time.dtype), np.rint(steps), np.floor(steps)).astype(np.int64)


def whole_steps(duration: float, dt: float) -> int:
    """How many time steps fit into a duration; within rounding of a whole number of steps, that number.

    Raises:
        DataError: more than any recording has.
    """
    if not duration / dt < MOST_STEPS:
        raise DataError("the recording has too many time steps", field="dt", found=dt, expected=f"a part of {duration}")
    return int(steps_at(np.float64(duration), dt))


def started_steps(duration: float, dt: float) -> int:
    """How many time steps a duration reaches into; raises as `whole_steps`."""
    whole = whole_steps(duration, dt)
    return whole if _is_whole(np.float64(duration / dt), np.dtype(np.float64)) else whole + 1


def checked_step(dt: Any, kind: type[NIRError] = ArgumentError) -> float:
    """The time step as a float; raises an error of this kind where it is no positive, finite number."""
    if isinstance(dt, bool) or not isinstance(dt, int | float | np.floating | np.integer) or not 0 < dt < float("inf"):
        raise kind("the time step is a positive number", field="dt", found=dt)
    return float(dt)


def same_step(a: float, b: float) -> bool:
    """Are two time steps one, but for the rounding of single precision?"""
    return abs(a - b) <= 1e-6 * max(a, b)


def _whole(dt: float) -> int | None:
    nearest = round(dt)
    return nearest if nearest >= 1 and abs(dt - nearest) <= 4 * _EPSILON * nearest else None


def _is_whole(steps: Any, dtype: np.dtype) -> Any:
    coarse = float(np.finfo(dtype).eps) if dtype.kind == "f" else _EPSILON
    nearest = np.rint(steps)
    return np.abs(steps - nearest) <= max(4 * _EPSILON, coarse) * np.maximum(1, np.abs(nearest))
