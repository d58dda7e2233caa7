"""Writing: whole or not at all, and only what can be read again."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirjax.errors import ArgumentError, FileError, GraphError, NIRError, ParameterError, ShapeError
from nirjax.ir import nodes as ir
from nirjax.ir.atomic import replace_file
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write

ROOT = Path(__file__).parents[2]
GRAPH = NIRGraph.from_list(ir.Scale(np.ones(3, np.float32)))
SCALE = ir.Scale(np.ones(3, np.float32))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nir"
    write(path, GRAPH)
    real = os.write

    def full(descriptor: int, data: Any) -> int:
        if len(data) > 100:
            return real(descriptor, data[:100])
        raise OSError(28, "No space left on device")

    for name, failing in (("write", full), ("fsync", lambda _: full(0, b"")), ("replace", lambda *_: full(0, b""))):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing)
            with pytest.raises(FileError, match="No space left") as caught:
                write(path, NIRGraph.from_list(SCALE, SCALE))
        assert caught.value.file == str(path)
        assert os.listdir(tmp_path) == ["a.nir"]
        assert diff(read(path, trusted=True), GRAPH) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_the_old_file(error: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.nir", GRAPH)

    def interrupted(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(error):
        write(tmp_path / "a.nir", NIRGraph.from_list(SCALE, SCALE))
    assert os.listdir(tmp_path) == ["a.nir"]
    assert diff(read(tmp_path / "a.nir", trusted=True), GRAPH) == []


def test_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    graphs = [NIRGraph.from_list(ir.Scale(np.full(1000 + i, i, np.float32))) for i in range(4)]

    def work(graph: NIRGraph) -> None:
        for _ in range(5):
            write(path, graph)

    threads = [threading.Thread(target=work, args=(graph,)) for graph in graphs]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            scale = read(path, trusted=True).nodes["scale"].scale
            assert np.all(scale == scale.size - 1000)
    assert os.listdir(tmp_path) == ["a.nir"]


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "a.nir", tmp_path / "link.nir"
    write(path, GRAPH)
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode), "a new file has the usual ones"
    path.chmod(0o640)
    link.symlink_to(path)
    write(link, NIRGraph.from_list(SCALE, SCALE))
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(read(path, trusted=True).nodes) == 4


@pytest.mark.parametrize("target", ["missing/a.nir", ".", "/dev/null", "a\0b"])
def test_where_nothing_can_be_written(target: str, tmp_path: Path) -> None:
    with pytest.raises(FileError):
        write(f"{tmp_path}/{target}" if not target.startswith("/") else target, GRAPH)


def test_bytes_of_any_kind(tmp_path: Path) -> None:
    replace_file(tmp_path / "a", b"")
    replace_file(tmp_path / "a", memoryview(b"abc"))
    assert (tmp_path / "a").read_bytes() == b"abc"


# ---------------------------------------------------------------------------------------------- what can be written


@pytest.mark.parametrize("compression", ["zip", 10, -1, True, 1.5])
def test_compressions_that_are_none(compression: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        write(tmp_path / "a.nir", GRAPH, compression=compression)
    assert caught.value.field == "compression"


@pytest.mark.parametrize("name", [".", "a//b", "/a", "a/", "a/./b", "\ud800"])
def test_names_that_hdf5_cannot_hold(name: str, tmp_path: Path) -> None:
    with pytest.raises(GraphError) as caught:
        write(tmp_path / "a.nir", NIRGraph({"sub": NIRGraph({name: SCALE})}))
    assert caught.value.field == "nodes"
    assert str(caught.value).isprintable()


def test_a_node_cannot_lie_in_another(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="inside another"):
        write(tmp_path / "a.nir", NIRGraph({"a": SCALE, "a/b": SCALE}))


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": None},
        {"a": object()},
        {"a": np.array([None, 1], object)},
        {"a": "NUL \0"},
        {"a": np.zeros(2, "V3")},
        {"a": np.array(["2020-01-01"], "datetime64[D]")},
        {"a": np.zeros(1, np.longdouble)},
        {"a": {"b": {"c": None}}},
        {"a/b": 1},
        {".": 1},
        {"": 1},
        {"a": "\ud800"},
    ],
)
def test_metadata_that_hdf5_cannot_hold(metadata: dict[str, Any], tmp_path: Path) -> None:
    node = ir.Scale(np.ones(3), metadata=metadata)
    with pytest.raises(ParameterError) as caught:
        write(tmp_path / "a.nir", NIRGraph({"sub": NIRGraph({"x": node})}))
    assert caught.value.node == "sub.x"
    assert caught.value.field.startswith("metadata")
    assert not list(tmp_path.iterdir())


def test_a_graph_that_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    nodes = {"in": ir.Input((2,)), "s": SCALE, "out": ir.Output((3,))}
    with pytest.raises(ShapeError) as caught:
        write(tmp_path / "a.nir", NIRGraph(nodes, (("in", "s"), ("s", "out"))))
    assert (caught.value.node, caught.value.file) == ("s", str(tmp_path / "a.nir"))
    with pytest.raises(ArgumentError):
        write(tmp_path / "a.nir", SCALE)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_errors_are_nirjax_errors() -> None:
    assert issubclass(FileError, NIRError)
