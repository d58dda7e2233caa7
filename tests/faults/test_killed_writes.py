"""Writers that are killed: the path holds the old file or the new one, whole, and the next writer tidies up."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirjax.errors import FileError
from nirjax.ir import nodes as ir
from nirjax.ir.atomic import replace_file
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write

ROOT = Path(__file__).parents[2]
SIZES = (100_000, 200_000)

# Writes graphs of two sizes in turn for ever, and says when each write starts. `kind` is the signal's handling.
WRITER = """
import signal, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from nirjax.ir.hdf5 import write
from nirjax.ir.graph import NIRGraph
from nirjax.ir.nodes import Scale
if len(sys.argv) > 3:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
graphs = [NIRGraph.from_list(Scale(np.full(n, n, np.float32))) for n in (100_000, 200_000)]
while True:
    for graph in graphs:
        print(1, flush=True)
        write(sys.argv[2], graph, compression=None)
"""


def graph_of(size: int) -> NIRGraph:
    return NIRGraph.from_list(ir.Scale(np.full(size, size, np.float32)))


def kill_while_writing(path: Path, rng: np.random.Generator, sign: signal.Signals, *more: str) -> int:
    """Start a writer, kill it somewhere inside a write; its exit code."""
    command = [sys.executable, "-c", WRITER, str(ROOT), str(path), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        child.stdout.readline()
        start = time.monotonic()
        child.stdout.readline()
        once = time.monotonic() - start
        for _ in range(rng.integers(3)):
            child.stdout.readline()
        time.sleep(rng.uniform(0, min(once, 1)))
        child.send_signal(sign)
    return child.returncode


def size_in(path: Path) -> int:
    """Size of the one array in a file, which must be whole: all its values are its size."""
    scale = read(path, trusted=True).nodes["scale"].scale  # type: ignore[attr-defined]
    assert np.all(scale == scale.size)
    return int(scale.size)


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


def kills(folder: Path, count: int, seed: int) -> int:
    """So many killed writes: nothing is lost, and what they leave is gone after one write. Returns how many left
    something."""
    path, rng, left = folder / "a.nir", np.random.default_rng(seed), 0
    write(path, graph_of(SIZES[0]))
    for _ in range(count):
        assert kill_while_writing(path, rng, signal.SIGKILL) == -signal.SIGKILL
        assert size_in(path) in SIZES
        found = leftovers(folder)
        assert len(found) <= 1, "a writer removes what the one before it left"
        left += len(found)
    write(path, graph_of(SIZES[1]))
    assert os.listdir(folder) == ["a.nir"]
    assert size_in(path) == SIZES[1]
    return left


def test_after_a_kill_the_file_is_whole(tmp_path: Path) -> None:
    kills(tmp_path, 20, seed=0)


@pytest.mark.slow
def test_after_two_hundred_kills_the_file_is_whole(tmp_path: Path) -> None:
    assert kills(tmp_path, 200, seed=1) > 20, "the kills must hit writes, or this test tests nothing"


@pytest.mark.parametrize("handling", ["default", "exits"])
def test_a_request_to_end_is_no_worse_than_a_kill(handling: str, tmp_path: Path) -> None:
    path, rng = tmp_path / "a.nir", np.random.default_rng(2)
    write(path, graph_of(SIZES[0]))
    for _ in range(4):
        code = kill_while_writing(path, rng, signal.SIGTERM, *(["exits"] if handling == "exits" else []))
        # h5py answers an exit in the midst of its work with an error of its own, which ends the process too
        assert code in ((1, 3) if handling == "exits" else (-signal.SIGTERM,))
        assert size_in(path) in SIZES
        if handling == "exits":
            assert leftovers(tmp_path) == [], "a writer that ends in order leaves nothing"


def test_an_end_between_making_a_file_and_writing_it_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.nir"
    write(path, graph_of(SIZES[0]))
    monkeypatch.setattr("nirjax.ir.atomic.fcntl.lockf", lambda *_: sys.exit(3))
    with pytest.raises(SystemExit):
        write(path, graph_of(SIZES[1]))
    assert os.listdir(tmp_path) == ["a.nir"]
    assert size_in(path) == SIZES[0]


# ------------------------------------------------------------------------------------------------- what is tidied up


def abandoned(folder: Path, base: str = "a.nir", number: int = 0) -> Path:
    """A file as a killed writer leaves it."""
    path = folder / f".{base}.{12345 + number}.{number:08x}.tmp"
    path.write_bytes(b"half a fi")
    return path


def test_only_abandoned_files_of_the_same_target_are_removed(tmp_path: Path) -> None:
    gone = [abandoned(tmp_path, number=number) for number in range(3)]
    kept = [
        abandoned(tmp_path, "b.nir"),
        abandoned(tmp_path, "a.nir.a"),
        tmp_path / ".a.nir.tmp",
        tmp_path / ".a.nir.12.0000000g.tmp",
        tmp_path / "a.nir.12.00000000.tmp",
    ]
    for path in kept:
        path.touch()
    folder = tmp_path / ".a.nir.12.00000000.tmp"
    folder.mkdir()
    outside = tmp_path / "elsewhere"
    outside.touch()
    link = tmp_path / ".a.nir.13.00000000.tmp"
    link.symlink_to(outside)
    replace_file(tmp_path / "a.nir", b"new")
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in (*kept, folder, link, outside))


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    path = abandoned(tmp_path)
    code = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        replace_file(tmp_path / "a.nir", b"new")
        assert path.exists()
        busy.communicate("\n")
    replace_file(tmp_path / "a.nir", b"newer")
    assert not path.exists()


def test_a_file_of_another_thread_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / f".a.nir.{os.getpid()}.00000000.tmp"
    path.touch()
    replace_file(tmp_path / "a.nir", b"new")
    assert path.exists()


def test_a_file_that_is_taken_for_abandoned_too_early_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer's tidying falls between the making of a temporary file and its lock."""
    real, removed = fcntl.lockf, []

    def lockf(descriptor: int, how: int) -> None:
        if not removed:
            for path in tmp_path.glob(".*.tmp"):
                removed.append(path)
                path.unlink()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "lockf", lockf)
    replace_file(tmp_path / "a", b"new")
    assert len(removed) == 1
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("without", ["locks", "module"])
def test_a_system_without_locks_only_does_not_tidy_up(
    without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    if without == "locks":
        monkeypatch.setattr(fcntl, "lockf", none)
    else:
        monkeypatch.setattr("nirjax.ir.atomic.fcntl", None)
    path = abandoned(tmp_path)
    replace_file(tmp_path / "a.nir", b"new")
    assert (tmp_path / "a.nir").read_bytes() == b"new"
    assert path.exists()


@pytest.mark.parametrize("name", ["\N{SNAKE}" * 60, "x" * 250, "é" * 120])
def test_long_names(name: str, tmp_path: Path) -> None:
    replace_file(tmp_path / name, b"new")
    assert os.listdir(tmp_path) == [name]


# ------------------------------------------------------------------------------------------- sequences of all of it

_STEPS = st.lists(st.sampled_from(["write", "fail early", "fail late", "killed", "read"]), min_size=1, max_size=8)


@given(_STEPS)
@settings(max_examples=25, deadline=None)
def test_any_sequence_of_writes_failures_and_kills_keeps_what_was_written_last(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        path, folder, last = Path(name) / "a.nir", Path(name), None
        for number, step in enumerate(steps):
            graph = graph_of(number + 2)
            if step == "write":
                write(path, graph)
                last = graph
                assert os.listdir(folder) == ["a.nir"]
            elif step == "killed":
                abandoned(folder, number=number)
            elif step.startswith("fail"):
                with patch.context() as failing:
                    failing.setattr(os, "write" if step == "fail early" else "replace", _full)
                    with pytest.raises(FileError):
                        write(path, graph)
            elif last is None:
                with pytest.raises(FileError):
                    read(path, trusted=True)
            else:
                assert diff(read(path, trusted=True), last) == []


def _full(*_: object) -> int:
    raise OSError(28, "No space left on device")
