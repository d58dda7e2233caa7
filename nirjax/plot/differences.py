"""A picture of two recordings on the same input, with what differs marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.errors import ArgumentError
from nirjax.plot.canvas import COLOURS, GREY, PALE, axes_of, dress, over_time, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

A, B = COLOURS["blue"], COLOURS["vermilion"]


def comparison(
    a: Any,
    b: Any,
    *,
    ax: Axes | None = None,
    dt: float | None = None,
    unit: str = "s",
    names: tuple[str, str] = ("a", "b"),
    tolerance: float = 1e-5,
    title: str | None = None,
) -> Axes:
    """Two recordings of one trace over each other, with the first difference marked.

    Spikes are a raster: grey where both fire, coloured where one of them does. Other values are drawn as lines, of the
    neuron in which the two part first. A dashed line stands at the first step at which they differ.

    Args:
        a, b: (time, *neurons) of one sample, of one shape; `nirjax.compare` gives them as `sides`.
        ax: where to draw; new axes by default.
        dt, unit: the time step; without it the axis counts steps.
        names: of the two, for the legend.
        tolerance: values that are no spikes differ where they do by more than this part of the largest.
        title: above the axes.

    Raises:
        ArgumentError: no recordings, or two of different shapes.
        MissingExtraError: matplotlib is not installed.
    """
    one, other = over_time(a, "a"), over_time(b, "b")
    if one.shape != other.shape:
        raise ArgumentError("two recordings of one shape", field="b", found=other.shape, expected=str(one.shape))
    spikes = all(np.array_equal(side, np.round(side)) for side in (one, other))
    bound = 0.0 if spikes else tolerance * float(np.nanmax(np.abs([one, other]), initial=0.0))
    with np.errstate(invalid="ignore"):
        differ = ~((np.abs(one - other) <= bound) | (np.isnan(one) & np.isnan(other)))
    ax = axes_of(ax)
    places, label = time_axis(len(one), dt, unit)
    steps = np.flatnonzero(differ.any(axis=1))
    neuron = int(np.argmax(differ[steps[0]])) if steps.size else 0
    if spikes:
        _rasters(ax, places, one != 0, other != 0, names)
        dress(ax, x=label, y="neuron", title=title)
    else:
        _lines(ax, places, one[:, neuron], other[:, neuron], names)
        dress(ax, x=label, y=f"neuron {neuron}", title=title)
    if steps.size:
        ax.axvline(places[steps[0]], color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
        share = 100 * np.count_nonzero(differ) / differ.size
        percent = f"{share:.0f}" if share >= 10 else f"{share:.2g}"
        text = f"they part at step {steps[0]},\nneuron {neuron}; {percent} % of\nall values differ"
    else:
        text = "nothing differs"
    half = float(places[1] - places[0]) / 2 if len(places) > 1 else 0.5
    ax.set_xlim(float(places[0]) - half, float(places[-1]) + half)
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    ax.legend(title=text, title_fontsize=9, alignment="left", frameon=False, fontsize=9, **place)
    return ax


def _rasters(ax: Axes, places: np.ndarray, a: np.ndarray, b: np.ndarray, names: tuple[str, str]) -> None:
    """What both fire in grey; what only a fires in the upper half of a row, what only b does in the lower."""
    rows = (
        (a & b, "#9A9A9A", -0.4, 0.4, "both", 1.0),
        (a & ~b, A, -0.48, 0.0, f"{names[0]} only", 2.0),
        (b & ~a, B, 0.0, 0.48, f"{names[1]} only", 2.0),
    )
    for fired, colour, low, high, label, width in rows:
        when, who = np.nonzero(fired)
        ax.vlines(places[when], who + low, who + high, colors=colour, linewidth=width, label=label)
    neurons = a.shape[1]
    ax.set_ylim(neurons - 0.5, -0.5)
    if neurons <= 12:
        ax.set_yticks(range(neurons))


def _lines(ax: Axes, places: np.ndarray, a: np.ndarray, b: np.ndarray, names: tuple[str, str]) -> None:
    ax.fill_between(places, a, b, color=PALE, linewidth=0)
    ax.plot(places, a, color=A, linewidth=1.6, label=names[0])
    ax.plot(places, b, color=B, linewidth=1.2, linestyle=(0, (3, 2)), label=names[1])
