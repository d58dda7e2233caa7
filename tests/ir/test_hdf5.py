"""Reading: what is refused and how it is named, what is odd, versions, digests. (`test_hostile.py` has the corpus.)"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from ir import raw_files
from nirjax.errors import (
    ArgumentError,
    FileError,
    GraphError,
    NIRError,
    NIRWarning,
    ParameterError,
    RepairWarning,
    UnknownNodeError,
)
from nirjax.ir import nodes as ir
from nirjax.ir.fields import real
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write

ONES = np.ones(3, np.float32)
PORTS = {
    "in": raw_files.node("Input", {"shape": np.array([3])}),
    "out": raw_files.node("Output", {"shape": np.array([3])}),
}
SCALE = raw_files.node("Scale", {"scale": ONES})
LIF = raw_files.node("LIF", dict.fromkeys(("tau", "r", "v_leak", "v_threshold", "v_reset"), ONES))
CHAIN = raw_files.graph({**PORTS, "s": SCALE}, [("in", "s"), ("s", "out")])
GRAPH = NIRGraph.from_list(ir.Scale(ONES))


def with_node(node: Any, **more: Any) -> dict[str, Any]:
    return raw_files.graph({**PORTS, "x": node}, [("in", "x"), ("x", "out")], **more)


def warned(path: Path, **options: Any) -> list[str]:
    """What a sound file is read with."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(path, trusted=True, **options)
    assert all(warning.category is NIRWarning for warning in caught)
    assert all(warning.filename == __file__ for warning in caught), "the warning points to the caller"
    return [str(warning.message) for warning in caught]


# ------------------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "device", "pipe"])
def test_what_is_no_file_of_ours_is_a_file_error(kind: str, trusted: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("hello" * 1000)
    elif kind == "empty":
        path.touch()
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(FileError) as caught:
        read(path, trusted=trusted)
    assert caught.value.file == str(path)
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("name", ["späce file.nir", "a'\"b.nir", "-rf", "line\nbreak.nir"])
def test_any_file_name_will_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(name, GRAPH)
    assert list(read(name).nodes) == list(GRAPH.nodes)
    assert list(read(tmp_path / name, trusted=True).nodes) == list(GRAPH.nodes)


def test_a_file_that_is_open_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "a.nir", GRAPH)
    with h5py.File(tmp_path / "a.nir") as file:
        for trusted in (True, False):
            read(tmp_path / "a.nir", trusted=trusted)
        assert file["node/type"][()] == b"NIRGraph", "and it stays open"
        write(tmp_path / "a.nir", GRAPH)


def test_a_file_is_closed_whatever_happens(tmp_path: Path) -> None:
    bad = raw_files.save(tmp_path / "a.nir", with_node({"type": "Nope"}))
    with pytest.raises(NIRError) as caught:
        read(bad, trusted=True)
    links = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)]
    assert str(bad) not in links, caught


def _is_open(name: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{name}")


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "a.nir", GRAPH)
    (tmp_path / "link.nir").symlink_to("a.nir")
    read(tmp_path / "link.nir")


def test_max_bytes_bounds_the_sum(tmp_path: Path) -> None:
    nodes = {f"s{i}": raw_files.node("Scale", {"scale": np.ones(1000, np.float32)}) for i in range(10)}
    path = raw_files.save(tmp_path / "a.nir", raw_files.graph(nodes, []))
    read(path, trusted=True, max_bytes=42_000)
    for trusted in (True, False):
        with pytest.raises(FileError, match="max_bytes") as caught:
            read(path, trusted=trusted, max_bytes=39_000)
        assert (caught.value.node, caught.value.field) == ("s9", "scale")


def test_shared_data_counts_every_time(tmp_path: Path) -> None:
    """Two nodes may share a weight by a hard link; a thousand may not pretend to be small."""
    path = raw_files.save(tmp_path / "a.nir", raw_files.graph({"s": {"type": "Scale", "scale": np.ones(10**6)}}, []))
    with h5py.File(path, "a") as file:
        for i in range(40):
            file[f"node/nodes/t{i}"] = file["node/nodes/s"]
    with pytest.raises(FileError, match="more data"):
        read(path, trusted=True, max_bytes=2**25)
    graph = read(path, trusted=True, max_bytes=2**30)
    assert graph.nodes["s"].scale is graph.nodes["t7"].scale


