"""Mends: what is wrong with real exporters' files, and what must not be guessed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from ir import raw_files
from nirjax.errors import GraphError, NIRError, ParameterError, RepairWarning, ShapeError
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read

DATA = Path(__file__).parents[1] / "data"
ONES = np.ones(3, np.float32)
LIF = raw_files.node("LIF", dict.fromkeys(("tau", "r", "v_leak", "v_threshold", "v_reset"), ONES))


def port(kind: str, *shape: int) -> dict[str, object]:
    return raw_files.node(kind, {"shape": np.array(shape)})


def repaired(path: Path, mends: int) -> NIRGraph:
    """The graph, mended with one warning a mend; refused without, by an error that names repair=True."""
    with pytest.raises(NIRError, match=r"repair=True"):
        read(path, trusted=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph = read(path, trusted=True, repair=True)
    assert [warning.category for warning in caught] == [RepairWarning] * mends
    assert all(str(path) in str(warning.message) for warning in caught)
    return graph


def refused(path: Path) -> NIRError:
    """The error, with and without repair: nothing was guessed, and repair is not advised."""
    with pytest.raises(NIRError) as strict:
        read(path, trusted=True)
    assert "repair=True mends" not in str(strict.value)
    with pytest.raises(NIRError) as caught:
        read(path, trusted=True, repair=True)
    return caught.value


def test_the_golden_recordings_declare_sample_axes() -> None:
    faulty = 0
    for path in (DATA / "golden").rglob("*.nir"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            graph = read(path, trusted=True, repair=True)
        faulty += bool(caught)
        x = np.load(path.parent / "io.npz")["x"]
        (entry,) = graph.inputs.values()
        assert x.shape[2:] == entry.shape, path
    assert faulty == 12


def test_the_papers_subgraph_names_a_node_wrongly(paper: Path) -> None:
    graph = repaired(paper / "braille_noDelay_bias_zero_subgraph.nir", mends=1)
    inner = graph.nodes["lif1"]
    assert isinstance(inner, NIRGraph)
    assert set(inner.edges) == {("input", "lif1"), ("lif1", "lin"), ("lin", "lif1"), ("lif1", "output")}


def test_the_papers_rockpool_file_declares_another_output(paper: Path) -> None:
    assert repaired(paper / "lif_rockpool.nir", mends=1).outputs["output"].shape == (1,)


def test_leading_axes_of_an_input_go(tmp_path: Path) -> None:
    root = raw_files.graph(
        {"in": port("Input", 1, 1, 3), "x": LIF, "out": port("Output", 1, 3)}, [("in", "x"), ("x", "out")]
    )
    graph = repaired(raw_files.save(tmp_path / "a.nir", root), mends=2)
    assert graph.inputs["in"].shape == graph.outputs["out"].shape == (3,)
    assert graph.inputs["in"].input_type["input"].dtype == np.int64


def test_inner_ports_are_mended_too(tmp_path: Path) -> None:
    inner = raw_files.graph(
        {"in": port("Input", 1, 3), "x": LIF, "out": port("Output", 1, 3)}, [("in", "x"), ("x", "out")]
    )
    nodes = {"in": port("Input", 1, 3), "sub": inner, "out": port("Output", 1, 3)}
    root = raw_files.graph(nodes, [("in", "sub"), ("sub", "out")])
    graph = repaired(raw_files.save(tmp_path / "a.nir", root), mends=4)
    sub = graph.nodes["sub"]
    assert isinstance(sub, NIRGraph)
    for entry in (*graph.inputs.values(), *graph.outputs.values(), *sub.inputs.values(), *sub.outputs.values()):
        assert entry.shape == (3,)


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (1, 4), (3, 1)])
def test_other_axes_of_an_input_stay(shape: tuple[int, ...], tmp_path: Path) -> None:
    root = raw_files.graph(
        {"in": port("Input", *shape), "x": LIF, "out": port("Output", 3)}, [("in", "x"), ("x", "out")]
    )
    error = refused(raw_files.save(tmp_path / "a.nir", root))
    assert isinstance(error, ShapeError)
    assert error.node == "x"


def test_successors_that_disagree_are_left_alone(tmp_path: Path) -> None:
    other = raw_files.node("Scale", {"scale": np.ones((1, 3), np.float32)})
    nodes = {"in": port("Input", 1, 3), "x": LIF, "y": other, "out": port("Output", 3)}
    root = raw_files.graph(nodes, [("in", "x"), ("in", "y"), ("x", "out")])
    assert isinstance(refused(raw_files.save(tmp_path / "a.nir", root)), ShapeError)


def test_single_numbers_beside_arrays_are_repeated(tmp_path: Path) -> None:
    mixed = {**LIF, "tau": np.float32(0.5), "v_leak": np.float64(0)}
    root = raw_files.graph({"in": port("Input", 3), "x": mixed, "out": port("Output", 3)}, [("in", "x"), ("x", "out")])
    path = raw_files.save(tmp_path / "a.nir", root)
    with pytest.raises(ParameterError) as caught:
        read(path, trusted=True)
    assert (caught.value.node, caught.value.field) == ("x", "tau")
    node = repaired(path, mends=1).nodes["x"]
    np.testing.assert_array_equal(node.tau, np.full(3, 0.5))
    assert (node.tau.dtype, node.v_leak.dtype) == (np.float32, np.float64)


def test_arrays_of_two_shapes_are_not(tmp_path: Path) -> None:
    mixed = {**LIF, "tau": np.float32(0.5), "v_leak": np.zeros(2, np.float32)}
    root = raw_files.graph({"x": mixed}, [])
    assert isinstance(refused(raw_files.save(tmp_path / "a.nir", root)), ParameterError)


def edges_of(tmp_path: Path, nodes: list[str], *edges: tuple[str, str]) -> Path:
    ports = {"in": port("Input", 3), "out": port("Output", 3)}
    return raw_files.save(tmp_path / "a.nir", raw_files.graph({**ports, **dict.fromkeys(nodes, LIF)}, edges))


@pytest.mark.parametrize(
    ("written", "meant"), [("LIF1", "lif1"), ("lif1 ", "lif1"), ("lif", "lif1"), ("lif_1", "lif1")]
)
def test_a_name_that_can_only_mean_one_node(written: str, meant: str, tmp_path: Path) -> None:
    graph = repaired(edges_of(tmp_path, [meant], ("in", written), (written, "out")), mends=1)
    assert graph.edges == (("in", meant), (meant, "out"))


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [
        (["a", "b"], [("in", "c"), ("c", "out")]),
        (["lif1", "lif2"], [("in", "lif"), ("lif", "out")]),
        (["lif1"], [("in", "lif"), ("lif3", "out")]),
        (["lif1"], [("in", "lif1"), ("lif1", "out"), ("lif1", "lif")]),
        (["recurrent"], [("in", "ghost"), ("ghost", "out")]),
        (["Lif", "lIf"], [("in", "lif"), ("lif", "out")]),
    ],
)
def test_a_name_that_could_mean_more_is_refused(nodes: list[str], edges: list[tuple[str, str]], tmp_path: Path) -> None:
    error = refused(edges_of(tmp_path, nodes, *edges))
    assert isinstance(error, GraphError)
    assert error.field == "edges"


def test_a_path_into_a_subgraph_is_not_the_subgraph(tmp_path: Path) -> None:
    inner = raw_files.graph({"in": port("Input", 3), "x": LIF, "out": port("Output", 3)}, [("in", "x"), ("x", "out")])
    for end in ("sub/x", "sub.x"):
        root = raw_files.graph({"in": port("Input", 3), "sub": inner}, [("in", end)])
        assert refused(raw_files.save(tmp_path / "a.nir", root)).field == "edges"


def test_a_sound_file_is_not_touched() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(DATA / "battery" / "p_lif.nir", trusted=True, repair=True)


def test_what_remains_wrong_is_named(tmp_path: Path) -> None:
    mixed = {**LIF, "tau": np.float32(0.5), "r": np.array([1, np.nan, 1], np.float32)}
    path = raw_files.save(tmp_path / "a.nir", raw_files.graph({"x": mixed}, []))
    with pytest.raises(ParameterError, match="nan") as caught:
        read(path, trusted=True, repair=True)
    assert (caught.value.node, caught.value.field) == ("x", "r")
