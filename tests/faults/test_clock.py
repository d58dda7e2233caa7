"""A clock that jumps, backwards too: no limit and no file depends on the time of day."""

from __future__ import annotations

import ast
import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

from nirjax.ir import nodes as ir
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write

PACKAGE = Path(__file__).parents[2] / "nirjax"
GRAPH = NIRGraph.from_list(ir.Scale(np.ones(3, np.float32)))


def test_nothing_asks_for_the_time_of_day() -> None:
    """What counts seconds counts them by a clock that only goes forward."""
    wrong = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            named = isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.time", "time.time_ns")
            dated = isinstance(node, ast.Import | ast.ImportFrom) and "datetime" in ast.unparse(node)
            if named or dated:
                wrong.append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    assert wrong == []


def test_a_jump_while_reading_and_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = itertools.cycle([0.0, 4e9, -1e6, 1e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    for _ in range(2):
        write(tmp_path / "a.nir", GRAPH)
        assert diff(read(tmp_path / "a.nir"), GRAPH) == []


@pytest.mark.parametrize("seconds", [0, -(10**9), 2**33])
def test_files_from_another_age(seconds: int, tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    write(path, GRAPH)
    os.utime(path, (seconds, seconds))
    assert diff(read(path), GRAPH) == []
    write(path, GRAPH)
    assert path.stat().st_mtime > 10**9