# --------------------------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize("version", ["0.1.1", "0.2.0", "1.0.0", "1.0.8", "1.0.4.dev3", "1.0.5+abc", "1.0.7rc1"])
def test_versions_that_are_known(version: str, tmp_path: Path) -> None:
    assert warned(raw_files.save(tmp_path / "a.nir", CHAIN, version)) == []


@pytest.mark.parametrize("version", ["1.0.9", "1.1.0", "1.2"])
def test_a_later_version_of_the_same_format_is_a_warning(version: str, tmp_path: Path) -> None:
    (message,) = warned(raw_files.save(tmp_path / "a.nir", CHAIN, version))
    assert version in message


@pytest.mark.parametrize("version", ["2.0.0", "99.0.0", "banana", "", "1", "1.0.8; rm", "1.0." + "9" * 500])
def test_other_versions_are_refused(version: str, tmp_path: Path) -> None:
    path = raw_files.save(tmp_path / "a.nir", CHAIN, version)
    with pytest.raises(FileError) as caught:
        read(path, trusted=True)
    assert caught.value.field == "version"


def test_old_files_have_no_v_reset_and_no_w_in(tmp_path: Path) -> None:
    old = {name: value for name, value in LIF.items() if name != "v_reset"}
    cuba = {**old, "type": "CubaLIF", "tau_mem": ONES, "tau_syn": ONES}
    del cuba["tau"]
    graph = read(raw_files.save(tmp_path / "a.nir", raw_files.graph({"a": old, "b": cuba}, []), "0.1.1"), trusted=True)
    np.testing.assert_array_equal(graph.nodes["a"].v_reset, 0 * ONES)
    np.testing.assert_array_equal(graph.nodes["b"].v_reset, 0 * ONES)
    np.testing.assert_array_equal(graph.nodes["b"].w_in, ONES)


# -------------------------------------------------------------------------------------------------------------- odd


