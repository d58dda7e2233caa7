"""Several processes that write the same file: each finds a whole one, and none disturbs another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from nirjax.ir.hdf5 import read

ROOT = Path(__file__).parents[2]
WRITERS, WRITES = 4, 25

WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from nirjax.ir.hdf5 import write
from nirjax.ir.graph import NIRGraph
from nirjax.ir.nodes import Scale
size = int(sys.argv[3])
graph = NIRGraph.from_list(Scale(np.full(size, size, np.float32)))
sys.stdin.readline()
for _ in range(int(sys.argv[4])):
    write(sys.argv[2], graph, compression=None)
"""


def test_processes_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    """Their tidying up, too: each looks for files that writers before it have left, while the others are writing."""
    path = tmp_path / "a.nir"
    sizes = [1000 + number for number in range(WRITERS)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(ROOT), str(path), str(size), str(WRITES)], stdin=subprocess.PIPE
        )
        for size in sizes
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            scale = read(path, trusted=True).nodes["scale"].scale  # type: ignore[attr-defined]
            assert np.all(scale == scale.size)
            seen.add(scale.size)
    assert [writer.returncode for writer in writers] == [0] * WRITERS
    assert seen <= set(sizes)
    assert os.listdir(tmp_path) == ["a.nir"]
