"""An evaluation that is killed: `python victim.py FOLDER WHEN [SECONDS | WRITES]`.

after SECONDS      the kernel ends it so long after its first shard began to be written, wherever it is
before WRITES      killed when the last of so many shards has been written, but not yet put in its place
behind WRITES      killed when it has been put there
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

COUNT, STEPS, SIZE = 1600, 6, 4
"""Recordings, and how many in a batch."""


def data() -> tuple[np.ndarray, np.ndarray]:
    """Recordings and labels."""
    from evaluation.scenarios import ragged

    first = ragged(COUNT)
    return np.stack([np.resize(x, (STEPS, 6)) for x, _ in first]), np.array([y for _, y in first])


def evaluated(folder: Path) -> Any:
    """The evaluation that is to be done."""
    import nirjax
    from evaluation.scenarios import on_grid
    from nirjax.evaluation import folder as folders

    folders.SHARD_SAMPLES = 2 * SIZE
    return nirjax.evaluate(on_grid(), data(), batch_size=SIZE, record="lif2.v", output=folder)


def main() -> None:
    folder, when, number = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    replace, done = os.replace, []

    def replacing(source: Any, target: Any) -> None:
        is_shard = "samples_" in os.fspath(target)
        done.extend([target] * is_shard)
        if is_shard and when == "after" and len(done) == 1:
            signal.setitimer(signal.ITIMER_REAL, number)
        if is_shard and when == "before" and len(done) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if is_shard and when == "behind" and len(done) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replacing
    evaluated(folder)


if __name__ == "__main__":
    main()
