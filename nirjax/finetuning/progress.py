"""The progress bar of training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self


class Bar(AbstractContextManager["Bar"]):
    """A line in the terminal: what is done, what was measured last, the time left. Shows nothing where not `shown`."""

    def __init__(self, shown: bool, what: str, total: int | None) -> None:
        self._rich: Any = None
        if shown:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=12),
                MofNCompleteColumn(),
                TextColumn("{task.fields[values]}"),
                TimeRemainingColumn(),
            )
            self._rich = Progress(*columns)
            self._task = self._rich.add_task(what, total=total, values="")

    def __enter__(self) -> Self:
        if self._rich is not None:
            self._rich.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._rich is not None:
            self._rich.stop()

    def show(self, done: int, values: Mapping[str, float], what: str | None = None) -> None:
        """How much is done in all, and the latest values."""
        if self._rich is not None:
            text = " ".join(f"{name} {value:.3g}" for name, value in values.items())
            description = {} if what is None else {"description": what}
            self._rich.update(self._task, completed=done, values=text, **description)
