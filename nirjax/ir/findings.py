"""What a check of a graph has to say, and what several checks ask of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.errors import quoted
from nirjax.ir.nodes import NIRNode


@dataclass(frozen=True)
class Finding:
    """One thing that will surprise.

    Attributes:
        kind: "dt", "unit", "wiring", "dead", "reset", "edges", "unseen", "disconnected", "name", "lost", "ignored" or
            "refused".
        node: path of the node concerned; the empty string is the graph itself.
        field: the node's field; None where the whole node is meant.
        message: what is so, and what follows.
        severity: "error" (the target cannot take it), "warning" (the result will surprise), or "note" (the file cannot
            say it, and somebody has to).
    """

    kind: str
    node: str
    field: str | None
    message: str
    severity: str = "warning"

    def __str__(self) -> str:
        where = "the graph" if self.node == "" else quoted(self.node)
        return f"{self.severity}: {where}{f', {self.field}' if self.field else ''}: {self.message} [{self.kind}]"


def reachable(starts: Sequence[str], edges: Sequence[tuple[str, str]]) -> set[str]:
    """The starts, and all names that edges lead to from there."""
    after: dict[str, list[str]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    done, todo = set(starts), list(starts)
    while todo:
        for name in after.get(todo.pop(), ()):
            if name not in done:
                done.add(name)
                todo.append(name)
    return done


def time_constants(node: NIRNode) -> dict[str, np.ndarray]:
    """The node's time constants by field."""
    names = type(node).parameter_names()
    return {field: getattr(node, field) for field in ("tau", "tau_mem", "tau_syn") if field in names}


def close(value: Any, expected: Any) -> bool:
    """Are all numbers the expected ones, to what float32 keeps of them?"""
    return bool(np.allclose(value, expected, rtol=1e-5, atol=1e-9))
