"""Pictures of training: curves, and parameters before and after."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.errors import ArgumentError, PatternError
from nirjax.plot.canvas import COLOURS, GREY, SERIES, axes_of, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPARE = 25


def training_curves(history: Any, *, metric: str = "loss", ax: Axes | None = None, title: str | None = None) -> Axes:
    """How a value went during training: on the training data, on the validation data, and the best model's step.

    Args:
        history: a `nirjax.FinetuneResult`, or its history: arrays by name, `step`, `train_<metric>`,
            `valid_<metric>` and, for the loss, `loss` of each step.
        metric: which value.
        ax, title: as in `nirjax.plot.raster`.

    Raises:
        PatternError: the history holds nothing of this name.
        ArgumentError: not a history.
        MissingExtraError: matplotlib is not installed.
    """
    best = getattr(history, "best_step", None)
    entries = getattr(history, "history", history)
    if not isinstance(entries, Mapping):
        raise ArgumentError("not a history", field="history", found=type(history).__name__, expected="a FinetuneResult")
    values = {name: np.asarray(entry, np.float64) for name, entry in entries.items()}
    named = {part: values[f"{part}_{metric}"] for part in ("train", "valid") if f"{part}_{metric}" in values}
    each = values.get("loss") if metric == "loss" else None
    if not named and each is None:
        known = sorted({name.partition("_")[2] for name in values if name.startswith(("train_", "valid_"))})
        raise PatternError("the history holds no such value", field="metric", found=metric, expected=f"one of {known}")
    ax = axes_of(ax, 6.0, 3.4)
    if each is not None and each.size:
        ax.plot(np.arange(1, each.size + 1), each, color="#BBBBBB", linewidth=0.7, label="each step")
    for (part, entry), colour, style in zip(named.items(), SERIES, ("-", "--"), strict=False):
        steps = values["step"] if "step" in values else np.arange(entry.size)
        seen = np.isfinite(entry)
        label = {"train": "training", "valid": "validation"}[part]
        ax.plot(steps[seen], entry[seen], style, color=colour, marker="o", markersize=3.5, linewidth=1.6, label=label)
    if best is not None:
        ax.axvline(best, color=GREY, linewidth=1.0, linestyle=":", label=f"best, step {best}")
    if metric != "loss" and all(entry[np.isfinite(entry)].min(initial=0) >= 0 for entry in named.values()):
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.margins(x=0.02)
    dress(ax, x="step", y=metric.replace("_", " "), title=title, grid=True)
    ax.legend(frameon=False, fontsize=9)
    return ax


def weights(
    before: Any,
    after: Any = None,
    *,
    pattern: str = "*.weight",
    bins: int = 60,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """How parameters are distributed, before training and after it.

    Args:
        before, after: arrays, or Models, of which the parameters that match `pattern` are taken together. `after` may
            be left out.
        pattern: matched as by `fnmatch` on `<node>.<field>`.
        bins: of the histogram.
        ax, title: as in `nirjax.plot.raster`.

    Raises:
        PatternError: no parameter matches.
        ArgumentError: no numbers to draw.
        MissingExtraError: matplotlib is not installed.
    """
    first = _numbers(before, pattern, "before")
    second = None if after is None else _numbers(after, pattern, "after")
    whole = first if second is None else np.concatenate([first, second])
    low, high = float(whole.min()), float(whole.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    ax = axes_of(ax, 6.0, 3.2)
    label = f"before  (mean {first.mean():.3g}, s.d. {first.std():.2g})" if second is not None else None
    ax.hist(first, bins=edges.tolist(), color=COLOURS["sky"], alpha=0.55, label=label)
    if second is not None:
        label = f"after  (mean {second.mean():.3g}, s.d. {second.std():.2g})"
        ax.hist(second, bins=edges.tolist(), histtype="step", color=COLOURS["vermilion"], linewidth=1.6, label=label)
        tall = max(np.histogram(part, edges)[0].max() for part in (first, second))
        ax.set_ylim(0, tall * (1 + _SPARE / 100))
        ax.legend(frameon=False, fontsize=9, loc="upper left")
    ax.margins(x=0)
    what = pattern if hasattr(before, "params") else "value"
    dress(ax, x=what, y="number of parameters" if hasattr(before, "params") else "number", title=title, grid=True)
    return ax


def _numbers(source: Any, pattern: str, field: str) -> np.ndarray:
    params = getattr(source, "params", None)
    if params is not None:
        named = {f"{node}.{name}": value for node, fields in params.items() for name, value in fields.items()}
        chosen = [np.ravel(np.asarray(value)) for name, value in named.items() if fnmatchcase(name, pattern)]
        if not chosen:
            raise PatternError(
                "the pattern matches nothing", field="pattern", found=pattern, expected=f"one of {list(named)}"
            )
        return np.concatenate(chosen).astype(np.float64)
    array = np.asarray(source)
    if array.dtype.kind not in "fiub" or array.size == 0 or not np.isfinite(array).any():
        raise ArgumentError("no numbers", field=field, found=f"{array.dtype} array of shape {array.shape}")
    array = np.ravel(array).astype(np.float64)
    return np.asarray(array[np.isfinite(array)])
