"""Which of the models along the way is the best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nirjax.errors import ArgumentError


@dataclass(frozen=True)
class Monitor:
    """The value by which models are compared.

    Args:
        name: "loss" or a metric.
        smaller: smaller is better.
    """

    name: str
    smaller: bool

    @classmethod
    def of(cls, monitor: str | None) -> Monitor:
        """`"loss"`, or a metric, of which more is better; a leading minus turns that round. None is the loss."""
        if monitor is not None and not isinstance(monitor, str):
            raise ArgumentError(
                "a monitor is a name", field="monitor", found=monitor, expected="'loss' or a metric's name"
            )
        name = (monitor or "loss").removeprefix("-")
        return cls(name, name == "loss" or str(monitor).startswith("-"))

    def check(self, names: Iterable[str]) -> None:
        """Raises an ArgumentError if nothing of this name is measured."""
        known = ["loss", *names]
        if self.name not in known:
            raise ArgumentError(
                "nothing of this name is measured",
                field="monitor",
                found=self.name,
                expected=f"one of {', '.join(known)}",
            )

    def better(self, value: float, best: float | None) -> bool:
        """Is the value better than the best so far? Of equal ones the first stays; NaN is never better."""
        if value != value:
            return False
        return best is None or (value < best if self.smaller else value > best)
