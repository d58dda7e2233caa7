"""What all pictures share: colours, axes, labels of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.errors import ArgumentError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
}
"""Okabe and Ito's palette, which people with any colour vision can tell apart: https://jfly.uni-koeln.de/color/."""

SERIES = tuple(COLOURS[name] for name in ("blue", "vermilion", "green", "orange", "purple", "sky", "black"))
"""The order in which series take their colours."""

GREY = "#6B6B6B"
PALE = "#E4E4E4"


def require_matplotlib() -> None:
    """Make sure that pictures can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "pictures need matplotlib", hint="Install it with: pip install 'nirjax[plot]'"
        ) from error


def axes_of(ax: Axes | None, width: float = 7.0, height: float = 3.2) -> Axes:
    """The axes given, or new ones in a figure of this size in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def dress(ax: Axes, *, x: str = "", y: str = "", title: str | None = None, grid: bool = False) -> None:
    """Labels and spines as all pictures have them; `grid` draws lines across at the ticks of y."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(GREY)
    ax.tick_params(colors=GREY, labelcolor="black", labelsize=9)
    if x:
        ax.set_xlabel(x, fontsize=10)
    if y:
        ax.set_ylabel(y, fontsize=10)
    if title:
        ax.set_title(title, fontsize=11, loc="left")
    if grid:
        ax.grid(visible=True, axis="y", color=PALE, linewidth=0.8)
        ax.set_axisbelow(True)


def time_axis(steps: int, dt: float | None, unit: str) -> tuple[np.ndarray, str]:
    """Where each step lies, and the label: steps without a dt, milliseconds for recordings shorter than a second."""
    places = np.arange(steps)
    if dt is None:
        return places, "time step"
    if not dt > 0:
        raise ArgumentError("the time step is a positive number", field="dt", found=dt)
    if unit == "s" and steps * dt < 1:
        return places * (dt * 1e3), "time (ms)"
    return places * dt, f"time ({unit})"


def over_time(values: Any, field: str) -> np.ndarray:
    """A recording as (time, neurons): axes behind the first become one.

    Raises:
        ArgumentError: no array of numbers, no time axis, or nothing in it.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" or array.ndim < 1 or array.size == 0:
        raise ArgumentError(
            "not a recording",
            field=field,
            found=f"{array.dtype} array of shape {array.shape}",
            expected="numbers of shape (time, *neurons)",
            hint="Choose one sample first: run.traces[name][:, 0].",
        )
    return array.reshape(len(array), -1)
