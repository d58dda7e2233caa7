"""The progress of training on stderr: a bar in a terminal, a line now and then anywhere else."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

LINE_EVERY = 60.0
"""Seconds between two lines within a pass, where there is no terminal."""


class Progress(AbstractContextManager["Progress"]):
    """What is done, what was measured last, the time left. Says nothing where not `shown`."""

    def __init__(self, shown: bool) -> None:
        self._bar: Any = None
        self._lines = False
        self._task: Any = None
        self._began: tuple[int, float] | None = None
        self._said = time.monotonic()
        if shown:
            self._bar = _bar()
            self._lines = self._bar is None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(
        self, what: str, done: int, total: int | None, values: Mapping[str, float], *, milestone: bool = False
    ) -> None:
        """Where the training stands.

        Args:
            what: the present pass.
            done, total: steps so far and in all, if it is known.
            values: what was measured last, by name.
            milestone: worth a line of its own where there is no bar.
        """
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(what, total=total, completed=done, values="")
            self._bar.update(self._task, description=what, completed=done, total=total, values=_short(values))
        if not self._lines:
            return
        now = time.monotonic()
        self._began = self._began or (done, now)
        if milestone or now - self._said >= LINE_EVERY:
            self._said = now
            steps = f"step {done}" if total is None else f"step {done}/{total}"
            parts = [what, steps, _text(values), self._left(done, total, now)]
            print("  ".join(part for part in parts if part), file=sys.stderr, flush=True)

    def _left(self, done: int, total: int | None, now: float) -> str:
        start, began = self._began or (done, now)
        if total is None or done <= start or done >= total:
            return ""
        seconds = (now - began) / (done - start) * (total - done)
        minutes, left = divmod(math.ceil(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{left:02} left"


def _text(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in values.items())


def _short(values: Mapping[str, float]) -> str:
    """The values on the validation data in brackets behind those on the training data."""
    parts = []
    for name, value in values.items():
        if name.removeprefix("valid ") in values and name.startswith("valid "):
            continue
        held_out = values.get(f"valid {name}")
        parts.append(f"{name} {value:.3g}" + ("" if held_out is None else f" ({held_out:.3g})"))
    return " ".join(parts)


def _bar() -> Any:
    """A bar of rich's on stderr; None where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    console = Console(stderr=True)
    if console.is_dumb_terminal or not (console.is_terminal or console.is_jupyter):
        return None
    whole = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description}", table_column=whole),
        BarColumn(bar_width=6),
        MofNCompleteColumn(table_column=whole),
        TimeRemainingColumn(table_column=whole),
        TextColumn("{task.fields[values]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        console=console,
        expand=True,
    )
