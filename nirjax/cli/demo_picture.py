"""The demo's picture: one digit in three situations, and the accuracy in each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nirjax.cli.pictures import figure, save
from nirjax.cli.terminal import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Situation:
    """One column of the picture.

    Attributes:
        title: in a few words.
        x, hidden, output: spikes of one recording, (time, channels or neurons).
        prediction: the class that the output decides for.
        accuracy: on all test recordings.
    """

    title: str
    x: np.ndarray
    hidden: np.ndarray
    output: np.ndarray
    prediction: int
    accuracy: float


def draw(path: Path, situations: list[Situation], label: int, home_accuracy: float, dt: float) -> None:
    """Draw all situations side by side and write the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
        FileError: it cannot be written.
    """
    from nirjax import plot
    from nirjax.plot.canvas import COLOURS

    colours = [COLOURS[name] for name in ("blue", "vermilion", "green")]
    whole = figure(12.5, 7.2)
    grid = whole.add_gridspec(3, 5, width_ratios=[1, 1, 1, 0.05, 1.05], height_ratios=[1, 2.2, 1.15])
    for column, (one, colour) in enumerate(zip(situations, colours, strict=True)):
        right = "right" if one.prediction == label else "wrong"
        verdict = f"decides for {one.prediction}: {right}"
        for row, (what, spikes) in enumerate((("input", one.x), ("hidden", one.hidden), ("output", one.output))):
            ax = whole.add_subplot(grid[row, column])
            plot.raster(spikes, ax=ax, dt=dt, color="black" if what == "input" else colour)
            ax.set_title(one.title if row == 0 else verdict if row == 2 else "", fontsize=11, loc="left", color=colour)
            ax.set_ylabel({"input": "input channel", "hidden": "hidden neuron", "output": "class"}[what])
            ax.set_xlabel("time (ms)" if row == 2 else "")
            if column:
                ax.set_ylabel("")
            if row == 2:
                ax.axhspan(label - 0.5, label + 0.5, color="#FFF3C4", zorder=0)
    _bars(whole.add_subplot(grid[:, 4]), situations, colours, home_accuracy)
    whole.suptitle(f"One test recording, a {label}, and the accuracy on all of them", x=0.01, ha="left", fontsize=13)
    save(whole, path)


def _bars(ax: Axes, situations: list[Situation], colours: list[str], home_accuracy: float) -> None:
    from nirjax.plot.canvas import GREY, dress

    values = [100 * one.accuracy for one in situations]
    ax.bar(range(len(values)), values, color=colours, width=0.68)
    for place, one in enumerate(situations):
        ax.text(
            place, values[place] + 1.2, percent(one.accuracy), ha="center", va="bottom", fontsize=10,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    ax.axhline(100 * home_accuracy, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    ax.text(
        len(values) - 0.6, 109, f"dashed: where it was trained, {percent(home_accuracy)}", ha="right", va="center",
        fontsize=9, color=GREY,
    )  # fmt: skip
    ax.set_xticks(range(len(values)), [one.title.replace(" ", "\n") for one in situations], fontsize=9)
    ax.set_ylim(0, 112)
    ax.set_yticks(range(0, 101, 20))
    dress(ax, y="accuracy on the test recordings (%)", grid=True)
