"""What nirjax has to reach, and whether a run's results reach it.

time over the limit's   forward 1.25 and training 1.5 where products outweigh the rest; else 2
over handwritten's      1 on every row
over the best peer's    1 on every row, 0.5 where the row is not bound by its products
handwritten over Spyx   1 on every row that Spyx runs: what a good JAX user types is no straw man
eager peers             10 times faster, as a geometric mean over the rows
once                    a call 1.3 times that of a jitted function on a dict; the paper's network compiles forward
                        in 2 s and a training step in 5 s
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BOUND_BY_PRODUCTS = ("stream", "batch", "recurrent", "conv")
"""Families whose products outweigh their elementwise work."""

TWICE = ("stream", "small", "recurrent-16", "conv-1", "braille", "long")
"""Workloads on which the best peer has to take twice as long."""

Found = dict[str, Any]


@dataclass(frozen=True)
class Bar:
    """One thing to reach: `found` at most `bar`, or at least where `least`."""

    row: str
    what: str
    found: float
    bar: float
    least: bool = False

    @property
    def met(self) -> bool:
        return self.found >= self.bar if self.least else self.found <= self.bar


def of(content: Found) -> list[Bar]:
    """The bars of a results file."""
    return [*_ratios(content), *_eager(content), *_once(content)]


def _ratios(content: Found) -> Iterator[Bar]:
    for workload, mode in dict.fromkeys((row["workload"], row["mode"]) for row in content["rows"]):
        group = {
            row["contender"]: row
            for row in content["rows"]
            if (row["workload"], row["mode"]) == (workload, mode) and row["seconds"] and not row["trouble"]
        }
        name, mine = f"{workload}, {mode}", group.get("nirjax")
        if mine is not None:
            tight = workload.partition("-")[0] in BOUND_BY_PRODUCTS
            bar = (1.25 if mode == "forward" else 1.5) if tight else 2.0
            if "limit" in group:
                yield Bar(name, "limit", _over(mine, group["limit"]), bar)
            if "handwritten" in group:
                yield Bar(name, "handwritten", _over(mine, group["handwritten"]), 1.0)
            if best := mine.get("best_peer"):
                yield Bar(name, f"best peer: {best}", mine["over_best_peer"], 0.5 if workload in TWICE else 1.0)
        if {"handwritten", "spyx"} <= set(group):
            yield Bar(name, "handwritten over spyx", _over(group["handwritten"], group["spyx"]), 1.0)


def _over(one: Found, other: Found) -> float:
    return statistics.median(a / b for a, b in zip(one["seconds"], other["seconds"], strict=False))


def _eager(content: Found) -> Iterator[Bar]:
    times = list(content["times_faster_than_eager_peers"].values())
    if times:
        yield Bar("all rows", "times faster than eager peers", statistics.geometric_mean(times), 10.0, least=True)


def _once(content: Found) -> Iterator[Bar]:
    calls, compiling = content["once"].get("a call"), content["once"].get("compiling")
    if calls:
        by_dict = calls["hand-written, jit(dict, x)"]
        yield Bar("a call", "model(x) over jit(dict, x)", calls["model(x)"] / by_dict, 1.3)
        yield Bar("a call", "jit(model, x) over jit(dict, x)", calls["jit(model, x)"] / by_dict, 1.3)
    if compiling:
        yield Bar("the paper's network", "seconds to compile, forward", compiling["cnn, forward"], 2.0)
        yield Bar("the paper's network", "seconds to compile, training", compiling["cnn, training step"], 5.0)


def as_markdown(content: Found) -> list[str]:
    """A table: row, bar, found, met."""
    bars = of(content)
    missed = [bar for bar in bars if not bar.met]
    lines = [f"{len(bars) - len(missed)} of {len(bars)} bars are met.", ""] if bars else []
    lines += ["| row | over | found | bar | met |", "|---|---|---|---|---|"] if bars else []
    for bar in bars:
        sign = "≥" if bar.least else "≤"
        lines.append(
            f"| {bar.row} | {bar.what} | {bar.found:.2f} | {sign} {bar.bar:g} | {'yes' if bar.met else '**no**'} |"
        )
    return lines
