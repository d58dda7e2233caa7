"""Everything of this folder, as tables.

    python -m benchmarks.scale.run [--paper FOLDER] [--rounds N] [--json FILE]

Each measurement has a process of its own; nothing else should run beside it. Where an accelerator is at hand JAX finds
it, and the table of batch sizes is its.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import workloads
from benchmarks.scale.cost_model import ACCELERATORS, cost

WORKLOADS = {
    "braille": ("Braille", 256, (1, 16, 64, 256), 64),
    "conv-16": ("N-MNIST CNN", 100, (1, 4, 16), 16),
}
"""Name to title, time steps, batch sizes, and the batch that is shared among devices."""

DEVICES = (1, 2, 4, 8)
SHARES = (0.01, 0.1)
"""Of an accelerator's peak, for the cost model: a small network and a middling one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paper", type=Path, default=workloads.PAPER, help="the NIR paper's files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all numbers here")
    args = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {"batch": [], "devices": [], "pieces": []}
    for name, (title, steps, batches, shared) in WORKLOADS.items():
        file = args.paper / {"conv-16": workloads.CNN, "braille": workloads.BRAILLE}[name]
        if not file.is_file():
            print(f"{title}: skipped, {file} is not here")
            continue
        found["batch"] += [worker("throughput", args, name, steps, batch) for batch in batches]
        found["devices"] += [worker("throughput", args, name, steps, shared, devices=n) for n in DEVICES]
        found["pieces"].append(worker("pieces", args, name, steps))
    for line in tables(found):
        print(line)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def worker(module: str, args: argparse.Namespace, *what: Any, devices: int | None = None) -> dict[str, Any]:
    """One measurement in a process of its own, with so many virtual devices where they are given."""
    environment = dict(os.environ)
    if devices is not None:
        environment |= {
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
            "JAX_PLATFORMS": "cpu",
        }
    command = [sys.executable, "-m", f"benchmarks.scale.{module}", args.paper, *what, args.rounds]
    done = subprocess.run(
        [str(word) for word in command], cwd=workloads.ROOT, env=environment, stdout=subprocess.PIPE, check=True
    )
    print(done.stdout.decode().strip(), file=sys.stderr, flush=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def tables(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """The numbers as Markdown."""
    yield from ("", "| network | batch | bare products, 1/s | model, 1/s | evaluate, 1/s | evaluate of bare |")
    yield "|---|---|---|---|---|---|"
    for row in found["batch"]:
        rates = " | ".join(f"{row[key]:,.0f}" for key in ("bare", "model", "evaluate"))
        yield f"| {title(row)} | {row['batch']} | {rates} | {row['evaluate_share']:.2f} |"
    yield from ("", "| network | virtual devices | evaluate, 1/s | of one device |", "|---|---|---|---|")
    for row in found["devices"]:
        one = next(r for r in found["devices"] if r["workload"] == row["workload"] and r["devices"] == 1)
        share = row["evaluate"] / one["evaluate"]
        yield f"| {title(row)} | {row['devices']} | {row['evaluate']:,.0f} | {share:.2f} |"
    yield from (
        "",
        "| network | start, s | take, us | send, GB/s | write, us | bytes | Mflop |",
        "|---|---|---|---|---|---|---|",
    )
    for row in found["pieces"]:
        flops = flops_of(found, row) / 1e6
        yield (
            f"| {title(row)} | {row['start']:.1f} | {row['take'] * 1e6:.1f} | {1e-9 / row['send']:.1f} | "
            f"{row['write'] * 1e6:.2f} | {row['bytes']:,} | {flops:,.1f} |"
        )
    yield from ("", f"| network | share of peak | {' | '.join(map(str, ACCELERATORS))} | limit |")
    yield "|---|---|" + "---|" * (len(ACCELERATORS) + 1)
    for row in found["pieces"]:
        for share in SHARES:
            pieces = {key: row[key] for key in ("take", "write", "start")}
            costs = [
                cost(flops_of(found, row), row["bytes"], **pieces, share=share, accelerators=n) for n in ACCELERATORS
            ]
            seconds = " | ".join(f"{one.seconds:,.0f} s" for one in costs)
            yield f"| {title(row)} | {share:.0%} | {seconds} | {costs[0].limit} |"


def title(row: dict[str, Any]) -> str:
    """The network's name."""
    return f"{WORKLOADS[row['workload']][0]}, {row['time']} steps"


def flops_of(found: dict[str, list[dict[str, Any]]], row: dict[str, Any]) -> float:
    """Of one recording."""
    return float(next(one for one in found["batch"] if one["workload"] == row["workload"])["flops_per_recording"])


if __name__ == "__main__":
    main()
