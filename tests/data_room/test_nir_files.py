"""Files of NIR data: to and from the reference package, safe against bad ones, whole or not at all."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import nirjax
from data_room.nir_examples import flat_data, nested_data, observables, same
from nirjax.data import NIRGraphData, NIRNodeData, TimeGriddedData, read, write
from nirjax.errors import DataError, FileError, GraphError, NIRError, NIRWarning, ParameterError, RepairWarning


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.nir"


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("data", [flat_data(), nested_data(), NIRGraphData({})], ids=["flat", "nested", "empty"])
def test_written_and_read_again(data: NIRGraphData, trusted: bool, path: Path) -> None:
    write(path, data)
    again = read(path, trusted=trusted)
    same(again, data)
    assert list(again.nodes) == list(data.nodes)


@pytest.mark.parametrize("data", [flat_data(), nested_data()], ids=["flat", "nested"])
def test_the_reference_reads_what_nirjax_writes(data: NIRGraphData, path: Path) -> None:
    write(path, data)
    same(data, nir.read_data(path))


def test_nirjax_reads_what_the_reference_writes(path: Path) -> None:
    filled = NIRGraphData({"lif": NIRNodeData({k: v for k, v in observables().items() if k != "none"})})
    for options in ({}, {"compression": "lzf"}, {"compression": None}):
        nir.write_data(path, filled.to_reference(), **options)
        same(read(path), filled)


def test_the_reference_cannot_write_what_lies_inside(path: Path) -> None:
    """Why `write` takes the reference package's objects as well."""
    data = nested_data().to_reference()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 80)
    try:
        with pytest.raises(RecursionError):
            nir.write_data(path, data)
    finally:
        sys.setrecursionlimit(limit)
    write(path, data)
    same(nested_data(), nir.read_data(path))


def test_names_with_slashes_and_odd_characters(path: Path) -> None:
    node = NIRNodeData({"v ü": observables()["v"]})
    data = NIRGraphData({"a/b": node, "a/c": NIRGraphData({"x/y": node}), "dot.ted": node, "__type__": node})
    write(path, data)
    same(read(path), data)


@pytest.mark.parametrize("name", [".", "a//b", "/a", "a/.", "\udc80"])
def test_names_that_no_file_holds(name: str, path: Path) -> None:
    for data in (NIRGraphData({name: NIRNodeData({})}), NIRGraphData({"n": NIRNodeData({name: observables()["v"]})})):
        with pytest.raises(DataError, match="cannot hold"):
            write(path, data)
    with pytest.raises(DataError, match="cannot hold"):
        write(path, NIRGraphData({"n": NIRNodeData({"a/b": observables()["v"]})}))
    with pytest.raises(DataError, match="inside another"):
        write(path, NIRGraphData({"a": NIRNodeData({}), "a/b": NIRNodeData({})}))
    assert not path.exists()


def test_compression(path: Path) -> None:
    data = NIRGraphData({"n": NIRNodeData({"spikes": TimeGriddedData(np.zeros((9, 100, 100), bool), 1.0)})})
    sizes = {}
    for compression in (None, "gzip", 1, "lzf"):
        write(path, data, compression=compression)
        same(read(path), data)
        sizes[compression] = path.stat().st_size
    assert sizes["gzip"] < sizes[None] / 5
    with pytest.raises(nirjax.ArgumentError, match="compression"):
        write(path, data, compression="zip")


def test_a_failed_write_leaves_the_old_file(path: Path) -> None:
    write(path, flat_data())
    with pytest.raises(DataError):
        write(path, NIRGraphData({".": NIRNodeData({})}))
    same(read(path, trusted=True), flat_data())
    assert os.listdir(path.parent) == [path.name]


def test_graphs_and_data_tell_each_other_apart(path: Path) -> None:
    write(path, flat_data())
    with pytest.raises(GraphError, match=r"nirjax\.data\.read reads it"):
        nirjax.read(path)
    graph = nirjax.NIRGraph.from_list(nirjax.ir.Scale(np.ones(3, np.float32)))
    nirjax.write(path, graph)
    with pytest.raises(GraphError, match=r"nirjax\.read reads graphs") as caught:
        read(path)
    assert caught.value.file == str(path)


