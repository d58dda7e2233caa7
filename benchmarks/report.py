"""The rows of a run as JSON and as Markdown tables.

python -m benchmarks.report benchmarks/results/cpu.json         prints the tables of an earlier run
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import bars
from benchmarks.environments import OWN
from benchmarks.measure import REFERENCE, SLOW, SLOW_ROUNDS, VERY_SLOW, Row

EAGER = ("norse", "snntorch", "sinabs", "spikingjelly", "nirtorch", "rockpool_torch")
"""Peers that run step by step, uncompiled."""


def machine() -> dict[str, Any]:
    """What the run ran on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def is_peer(row: Row) -> bool:
    return row.contender.partition(":")[0] not in OWN


def grouped(rows: Sequence[Row]) -> Iterable[list[Row]]:
    """The rows of one workload and mode, table by table."""
    for key in dict.fromkeys((row.workload, row.mode) for row in rows):
        yield [row for row in rows if (row.workload, row.mode) == key]


def figures(row: Row, group: Sequence[Row]) -> dict[str, Any]:
    """A row as JSON, with its ratios to the limit and to the best peer."""
    found: dict[str, Any] = asdict(row) | {"median": row.median}
    if row.seconds:
        found["quartiles"] = row.spread
    if row.counts:
        limit = next((other for other in group if other.contender == REFERENCE and other.counts), None)
        peers = [other for other in group if is_peer(other) and other.counts and other is not row]
        found["over_limit"] = row.over(limit) if limit else None
        best = min(peers, key=lambda other: other.median or math.inf, default=None)
        found["best_peer"] = best.contender if best else None
        found["over_best_peer"] = row.over(best) if best else None
    return found


def progress(row: Row, rows: Sequence[Row]) -> str:
    """A line for the terminal."""
    if row.median is None:
        return f"{row.workload:14} {row.mode:9} {row.contender:34} {row.trouble}"
    limit = next((r for r in rows if (r.workload, r.mode, r.contender) == (row.workload, row.mode, REFERENCE)), None)
    ratio = f"{row.over(limit):6.2f} times the limit" if limit and limit.seconds else ""
    return f"{row.workload:14} {row.mode:9} {row.contender:34} {1e3 * row.median:9.2f} ms {ratio} {row.trouble}"


def eager_means(rows: Sequence[Row]) -> dict[str, float]:
    """How many times nirjax is faster than each eager peer, as a geometric mean over the rows that both have."""
    found = {}
    for peer in EAGER:
        pairs = []
        for group in grouped(rows):
            mine = next((row for row in group if row.contender == "nirjax" and row.counts), None)
            other = next((row for row in group if row.contender == peer and row.counts), None)
            if mine and other:
                pairs.append(other.over(mine))
        if pairs:
            found[peer] = statistics.geometric_mean(pairs)
    return found


def as_json(rows: Sequence[Row], once: dict[str, dict[str, float]], versions: dict[str, str], command: str) -> str:
    """Everything that was measured."""
    content = {
        "command": command,
        "machine": machine(),
        "versions": versions,
        "rows": [figures(row, group) for group in grouped(rows) for row in group],
        "times_faster_than_eager_peers": eager_means(rows),
        "once": once,
    }
    return json.dumps(content, indent=1) + "\n"


def as_markdown(content: dict[str, Any]) -> str:
    """The table, from the JSON."""
    host, versions = content["machine"], content["versions"]
    lines = [
        "# Benchmarks",
        "",
        f"`{content['command']}` on {host['processor']}, {host['cores']} cores, {host['memory_gib']} GiB, "
        f"{host['system']}; " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "Medians over rounds in which the contenders take turns, with quartiles; a ratio is the median over rounds of "
        "the quotient within one round. A training step is the loss, the gradient of weights and biases (where there "
        "are none, of the input), and one SGD update. The limit is the same products with nothing between them. "
        "Mismatch: share of outputs that differ from nirjax's, step by step, under that contender's dialect. "
        "Rows with a mismatch, in bold, are left out of every ratio and mean. A contender that takes over "
        f"{SLOW:g} s a call has {SLOW_ROUNDS} rounds, one that takes over {VERY_SLOW:g} s a single call. "
        "MiB: temporary memory of the compiled program; compile: in seconds.",
        "",
        *bars.as_markdown(content),
        "",
        "| workload | mode | contender | ms | quartiles | rounds | / limit | / best peer | mismatch | MiB | compile |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in content["rows"]]
    for peer, times in content["times_faster_than_eager_peers"].items():
        lines.append("")
        lines.append(f"nirjax is {times:.1f} times faster than {peer}, as a geometric mean over the rows of both.")
    for title, seconds in content["once"].items():
        lines += ["", f"| {title} | ms |", "|---|---|"]
        lines += [f"| {name} | {1e3 * value:.2f} |" for name, value in seconds.items()]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    def shown(value: float | None, scale: float = 1.0, digits: int = 2) -> str:
        return "" if value is None else f"{scale * value:.{digits}f}"

    facts = row["facts"]
    temporary = facts.get("temporary_bytes")
    quartiles = "–".join(shown(value, 1e3) for value in row.get("quartiles", ()))
    best = row.get("over_best_peer")
    mismatch = "" if row["mismatch"] is None else f"{100 * row['mismatch']:.2g} %"
    cells = [
        row["workload"],
        row["mode"],
        row["contender"],
        shown(row["median"], 1e3) or "–",
        quartiles,
        str(len(row["seconds"]) or ""),
        shown(row.get("over_limit")),
        f"{best:.2f} ({row['best_peer']})" if best else "",
        f"{mismatch} {'**' + row['trouble'] + '**' if row['trouble'] else ''}".strip(),
        shown(temporary and temporary / 2**20, digits=1),
        shown(facts.get("compile_seconds")),
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(as_markdown(json.loads(Path(sys.argv[1]).read_text())), end="")
