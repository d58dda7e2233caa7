"""What is written is what is read, by nirjax and by the reference package, both ways."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ir.random_graphs import graphs
from nirjax.errors import NIRWarning
from nirjax.ir import nodes as ir
from nirjax.ir.diff import Difference, diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write
from nirjax.ir.raw import DEEPEST
from nirjax.ir.reference import from_reference

DATA = Path(__file__).parents[1] / "data"
_SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)


def quietly(function: Any, *args: Any, **options: Any) -> Any:
    """Call a function without the warnings of oddly wired random graphs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NIRWarning)
        return function(*args, **options)


def different(found: NIRGraph, expected: NIRGraph) -> list[Difference]:
    """Differences but in byte order: the reference package keeps single numbers, and w_in, in the machine's own."""
    return [d for d in diff(found, expected) if d.kind != "dtype" or _native(d.a) != _native(d.b)]


def _native(dtype: str) -> np.dtype:
    return np.dtype(dtype).newbyteorder("=")


@given(graph=graphs())
@_SETTINGS
def test_what_is_written_is_read(graph: NIRGraph, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "own.nir"
    write(path, graph)
    assert diff(quietly(read, path, trusted=True), graph) == []


@given(graph=graphs())
@_SETTINGS
def test_the_reference_package_reads_what_is_written(graph: NIRGraph, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "own.nir"
    write(path, graph)
    assert different(from_reference(nir.read(path, type_check=False)), graph) == []


@given(graph=graphs(declared=True))
@_SETTINGS
def test_what_the_reference_package_writes_is_read(graph: NIRGraph, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "reference.nir"
    nir.write(path, graph.to_reference(), compression="gzip")
    found = different(quietly(read, path, trusted=True), graph)
    # the reference package's files list nodes by name
    assert [difference for difference in found if difference.kind != "node order"] == []


@given(graph=graphs())
@_SETTINGS
def test_reference_objects_and_back(graph: NIRGraph) -> None:
    assert different(from_reference(graph.to_reference()), graph) == []


@pytest.mark.parametrize("compression", ["gzip", "lzf", "szip", None, 0, 9])
def test_every_compression(compression: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-9, 9, (300, 70)).astype(np.float32)
    ones = np.ones(300, np.float32)
    graph = NIRGraph.from_list(ir.Linear(weight), ir.LIF(ones, ones, ones, ones, ones), ir.Scale(np.ones(300, ">f8")))
    write(tmp_path / "a.nir", graph, compression=compression)
    assert diff(read(tmp_path / "a.nir", trusted=True), graph) == []
    assert diff(read(tmp_path / "a.nir"), graph) == []
    assert diff(from_reference(nir.read(tmp_path / "a.nir")), graph) == []


def test_large_arrays_come_in_pieces(tmp_path: Path) -> None:
    """Datasets over the size that the worker hands over at once: contiguous, in chunks, with chunks not stored."""
    weight = np.random.default_rng(0).normal(size=(3000, 2001)).astype(np.float32)
    for options in ({}, {"chunks": (1024, 500)}, {"chunks": (1024, 500), "compression": 1, "shuffle": True}):
        with h5py.File(tmp_path / "a.nir", "w") as file:
            file["version"] = "1.0.8"
            group = file.create_group("node")
            group["type"] = "NIRGraph"
            for name, kind, shape in (("in", "Input", 2001), ("out", "Output", 3000)):
                group[f"nodes/{name}/type"], group[f"nodes/{name}/shape"] = kind, np.array([shape])
            group["nodes/w/type"] = "Linear"
            data = group["nodes/w"].create_dataset("weight", weight.shape, "f4", fillvalue=0.5, **options)
            data[:2048] = weight[:2048]
            group["edges"] = [["in", "w"], ["w", "out"]]
        expected = np.where(np.arange(3000)[:, None] < 2048, weight, np.float32(0.5))
        for trusted in (True, False):
            node = read(tmp_path / "a.nir", trusted=trusted).nodes["w"]
            np.testing.assert_array_equal(node.weight, expected)


def test_the_deepest_nesting(tmp_path: Path) -> None:
    graph = NIRGraph({"s": ir.Scale(np.ones(1, np.float32))}, ())
    for _ in range(DEEPEST - 1):
        graph = NIRGraph({"s": graph}, ())
    write(tmp_path / "a.nir", graph)
    for trusted in (True, False):
        assert diff(quietly(read, tmp_path / "a.nir", trusted=trusted), graph) == []


@pytest.mark.parametrize("trusted", [True, False])
def test_metadata_comes_back(trusted: bool, tmp_path: Path) -> None:
    metadata = {
        "word": "ニューロン",
        "empty": "",
        "number": 0.1,
        "count": 3,
        "yes": True,
        "complex": 1 + 2j,
        "deep": {"a": {"b": {"c": np.arange(3, dtype=np.int16)}}, "none": {}},
        "words": ["a", "é", ""],
        "bytes": np.array([b"ab", b"c"]),
        "type": "not a node",
        "big endian": np.arange(3, dtype=">i4"),
    }
    graph = NIRGraph(
        {"in": ir.Input((1,), metadata={"lr": 0.5}), "out": ir.Output((1,))}, (("in", "out"),), metadata=metadata
    )
    write(tmp_path / "a.nir", graph)
    found = read(tmp_path / "a.nir", trusted=trusted)
    assert diff(found, graph) == []
    assert list(found.metadata) == list(metadata), "in order"
    theirs = nir.read(tmp_path / "a.nir").metadata
    for name in ("word", "empty", "number", "count", "yes", "complex", "type"):
        assert found.metadata[name] == theirs[name] == metadata[name]
        assert type(found.metadata[name]) is type(theirs[name])
    assert found.metadata["words"].tolist() == theirs["words"].tolist() == [b"a", "é".encode(), b""]
    assert found.nodes["in"].metadata["lr"] == 0.5


def test_the_order_of_nodes_survives(tmp_path: Path) -> None:
    scale = ir.Scale(np.ones(2, np.float32))
    names = ["z", "in", "b", "a", "10", "9", "out"]
    nodes = dict.fromkeys(names, scale) | {"in": ir.Input((2,)), "out": ir.Output((2,))}
    graph = NIRGraph(nodes, tuple(("in", name) for name in names if name != "in"))
    write(tmp_path / "a.nir", graph)
    assert list(read(tmp_path / "a.nir", trusted=True).nodes) == names
    assert list(read(tmp_path / "a.nir").nodes) == names
    assert list(nir.read(tmp_path / "a.nir", type_check=False).nodes) == names


def test_a_name_with_slashes_is_levels_of_groups(tmp_path: Path) -> None:
    """That is what nir.write makes of it; the reference package cannot read it back."""
    scale = nir.Scale(np.ones(2, np.float32))
    nodes = {"in": nir.Input(np.array([2])), "a/b/c": scale, "a/d": scale, "out": nir.Output(np.array([2]))}
    theirs = nir.NIRGraph(nodes, [("in", "a/b/c"), ("a/b/c", "a/d"), ("a/d", "out")])
    nir.write(tmp_path / "theirs.nir", theirs)
    graph = read(tmp_path / "theirs.nir", trusted=True)
    assert set(graph.nodes) == set(nodes)
    write(tmp_path / "own.nir", graph)
    assert diff(read(tmp_path / "own.nir"), graph) == []


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    graph = read(DATA / "battery" / "p_conv2d.nir", trusted=True)
    write(tmp_path / "a.nir", graph)
    write(tmp_path / "b.nir", graph)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


_FILES = sorted((DATA / "golden").rglob("*.nir")) + sorted((DATA / "battery").glob("*.nir"))


@pytest.mark.parametrize("path", _FILES, ids=lambda path: "-".join(path.relative_to(DATA).parts))
def test_real_files_come_back_whole(path: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = read(path, trusted=True, repair=True)
    write(tmp_path / "a.nir", graph)
    assert diff(quietly(read, tmp_path / "a.nir", trusted=True), graph) == []


def test_the_papers_files_come_back_whole(paper: Path, tmp_path: Path) -> None:
    for path in sorted(paper.glob("*.nir")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = read(path, trusted=True, repair=True)
        write(tmp_path / "a.nir", graph)
        assert diff(quietly(read, tmp_path / "a.nir", trusted=True), graph) == []