def test_content_that_is_not_what_was_written(path: Path) -> None:
    write(path, flat_data())
    with h5py.File(path, "r+") as file:
        file["nodes/lif/observables/v"].attrs["dt"] = 2.0
    with pytest.raises(FileError, match=r"nirjax\.data\.read\(path, repair=True\)"):
        read(path)
    with pytest.warns(RepairWarning, match="digest"):
        data = read(path, repair=True)
    assert data.nodes["lif"].observables["v"].dt == 2.0


def test_what_has_no_meaning_is_noticed(path: Path) -> None:
    nir.write_data(path, NIRGraphData({"lif": NIRNodeData({"spikes": observables()["spikes"]})}).to_reference())
    with h5py.File(path, "r+") as file:
        group = file["nodes/lif/observables/spikes"]
        group.attrs["dimension_order"] = "tbn"
        group["more"] = 1.0
    with pytest.warns(NIRWarning) as caught:
        read(path)
    texts = sorted(str(warning.message) for warning in caught)
    assert len(texts) == 2
    assert "'dimension_order'" in texts[1]
    assert "'more' has no meaning" in texts[0]
    assert all("node 'lif', field 'spikes'" in text for text in texts)


# ------------------------------------------------------------------------------------------------------- bad files


def lif(file: Any) -> Any:
    return file["nodes/lif/observables/events"]


