"""Pictures of spikes and membranes over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.errors import ArgumentError
from nirjax.plot.canvas import COLOURS, GREY, SERIES, axes_of, dress, over_time, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_MARKS = 20_000
"""Spikes up to which a raster draws each one as a line; beyond, it is an image."""

_LARGEST_IMAGE = (1_000, 2_000)


def raster(
    spikes: Any,
    *,
    ax: Axes | None = None,
    dt: float | None = None,
    unit: str = "s",
    color: str = COLOURS["black"],
    title: str | None = None,
) -> Axes:
    """Who spiked when: time to the right, one row a neuron, the first at the top.

    Few spikes are drawn one by one. Many (more than `MOST_MARKS`) become an image whose darkness is the share of steps
    with a spike, so that a long recording of a large layer is as quick to draw as a short one.

    Args:
        spikes: (time, *neurons) of one sample; anything but zero is a spike.
        ax: where to draw; new axes by default.
        dt: the time step; without it the axis counts steps.
        unit: of dt.
        color: of the marks.
        title: above the axes.

    Raises:
        ArgumentError: not a recording.
        MissingExtraError: matplotlib is not installed.
    """
    fired = over_time(spikes, "spikes") != 0
    steps, neurons = fired.shape
    ax = axes_of(ax)
    places, label = time_axis(steps, dt, unit)
    step = float(places[1] - places[0]) if steps > 1 else 1.0
    left, right = float(places[0]) - step / 2, float(places[-1]) + step / 2
    if np.count_nonzero(fired) <= MOST_MARKS:
        when, who = np.nonzero(fired)
        inches = ax.get_position().width * _figure_width(ax)
        width = float(np.clip(0.6 * 72 * inches / steps, 0.6, 2.0))
        ax.vlines(places[when], who - 0.4, who + 0.4, colors=color, linewidth=width)
    else:
        from matplotlib.colors import LinearSegmentedColormap

        density = _binned(fired)
        shades = LinearSegmentedColormap.from_list("spikes", ["white", color])
        ax.imshow(
            density.T,
            aspect="auto",
            interpolation="nearest",
            cmap=shades,
            vmin=0,
            vmax=max(float(np.quantile(density[density > 0], 0.95)), 1e-9),
            extent=(left, right, neurons - 0.5, -0.5),
        )
    ax.set_xlim(left, right)
    ax.set_ylim(neurons - 0.5, -0.5)
    _whole_ticks(ax, neurons)
    dress(ax, x=label, y="neuron", title=title)
    return ax


def _figure_width(ax: Axes) -> float:
    figure = ax.get_figure(root=True)
    return 7.0 if figure is None else float(figure.get_size_inches()[0])


def _binned(fired: np.ndarray) -> np.ndarray:
    """The share of spikes in bins, so many that no screen has more."""
    rows, columns = (max(1, -(-size // most)) for size, most in zip(fired.shape, _LARGEST_IMAGE[::-1], strict=True))
    totals: np.ndarray = np.add.reduceat(
        np.add.reduceat(fired, np.arange(0, fired.shape[0], rows), axis=0, dtype=np.int32),
        np.arange(0, fired.shape[1], columns),
        axis=1,
    )
    return np.asarray(totals / (rows * columns))


def _whole_ticks(ax: Axes, neurons: int) -> None:
    from matplotlib.ticker import MaxNLocator

    if neurons <= 12:
        ax.set_yticks(range(neurons))
    else:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def traces(
    v: Any,
    *,
    spikes: Any = None,
    threshold: Any = None,
    neurons: Sequence[int] | None = None,
    ax: Axes | None = None,
    dt: float | None = None,
    unit: str = "s",
    name: str = "v",
    title: str | None = None,
) -> Axes:
    """Membranes over time: one band a neuron, the threshold dashed, a mark above it at each spike.

    Args:
        v: (time, *neurons) of one sample.
        spikes: of the same shape; or None.
        threshold: one for all neurons, or one each; or None.
        neurons: which to draw; by default the first three.
        ax, dt, unit, title: as in `raster`.
        name: of the variable, for the axis.

    Raises:
        ArgumentError: shapes that do not fit each other, or a neuron that is not there.
        MissingExtraError: matplotlib is not installed.
    """
    membrane = over_time(v, "v")
    steps, count = membrane.shape
    fired = None if spikes is None else over_time(spikes, "spikes") != 0
    if fired is not None and fired.shape != membrane.shape:
        raise ArgumentError("not the membranes' spikes", field="spikes", found=fired.shape, expected=membrane.shape)
    levels = _levels(threshold, count)
    chosen = range(min(3, count)) if neurons is None else [int(neuron) for neuron in neurons]
    for neuron in chosen:
        if not 0 <= neuron < count:
            raise ArgumentError("no such neuron", field="neurons", found=neuron, expected=f"0 to {count - 1}")
    ax = axes_of(ax, height=max(2.4, 0.6 + 1.1 * len(chosen)))
    places, label = time_axis(steps, dt, unit)
    shown = membrane[:, list(chosen)]
    bound = shown if levels is None else np.concatenate([shown, levels[None, list(chosen)]])
    low, high = (float(f(np.where(np.isfinite(bound), bound, 0))) for f in (np.min, np.max))
    height = high - low if high > low else 1.0
    band = 1.45 * height
    for row, neuron in enumerate(chosen):
        base = -row * band
        colour = SERIES[row % len(SERIES)]
        if levels is not None:
            ax.plot(places[[0, -1]], [levels[neuron] + base] * 2, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
        ax.plot(places, membrane[:, neuron] + base, color=colour, linewidth=1.3)
        if fired is not None:
            at = places[fired[:, neuron]]
            ax.vlines(at, base + high + 0.08 * height, base + high + 0.26 * height, colors="black", linewidth=1.2)
    if len(chosen) > 1:
        ax.set_yticks([low + height / 2 - row * band for row in range(len(chosen))], [f"neuron {n}" for n in chosen])
        ax.tick_params(axis="y", length=0)
        dress(ax, x=label, title=title)
        _scale_bar(ax, places, low - (len(chosen) - 1) * band, height, name)
    else:
        dress(ax, x=label, y=name, title=title)
        ax.set_xlim(places[0], places[-1] if steps > 1 else 1)
    return ax


def _levels(threshold: Any, count: int) -> np.ndarray | None:
    if threshold is None:
        return None
    levels = np.ravel(np.asarray(threshold, np.float64))
    if levels.size not in (1, count):
        raise ArgumentError("one threshold, or one for each neuron", field="threshold", found=levels.shape)
    return np.broadcast_to(levels, (count,))


def _scale_bar(ax: Axes, places: np.ndarray, bottom: float, height: float, name: str) -> None:
    """A bar at the right that says how much of the variable a band is high."""
    size = 10.0 ** np.floor(np.log10(height))
    size = max(factor * size for factor in (1, 2, 5) if factor * size <= height * 1.0001)
    span = float(places[-1] - places[0]) or 1.0
    at = float(places[-1]) + 0.02 * span
    ax.plot([at, at], [bottom, bottom + size], color="black", linewidth=2, solid_capstyle="butt")
    ax.text(at + 0.01 * span, bottom + size / 2, f"{name}: {size:g}", fontsize=9, va="center", ha="left")
    ax.set_xlim(float(places[0]), float(places[-1]) + 0.14 * span)


def activity(
    spikes: Mapping[str, Any],
    *,
    ax: Axes | None = None,
    dt: float | None = None,
    unit: str = "s",
    title: str | None = None,
) -> Axes:
    """How active each layer is: the share of its neurons that spike, over time, with the mean in the legend.

    Args:
        spikes: layer name to (time, *batch and neurons); `run.traces` recorded with "*.spikes" will do.
        ax, dt, unit, title: as in `raster`.

    Raises:
        ArgumentError: no layers, or something that is not a recording.
        MissingExtraError: matplotlib is not installed.
    """
    if not spikes:
        raise ArgumentError("no layers", field="spikes", expected="a mapping of names to recordings")
    ax = axes_of(ax)
    label = ""
    for row, (layer, values) in enumerate(spikes.items()):
        share = (over_time(values, layer) != 0).mean(axis=1) * 100
        places, label = time_axis(len(share), dt, unit)
        style = ("-", "--", ":")[row // len(SERIES) % 3]
        text = f"{layer.removesuffix('.spikes')}  (mean {share.mean():.1f} %)"
        ax.plot(places, share, color=SERIES[row % len(SERIES)], linestyle=style, linewidth=1.5, label=text)
    ax.set_ylim(bottom=0)
    ax.margins(x=0)
    dress(ax, x=label, y="neurons that spike (%)", title=title, grid=True)
    beside = len(spikes) > 4
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if beside else {"loc": "best"}
    ax.legend(frameon=False, fontsize=9, **place)
    return ax
