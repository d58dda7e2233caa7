"""Signals that ask a run to end: taken note of, and passed on once the work is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")

_ASKED = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """While entered, notes SIGTERM and SIGINT instead of obeying them; `obey` gives them back their effect.

    Only the main thread can listen to signals; in others nothing is noted.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _ASKED}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def until_asked(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, the first at least, up to the moment when somebody asks to stop."""
        for item in items:
            yield item
            if self.asked is not None:
                return

    def obey(self) -> None:
        """Lets the signal that was noted do what it would have done."""
        if self.asked is not None:
            handler = self._before[self.asked]
            signal.signal(self.asked, signal.SIG_DFL if handler is None else handler)
            signal.raise_signal(self.asked)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number)