def spoilt(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        nir.write_data(path, NIRGraphData({"lif": NIRNodeData({"events": observables()["events"]})}).to_reference())
        with h5py.File(path, "r+") as file:
            change(file)

    return spoil


def replaced(group: Any, name: str, value: Any, **options: Any) -> None:
    if name in group:
        del group[name]
    group.create_dataset(name, data=value, **options)


def linked_above(file: Any) -> None:
    inner = file["nodes"].create_group("sub")
    inner.attrs["__type__"] = "NIRGraphData"
    inner["nodes"] = file["nodes"]


def multiplied(file: Any) -> None:
    for level in range(12):
        group = file.create_group(f"l{level}")
        group.attrs["__type__"] = "NIRGraphData"
        group.create_group("nodes")
    file["l11/nodes/end"] = file["nodes/lif"]
    for level in range(11):
        for copy in range(10):
            file[f"l{level}/nodes/{copy}"] = file[f"l{level + 1}"]
    file["nodes/many"] = file["l0"]


def external(file: Any) -> None:
    lif(file)["idx"] = h5py.ExternalLink("/etc/passwd", "/")


BAD: dict[str, tuple[Callable[[Any], object], type[NIRError], str, str | None]] = {
    "no type": (lambda f: f.attrs.__delitem__("__type__"), GraphError, "not a file of NIR data", None),
    "root type": (lambda f: f.attrs.__setitem__("__type__", "NIRNodeData"), GraphError, "not a file of NIR", None),
    "root number": (lambda f: f.attrs.__setitem__("__type__", 3), ParameterError, "not a string", None),
    "no nodes": (lambda f: f.__delitem__("nodes"), GraphError, "'nodes'", ""),
    "nodes": (lambda f: (f.__delitem__("nodes"), replaced(f, "nodes", 1)), GraphError, "not a group", ""),
    "node type": (lambda f: f["nodes/lif"].attrs.__setitem__("__type__", "LIF"), GraphError, "NIRNodeData", "lif"),
    "an array": (lambda f: replaced(f["nodes"], "x", 1.0), GraphError, "not a group", "x"),
    "no observables": (lambda f: f["nodes/lif"].__delitem__("observables"), GraphError, "observables", "lif"),
    "kind": (lambda f: lif(f).attrs.__setitem__("__type__", "Spikes"), ParameterError, "'Spikes'", "lif"),
    "no count": (lambda f: lif(f).attrs.__delitem__("n_neurons"), ParameterError, "n_neurons", "lif"),
    "a word": (lambda f: lif(f).attrs.__setitem__("t_max", "long"), ParameterError, "not a number", "lif"),
    "an endless t_max": (lambda f: lif(f).attrs.__setitem__("t_max", np.inf), DataError, "size", "lif"),
    "half a neuron": (lambda f: lif(f).attrs.__setitem__("n_neurons", 2.5), DataError, "number of neurons", "lif"),
    "no number": (lambda f: lif(f).attrs.__setitem__("n_neurons", np.nan), DataError, "number of neurons", "lif"),
    "many parts": (lambda f: f.create_group("nodes" + "/a" * 200), GraphError, "too deep", "/".join("a" * 128)),
    "numbers": (lambda f: lif(f).attrs.__setitem__("t_max", [1.0, 2.0]), ParameterError, "not a number", "lif"),
    "no idx": (lambda f: lif(f).__delitem__("idx"), GraphError, "'idx'", "lif"),
    "words": (lambda f: replaced(lif(f), "time", ["a"]), ParameterError, "strings", "lif"),
    "complex": (lambda f: replaced(lif(f), "time", np.zeros((4, 300), complex)), ParameterError, "complex", "lif"),
    "shape": (lambda f: replaced(lif(f), "time", np.zeros((4, 2))), DataError, "laid out", "lif"),
    "neuron": (lambda f: lif(f).attrs.__setitem__("n_neurons", 2), DataError, "no such neuron", "lif"),
    "a link out": (lambda f: (lif(f).__delitem__("idx"), external(f)), FileError, "external link", "lif"),
    "itself": (linked_above, GraphError, "contains itself", "sub.sub"),
    "many times over": (multiplied, FileError, "more groups", "many"),
    "huge": (
        lambda f: (
            lif(f).__delitem__("time"),
            lif(f).create_dataset("time", shape=(2**20, 2**20), dtype="f8", chunks=(2**10, 2**10), compression="gzip"),
        ),
        FileError,
        "more data than it may",
        "lif",
    ),
}  # fmt: skip


# the walk is the same; the worker's way is tried with a few
APART = ("root number", "a link out", "numbers", "itself", "huge", "neuron")


@pytest.mark.parametrize(("name", "trusted"), [*((name, True) for name in BAD), *((name, False) for name in APART)])
def test_bad_files_are_refused_with_their_place(name: str, trusted: bool, path: Path) -> None:
    change, kind, words, node = BAD[name]
    spoilt(change)(path)
    with pytest.raises(kind, match=words) as caught:
        read(path, trusted=trusted)
    assert caught.value.file == str(path)
    assert caught.value.node == node or str(caught.value.node).startswith("many.")


def test_a_literal_that_is_no_number_reaches_no_observable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker says is believed no more than the file."""
    from nirjax.ir import process

    write(path, NIRGraphData({}))
    header = {"seen": [0] * 4, "version": None, "digest": None, "notices": [], "slots": []}
    leaf = ["TimeGriddedData", {"data": [1], "dt": ["x"]}, {}, None, None]
    header["root"] = ["NIRGraphData", {}, {}, {"n": ["NIRNodeData", {}, {}, {"v": leaf}, None]}, None]
    code = f"""
import json, os, struct
for k, c in ((b'H', {str(header)!r}), (b'Z', '')):
    c = json.dumps(eval(c)).encode() if c else b''
    os.write(1, k + struct.pack('<Q', len(c)) + c)
"""
    monkeypatch.setattr(process, "_START", code)
    with pytest.raises(NIRError, match="no sense"):
        read(path)


def test_damaged_files_give_an_error_or_their_content(path: Path) -> None:
    """Single bytes changed all over a file: never a crash, never another error than nirjax's."""
    nir.write_data(path, NIRGraphData({"lif": NIRNodeData({"v": observables()["i"]})}).to_reference(), compression=None)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for place in random.integers(0, len(whole), 12):
        data = bytearray(whole)
        data[place] ^= int(random.integers(1, 256))
        path.write_bytes(data)
        try:
            read(path)
        except NIRError:
            refused += 1
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError):
        read(path)
    assert refused


@pytest.mark.parametrize("found", ["missing.nir", "."])
def test_no_file(found: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be opened"):
        read(tmp_path / found)