@pytest.mark.parametrize(
    ("root", "words"),
    [
        (with_node({**SCALE, "colour": ONES}), ["x", "colour", "ignored"]),
        (with_node({**SCALE, "more": {"a": ONES}}), ["x", "more", "ignored"]),
        (with_node(SCALE, type_check=np.array(1)), ["the graph", "type_check"]),
        (with_node({**SCALE, "metadata": "hello"}), ["x", "metadata", "ignored"]),
        (with_node({**LIF, "v_reset": 2 * ONES}), ["x", "v_reset", "fires for ever"]),
        (raw_files.graph({**PORTS, "lone": SCALE}, [("in", "out")]), ["lone", "edges"]),
        (raw_files.graph({**PORTS, "u": LIF, "w": LIF}, [("in", "out"), ("u", "w"), ("w", "u")]), ["u", "edges"]),
        (raw_files.graph({"é": SCALE, "e\u0301": SCALE}, []), ["'\\xe9'", "looks like"]),
        (raw_files.graph(PORTS, [("in", "out"), ("in", "out")]), ["edges", "twice"]),
    ],
)
def test_what_is_odd_is_a_warning(root: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    path = raw_files.save(tmp_path / "a.nir", root)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(path, trusted=True)
    text = str(caught[0].message)
    assert all(word in text for word in words), text


def test_warnings_do_not_flood(tmp_path: Path) -> None:
    nodes = {f"s{i}": {**SCALE, "colour": ONES} for i in range(100)}
    messages = warned(raw_files.save(tmp_path / "a.nir", raw_files.graph(nodes, [])))
    assert len(messages) == 21
    assert "80 more" in messages[-1]


def test_a_file_without_a_version_is_a_warning(tmp_path: Path) -> None:
    (message,) = warned(raw_files.save(tmp_path / "a.nir", CHAIN, None))
    assert "version" in message


@pytest.mark.parametrize("missing", ["in", "out"])
def test_graphs_without_ports_are_read(missing: str, tmp_path: Path) -> None:
    nodes = {name: node for name, node in {**PORTS, "s": SCALE}.items() if name != missing}
    edges = [edge for edge in (("in", "s"), ("s", "out")) if missing not in edge]
    read(raw_files.save(tmp_path / "a.nir", raw_files.graph(nodes, edges)), trusted=True)


def test_an_algebraic_loop_is_read(tmp_path: Path) -> None:
    root = raw_files.graph({**PORTS, "x": SCALE}, [("in", "x"), ("x", "x"), ("x", "out")])
    read(raw_files.save(tmp_path / "a.nir", root), trusted=True)


# ------------------------------------------------------------------------------------------------- names and errors


def test_an_error_text_is_safe_to_print(tmp_path: Path) -> None:
    name = "x\n\x1b[31m" + "n" * 5000
    path = raw_files.save(tmp_path / "a.nir", raw_files.graph({name: {**LIF, "tau": 0 * ONES}}, []))
    with pytest.raises(ParameterError) as caught:
        read(path)
    assert caught.value.node == name
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_an_unknown_type_is_told_with_what_may_be_meant(tmp_path: Path) -> None:
    path = raw_files.save(tmp_path / "a.nir", raw_files.graph({"sub": raw_files.graph({"x": {"type": "lif"}}, [])}, []))
    for trusted in (True, False):
        with pytest.raises(UnknownNodeError, match="'LIF'") as caught:
            read(path, trusted=trusted)
        assert (caught.value.node, caught.value.field, caught.value.file) == ("sub.x", "type", str(path))


def test_the_worker_says_what_the_same_process_says(tmp_path: Path) -> None:
    spoilt = [
        raw_files.graph({"x": {**SCALE, "type": "Nope"}}, []),
        raw_files.graph({"x": {"type": "Scale", "scale": {}}}, []),
        raw_files.graph({"x": {"type": "Scale", "scale": np.array([True])}}, []),
        with_node(SCALE, metadata={"a": np.zeros(2, "V4")}),
        {"type": "NIRGraph", "nodes": {}},
    ]
    for i, root in enumerate(spoilt):
        path = raw_files.save(tmp_path / f"{i}.nir", root)
        errors = []
        for trusted in (True, False):
            with pytest.raises(NIRError) as caught:
                read(path, trusted=trusted)
            errors.append(caught.value)
        assert str(errors[0]) == str(errors[1])
        assert type(errors[0]) is type(errors[1])
        assert errors[0].__dict__ == errors[1].__dict__


# ------------------------------------------------------------------------------------------------------ types of own


@dataclass(frozen=True, eq=False, repr=False)
class Resonator(ir.NIRNode):
    frequency: np.ndarray = real(positive=True)


@pytest.mark.parametrize("trusted", [True, False])
def test_node_types_of_ones_own(trusted: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    graph = NIRGraph({"r": Resonator(ONES)})
    with pytest.raises(GraphError, match="custom_nodes=True") as caught:
        write(path, graph)
    assert caught.value.node == "r"
    assert not path.exists()
    write(path, graph, custom_nodes=True)
    with pytest.raises(UnknownNodeError, match="node_types"):
        read(path, trusted=trusted)
    node = read(path, trusted=trusted, node_types=[Resonator]).nodes["r"]
    assert isinstance(node, Resonator)
    np.testing.assert_array_equal(node.frequency, ONES)


def test_node_types_are_classes_of_nodes() -> None:
    class LIF(ir.NIRNode):
        pass

    for wrong in (int, Resonator(ONES), LIF):
        with pytest.raises(ArgumentError) as caught:
            read("nowhere.nir", node_types=[wrong])  # type: ignore[list-item]
        assert caught.value.field == "node_types"


# ---------------------------------------------------------------------------------------------------------- digests


def test_a_changed_file_is_told_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    write(path, GRAPH)
    with h5py.File(path, "a") as file:
        assert "nirjax.digest" in file.attrs
        file["node/nodes/scale/scale"][1] = 7
    for trusted in (True, False):
        with pytest.raises(FileError, match="repair=True") as caught:
            read(path, trusted=trusted)
        assert caught.value.field == "digest"
    with pytest.warns(RepairWarning, match="digest"):
        graph = read(path, trusted=True, repair=True)
    assert graph.nodes["scale"].scale[1] == 7
    nir.read(path)


@pytest.mark.parametrize("change", ["rename", "edge", "metadata", "drop"])
def test_the_digest_covers_everything(change: str, tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    write(path, NIRGraph(GRAPH.nodes, GRAPH.edges, metadata={"a": {"b": 1}}))
    with h5py.File(path, "a") as file:
        if change == "rename":
            file["node/nodes"].move("scale", "skale")
            file["node/edges"][...] = [[b"input", b"skale"], [b"skale", b"output"]]
        elif change == "edge":
            file["node/edges"][...] = file["node/edges"][...][::-1]
        elif change == "metadata":
            file["node/metadata/a/b"][...] = 2
        else:
            del file["node/metadata/a"]
    with pytest.raises(FileError) as caught:
        read(path, trusted=True)
    assert caught.value.field == "digest"


def test_a_file_written_again_by_the_reference_package_has_no_digest(tmp_path: Path) -> None:
    write(tmp_path / "a.nir", GRAPH)
    nir.write(tmp_path / "b.nir", nir.read(tmp_path / "a.nir"))
    assert warned(tmp_path / "b.nir") == []


@pytest.mark.parametrize("digest", ["", "sha256:0", 3, np.zeros(3), "x" * 1000, np.array(["a", "b"], "S1")])
def test_a_digest_that_is_none(digest: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.nir", GRAPH)
    with h5py.File(tmp_path / "a.nir", "a") as file:
        file.attrs["nirjax.digest"] = digest
    for trusted in (True, False):
        with pytest.raises(FileError) as caught:
            read(tmp_path / "a.nir", trusted=trusted)
        assert caught.value.field == "digest"


# ------------------------------------------------------------------------------------------- storage of other writers


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (4, 3)},
        {"chunks": (64, 64), "maxshape": (None, None), "compression": "gzip"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"compression": "lzf", "shuffle": True},
        {"chunks": (4, 3), "compression": 9, "shuffle": True},
    ],
)
def test_storage_of_every_kind(options: dict[str, Any], trusted: bool, tmp_path: Path) -> None:
    for dtype in (">f8", "<f4", "i1", ">i2", "f2"):
        weight = np.arange(70).reshape(7, 10).astype(dtype)
        path = raw_files.save(tmp_path / "a.nir", raw_files.graph({"x": {"type": "Linear"}}, []), libver="latest")
        with h5py.File(path, "a") as file:
            file["node/nodes/x"].create_dataset("weight", data=weight, **options)
        node = read(path, trusted=trusted).nodes["x"]
        np.testing.assert_array_equal(node.weight, weight)
        assert node.weight.dtype == np.dtype(dtype)


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 2)}, {"chunks": (2, 2), "compression": 4, "shuffle": True}])
@pytest.mark.parametrize("dtype", [raw_files.TEXT, h5py.string_dtype("ascii"), "S9", h5py.string_dtype("utf-8", 9)])
def test_strings_of_every_kind(dtype: Any, options: dict[str, Any], tmp_path: Path) -> None:
    path = raw_files.save(tmp_path / "a.nir", {**CHAIN, "edges": np.zeros((0, 2), object)})
    edges = [["in", "s"], ["s", "out"], ["in", "out"]]
    with h5py.File(path, "a") as file:
        del file["node/edges"]
        data = np.array(edges, dtype=object if np.dtype(dtype).kind == "O" else "S9").astype(dtype)
        file["node"].create_dataset("edges", data=data, dtype=dtype, **options)
    for trusted in (True, False):
        assert read(path, trusted=trusted).edges == tuple(map(tuple, edges))


def test_many_edges_are_read_in_time(tmp_path: Path) -> None:
    nodes = {f"node {i}": ir.Scale(np.ones(1, np.float32)) for i in range(200)}
    graph = NIRGraph(nodes, tuple((a, b) for a in nodes for b in nodes if a < b))
    write(tmp_path / "a.nir", graph)
    assert (tmp_path / "a.nir").stat().st_size < 600_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read(tmp_path / "a.nir").edges == graph.edges
