"""Everything of this folder, as tables.

    python -m benchmarks.scale.run [--quick] [--paper FOLDER] [--rounds N] [--out NAME]

Each network has a process of its own; nothing else should run beside it. Where an accelerator is at hand JAX finds it,
and batch sizes, shares of the bare products and the cost model are its. `--quick` measures fewer batch sizes and no
virtual devices, in 90 seconds at most. Nothing is needed but nirjax's own dependencies: without the NIR paper's files
(`--paper`, or NIR_PAPER in the environment) seeded networks of the same shapes are taken, and named so. `--out NAME`
writes NAME.json and NAME.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import workloads
from benchmarks.scale import tables
from benchmarks.scale.networks import NETWORKS

DEVICES = (1, 2, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer batch sizes, and no virtual devices")
    parser.add_argument("--paper", type=Path, default=Path(os.environ.get("NIR_PAPER", workloads.PAPER)))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write NAME.json and NAME.md")
    args = parser.parse_args()
    extent = "quick" if args.quick else "all"
    alone = [worker(args, name, extent) for name in NETWORKS]
    numbers = () if args.quick else DEVICES
    shared = [worker(args, name, "shared", devices=n) for name in NETWORKS for n in numbers]
    words = [f"--rounds {args.rounds}", *(["--quick"] if args.quick else [])]
    text = tables.document(f"python -m benchmarks.scale.run {' '.join(words)}", alone, shared)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.with_suffix(".json").write_text(json.dumps({"alone": alone, "shared": shared}, indent=1) + "\n")
        args.out.with_suffix(".md").write_text(text)


def worker(args: argparse.Namespace, name: str, extent: str, devices: int | None = None) -> dict[str, Any]:
    """The measurements of one process, with so many virtual devices where they are given."""
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "0"}
    if devices is not None:
        environment |= {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "benchmarks.scale.worker", name, args.paper.absolute(), args.rounds, extent]
    done = subprocess.run(
        [str(word) for word in command], cwd=workloads.ROOT, env=environment, stdout=subprocess.PIPE, check=True
    )
    print(done.stdout.decode().strip(), file=sys.stderr, flush=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    main()
