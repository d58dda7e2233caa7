"""Runs scenarios in a process of their own.

    python running.py everything+spread|together|dying RESULTS.npz [PORT INDEX COUNT]

runs them here, as one of several processes where these are given, and writes what it found.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from evaluation.over_devices import spread
from evaluation.over_processes import dying, together, uninterrupted
from evaluation.scenarios import every_golden, everything


def main() -> None:
    mode, results, *joined = sys.argv[1:]
    if joined:
        import jax

        port, index, count = map(int, joined)
        jax.distributed.initialize(f"127.0.0.1:{port}", count, index, heartbeat_timeout_seconds=10)
    found = {}
    for run in (everything, every_golden, uninterrupted, spread, together, dying):
        if run.__name__ in mode.split("+"):
            found |= run(Path(results).parent)
    np.savez(results, **found)


if __name__ == "__main__":
    main()
