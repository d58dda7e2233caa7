"""The progress bar of an evaluation: recordings done, how many a second, the time left."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self


class Bar(AbstractContextManager["Bar"]):
    """A line on stderr, where that is a terminal or a notebook; shows nothing where not `shown`."""

    def __init__(self, shown: bool, total: int | None, done: int = 0) -> None:
        self._rich: Any = None
        if not shown:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(file=sys.stderr)
        if console.is_terminal or console.is_jupyter:
            rate = TextColumn("{task.fields[rate]}")
            columns = (TextColumn("evaluating"), BarColumn(24), MofNCompleteColumn(), rate, TimeRemainingColumn())
            self._rich = Progress(*columns, console=console, speed_estimate_period=60)
            self._task = self._rich.add_task("", total=total, completed=done, rate="")

    def __enter__(self) -> Self:
        if self._rich is not None:
            self._rich.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._rich is not None:
            self._rich.stop()

    def advance(self, samples: int) -> None:
        """So many more recordings are done."""
        if self._rich is not None:
            speed = self._rich.tasks[0].speed
            rate = f"{speed:,.0f}/s" if speed else ""
            self._rich.update(self._task, advance=samples, rate=rate)
