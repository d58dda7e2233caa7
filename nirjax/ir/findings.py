"""What a check of a graph has to say, and what several checks ask of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def on_cycles(nodes: Iterable[str], edges: Sequence[tuple[str, str]]) -> list[str]:
    """Nodes that reach themselves; what no cycle leads to is set aside first."""
    entering = dict.fromkeys(nodes, 0)
    after: dict[str, list[str]] = {name: [] for name in entering}
    for a, b in edges:
        entering[b] += 1
        after[a].append(b)
    todo = [name for name, count in entering.items() if count == 0]
    while todo:
        for name in after[todo.pop()]:
            entering[name] -= 1
            if entering[name] == 0:
                todo.append(name)
    left = [(a, b) for a, b in edges if entering[a] and entering[b]]
    return [name for name, count in entering.items() if count and name in reachable(after[name], left)]


def time_constants(node: NIRNode) -> dict[str, np.ndarray]:
    """The node's time constants by field."""
    names = type(node).parameter_names()
    return {field: getattr(node, field) for field in ("tau", "tau_mem", "tau_syn") if field in names}


def close(value: Any, expected: Any) -> bool:
    """Are all numbers the expected ones, to what float32 keeps of them?"""
    return bool(np.allclose(value, expected, rtol=1e-5, atol=1e-9))
