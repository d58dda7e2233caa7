"""Small files that ask for much work, once they have passed the gate: what looks at names and edges must not try them
all against each other. Each of these took from ten seconds to hours where that was done."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirjax.errors import GraphError, NIRError, ShapeError
from nirjax.ir import nodes as ir
from nirjax.ir.flatten import flatten
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read
from nirjax.ir.rewiring import misrouted

HANG = 5.0
"""Seconds of computing that count as one."""


def begun(path: Path) -> Any:
    """A file of an empty graph, and groups that its nodes can be links to."""
    file = h5py.File(path, "w", libver="latest")
    file["version"], file["node/type"] = np.bytes_("1.0.8"), np.bytes_("NIRGraph")
    ones, shape = np.ones(3, np.float32), {"port": np.array([3]), "batched": np.array([1, 3])}
    for name, kind, key, value in (
        ("scale", "Scale", "scale", ones),
        ("input", "Input", "shape", shape["port"]),
        ("batched input", "Input", "shape", shape["batched"]),
        ("batched output", "Output", "shape", shape["batched"]),
    ):
        file[f"pool/{name}/type"], file[f"pool/{name}/{key}"] = np.bytes_(kind), value
    file.create_group("node/nodes", track_order=True)
    return file


def edges_of(group: Any, edges: Any) -> None:
    group.create_dataset("edges", data=np.array(edges, dtype="S").reshape(-1, 2), compression="gzip")


def unknown_names(file: Any) -> None:
    for number in range(3000):
        file[f"node/nodes/s{number}"] = file["pool/scale"]
    edges_of(file["node"], [(f"x{number}", f"y{number}") for number in range(25_000)])


def names_alike(file: Any) -> None:
    for number in range(4000):
        file["node/nodes"]["ab" * 95 + f"{number:06d}"] = file["pool/scale"]
    edges_of(file["node"], [("ab" * 95 + "xxxxxx", "y")])


def names_of_dots(file: Any) -> None:
    file["node/nodes/a"] = file["pool/scale"]
    edges_of(file["node"], [("." * 60_000 + str(number), "a") for number in range(400)])


def ports_of_dots(file: Any) -> None:
    group = file["node/nodes"].create_group("g")
    group["type"] = np.bytes_("NIRGraph")
    edges_of(group, [])
    for number in range(150):
        group.require_group("nodes")["." * 60_000 + str(number)] = file["pool/input"]
    file["node/nodes/s"] = file["pool/scale"]
    edges_of(file["node"], [("s", "g." + "." * 60_000 + str(number)) for number in range(150)])


def batched_ports(file: Any, kind: str) -> None:
    edges = []
    for number in range(1000):
        file[f"node/nodes/p{number}"] = file[f"pool/batched {kind}"]
        file[f"node/nodes/s{number}"] = file["pool/scale"]
        edges.append((f"p{number}", f"s{number}")[:: 1 if kind == "input" else -1])
    edges_of(file["node"], edges)


def mismatched_long_names(file: Any) -> None:
    file["pool/wide/type"], file["pool/wide/shape"] = np.bytes_("Input"), np.array([4])
    file["node/nodes"]["x" * 60_000], file["node/nodes"]["y" * 60_000] = file["pool/wide"], file["pool/scale"]
    edges_of(file["node"], [("x" * 60_000, "y" * 60_000)])


CASES: dict[str, tuple[Callable[[Any], None], type[NIRError]]] = {
    "unknown names": (unknown_names, GraphError),
    "names that are alike": (names_alike, GraphError),
    "names of dots": (names_of_dots, GraphError),
    "ports of dots": (ports_of_dots, GraphError),
    "batched inputs": (lambda file: batched_ports(file, "input"), ShapeError),
    "long names": (mismatched_long_names, ShapeError),
    "batched outputs": (lambda file: batched_ports(file, "output"), ShapeError),
}


@pytest.mark.parametrize("name", CASES)
def test_refusing_it_takes_little(name: str, tmp_path: Path) -> None:
    """And so does finding out whether it could be mended."""
    make, kind = CASES[name]
    with begun(tmp_path / "a.nir") as file:
        make(file)
    start = time.process_time()
    with pytest.raises(kind) as caught:
        read(tmp_path / "a.nir", trusted=True)
    assert time.process_time() - start < HANG
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("kind", ["input", "output"])
def test_any_number_of_ports_is_mended(kind: str, tmp_path: Path) -> None:
    with begun(tmp_path / "a.nir") as file:
        batched_ports(file, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = read(tmp_path / "a.nir", trusted=True, repair=True)
    ports = graph.inputs if kind == "input" else graph.outputs
    assert {port.shape for port in ports.values()} == {(3,)}
    assert len(ports) == 1000


def test_names_that_would_be_one_are_told_apart() -> None:
    """Many paths, one dotted name: each still gets a name of its own, and soon."""
    scale = ir.Scale(np.ones(1, np.float32))

    def compositions(parts: int, left: int) -> NIRGraph:
        """Nodes under every way to write "a.a.a..." of `left` letters as a path of so many parts."""
        if parts == 1:
            return NIRGraph({".".join("a" * left): scale}, ())
        sizes = range(1, left - parts + 2)
        return NIRGraph({".".join("a" * size): compositions(parts - 1, left - size) for size in sizes}, ())

    graph = compositions(5, 22)
    start = time.process_time()
    flat = flatten(graph)
    assert time.process_time() - start < HANG
    assert len(flat.nodes) == 5985  # 21 over 4


def test_weights_around_one_neuron_and_neurons_around_one_weight() -> None:
    """Which layers are recurrent is told in one look at each edge; where it could be several, nothing is guessed."""
    count = 20_000
    ones = np.ones(1, np.float32)
    weights, neuron = ir.Linear(np.ones((1, 1), np.float32)), ir.LIF(ones, ones, ones, ones, ones)
    names = [f"n{number}" for number in range(count)]
    both = [edge for name in names for edge in ((name, "x"), ("x", name))]
    start = time.process_time()
    assert misrouted({**dict.fromkeys(names, weights), "x": neuron}, both) == {}
    assert misrouted({**dict.fromkeys(names, neuron), "x": weights}, both) == {}
    assert time.process_time() - start < HANG
    assert misrouted({"a": neuron, "x": weights}, [("x", "a"), ("a", "x"), ("i", "x")]) == {("i", "x"): ("i", "a")}
