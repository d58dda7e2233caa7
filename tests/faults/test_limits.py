"""Disks and quotas that are full: an error, the old file, no litter."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nirjax.errors import CheckpointError, FileError
from nirjax.finetuning.checkpoints import Checkpoints
from nirjax.ir import nodes as ir
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write

ROOT = Path(__file__).parents[2]
SMALL = NIRGraph.from_list(ir.Scale(np.ones(3, np.float32)))
LARGE = NIRGraph.from_list(ir.Scale(np.random.default_rng(0).normal(size=500_000)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux"):
        pytest.skip("mounting is that of Linux")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk(disk: Path) -> None:
    path = disk / "a.nir"
    write(path, SMALL)
    for _ in range(3):
        with pytest.raises(FileError, match="No space left") as caught:
            write(path, LARGE)
        assert caught.value.file == str(path)
        assert os.listdir(disk) == ["a.nir"]
        assert diff(read(path, trusted=True), SMALL) == []
    write(path, NIRGraph.from_list(ir.Scale(np.ones(3, np.float32)), ir.Scale(np.ones(3, np.float32))))
    assert len(read(path, trusted=True).nodes) == 4


def test_checkpoints_on_a_full_disk(disk: Path) -> None:
    """The one before stays, and is found; what was begun is gone with the next that fits."""
    checkpoints = Checkpoints.at(disk, run="this")
    rng = np.random.default_rng(0)
    checkpoints.save(1, {"a": np.arange(10)})
    for step in (2, 3):
        with pytest.raises(CheckpointError, match="cannot be written") as caught:
            checkpoints.save(step, {"a": rng.normal(size=500_000)})
        assert caught.value.file is not None
        found = Checkpoints.at(disk, run="this").newest()
        assert found is not None
        np.testing.assert_array_equal(found["a"], np.arange(10))
    checkpoints.save(4, {"a": np.arange(20)})
    assert checkpoints.steps() == [4, 1]
    assert {name for name in os.listdir(disk) if "2" in name or "3" in name} == set()


@pytest.mark.parametrize("handling", ["SIG_IGN", "SIG_DFL"])
def test_a_limit_on_the_size_of_files(handling: str, tmp_path: Path) -> None:
    """The system says so with a signal, too, which Python ignores; where somebody took that back, it is a kill."""
    path = tmp_path / "a.nir"
    write(path, SMALL)
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from nirjax.ir.hdf5 import write
from nirjax.ir.graph import NIRGraph
from nirjax.ir.nodes import Scale
from nirjax.errors import FileError
signal.signal(signal.SIGXFSZ, signal.{handling})
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    write({str(path)!r}, NIRGraph.from_list(Scale(np.random.default_rng(0).normal(size=500_000))))
except FileError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if handling == "SIG_IGN":
        assert str(path) in done.stdout
        assert "File too large" in done.stdout
        assert os.listdir(tmp_path) == ["a.nir"]
    assert diff(read(path, trusted=True), SMALL) == []
    write(path, SMALL)
    assert os.listdir(tmp_path) == ["a.nir"]


def test_reading_under_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """Memory that is shared with the worker counts as a file; where it cannot be had, arrays come through the pipe."""
    path = tmp_path / "a.nir"
    write(path, LARGE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        assert diff(read(path), LARGE) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    path = tmp_path / "a.nir"
    write(path, SMALL)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FileError, match="denied"):
            write(path, LARGE)
    finally:
        tmp_path.chmod(0o700)
    assert diff(read(path, trusted=True), SMALL) == []
