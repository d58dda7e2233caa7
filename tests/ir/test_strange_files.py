"""Files that are not in the corpus: each is right, or refused with its place, and no other file is opened."""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from ir import strange_content
from ir.strange_files import CASES, EDGES, SECRET, low, sound, swap, unfilled
from nirjax.errors import FileError, GraphError, NIRError, NIRWarning, ParameterError
from nirjax.ir import nodes as ir
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write
from nirjax.ir.raw import DEEPEST


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files lie, and the one that is not to be opened; also the working directory, as storage elsewhere is
    looked for there."""
    with h5py.File(tmp_path / SECRET, "w") as file:
        file["w"] = np.full((3, 3), 1234.5, np.float32)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> Iterator[int]:
    """A queue that has something in it once the secret file was opened (Linux's inotify)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        pytest.skip("no inotify here")
    queue = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(queue, os.fsencode(folder / SECRET), 0x20)
    yield queue
    os.close(queue)


def outcome(path: Path, trusted: bool) -> NIRGraph | NIRError:
    try:
        return read(path, trusted=trusted)
    except NIRError as error:
        return error


def judge(name: str, folder: Path, queue: int, trusted: bool) -> None:
    make, verdict = CASES[name]
    path = folder / "strange.nir"
    make(path)
    with pytest.raises(BlockingIOError):
        os.read(queue, 4096)
    found = outcome(path, trusted)
    if isinstance(found, NIRError):
        assert (type(found), found.node, found.field) == verdict
        assert found.file == str(path)
        assert str(found).isprintable()
    else:
        assert verdict is None
        assert diff(found, read(sound(folder / "sound.nir"), trusted=True)) == []
    with pytest.raises(BlockingIOError):
        os.read(queue, 4096)


def test_there_are_many() -> None:
    assert len(CASES) > 60
    assert strange_content.TYPES.keys() < CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_in_this_process(name: str, folder: Path, opened: int) -> None:
    judge(name, folder, opened, trusted=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_through_a_worker(name: str, folder: Path, opened: int) -> None:
    judge(name, folder, opened, trusted=False)


def test_the_watch_sees_what_is_opened(folder: Path, opened: int) -> None:
    h5py.File(folder / SECRET).close()
    assert os.read(opened, 4096)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("layout", ["contiguous", "chunked", "lzf"])
def test_what_was_never_stored_is_zero(trusted: bool, layout: str, tmp_path: Path) -> None:
    """And not what the reader's memory held before."""
    used = [np.full(size, 7, np.float32) for size in (100, 10_000, 10**6) for _ in range(20)]
    del used
    plist = unfilled()
    if layout != "contiguous":
        plist.set_chunk((10, 100))
    if layout == "lzf":
        plist.set_filter(32000, h5py.h5z.FLAG_OPTIONAL, (0, 0, 4000))
    with h5py.File(sound(tmp_path / "a.nir"), "a") as file:
        for name in list(file["node/nodes"]):
            del file["node/nodes"][name]
        swap(file, EDGES, shape=(0, 2), dtype="f4")
        for side in (10, 100, 1000):
            file[f"node/nodes/w{side}/type"] = "Linear"
            low(file, f"node/nodes/w{side}/weight", h5py.h5t.IEEE_F32LE, (side, 100), plist)
    nodes = read(tmp_path / "a.nir", trusted=trusted).nodes
    assert len(nodes) == 3
    assert not any(np.any(node.weight) for node in nodes.values())


@pytest.mark.parametrize("trusted", [True, False])
def test_a_file_that_changes_while_it_is_read(trusted: bool, tmp_path: Path) -> None:
    """Right, or refused: never half of one and half of the other."""
    first, second = (NIRGraph.from_list(ir.Scale(np.full(50_000, value, np.float32))) for value in (1, 2))
    images = []
    for graph in (first, second):
        write(tmp_path / "a.nir", graph, compression=None)
        images.append((tmp_path / "a.nir").read_bytes())
    path, done = tmp_path / "b.nir", threading.Event()
    shutil.copy(tmp_path / "a.nir", path)

    def change() -> None:
        with open(path, "r+b", buffering=0) as file:
            while not done.is_set():
                for image in images:
                    file.seek(0)
                    file.write(image)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(40 if trusted else 3):
            found = outcome(path, trusted)
            if isinstance(found, NIRGraph):
                assert len(np.unique(found.nodes["scale"].scale)) == 1  # type: ignore[attr-defined]
    finally:
        done.set()
        thread.join()


# ------------------------------------------------------------------------------------- what is written is read again


def test_names_of_as_many_parts_as_can_be_read_are_written(tmp_path: Path) -> None:
    scale = ir.Scale(np.ones(1, np.float32))
    inner = NIRGraph({"/".join("ab" * 30): scale}, ())
    for name, graph in {
        "parts": NIRGraph({"/".join("a" * DEEPEST): scale}, ()),
        "parts and levels": NIRGraph({"/".join("c" * (DEEPEST - 60)): inner}, ()),
    }.items():
        write(tmp_path / name, graph)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NIRWarning)
            assert diff(read(tmp_path / name, trusted=True), graph) == []
    for graph in (
        NIRGraph({"/".join("a" * (DEEPEST + 1)): scale}, ()),
        NIRGraph({"/".join("c" * (DEEPEST - 59)): inner}, ()),
    ):
        with pytest.raises(GraphError, match="too deep") as caught:
            write(tmp_path / "deeper", graph)
        assert caught.value.field == "nodes"
        assert not (tmp_path / "deeper").exists()


def test_metadata_as_deep_as_can_be_read_is_written(tmp_path: Path) -> None:
    def deep(levels: int) -> NIRGraph:
        metadata: dict[str, object] = {"x": 1}
        for _ in range(levels - 1):
            metadata = {"a": metadata}
        return NIRGraph({}, (), metadata=metadata)

    write(tmp_path / "a.nir", deep(DEEPEST))
    assert diff(read(tmp_path / "a.nir", trusted=True), deep(DEEPEST)) == []
    with pytest.raises(ParameterError, match="too deep"):
        write(tmp_path / "b.nir", deep(DEEPEST + 1))


def test_an_empty_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.nir").touch()
    for trusted in (True, False):
        with pytest.raises(FileError, match="empty"):
            read(tmp_path / "a.nir", trusted=trusted)
