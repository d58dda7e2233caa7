"""What mutants are made from: files of other tools, and graphs stored in all the ways that HDF5 has."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ir.examples import FIELDS, node

from fuzzing.checksums import timeless
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph
from nirjax.ir.writing import serialised

DATA = Path(__file__).parents[1] / "data"
VERSIONS = ("earliest", "v108", "v110", "latest")
LARGEST = 48_000
"""Mutants are kept as regression files, so what they are made from is small."""


@dataclass(frozen=True)
class Seed:
    """A sound file."""

    name: str
    data: bytes


@functools.cache
def seeds(more: Path | None = None) -> tuple[Seed, ...]:
    """All of them: files that frameworks wrote, graphs made here, each of these stored anew in other ways.

    Args:
        more: a folder with further `.nir` files.
    """
    folders = [DATA / "imports", DATA / "battery", DATA / "golden", *([more] if more else [])]
    paths = sorted(path for folder in folders for path in folder.rglob("*.nir") if path.stat().st_size <= LARGEST)
    real = [Seed("/".join(path.parts[-2:]), path.read_bytes()) for path in paths]
    made = [Seed(name, serialised(graph)) for name, graph in graphs().items()]
    rng = np.random.default_rng(0)
    again = [
        Seed(f"{name}, stored by {version}", stored(graph, version, rng))
        for at, (name, graph) in enumerate(graphs().items())
        for version in ([VERSIONS[at % len(VERSIONS)]] if name in FIELDS else VERSIONS)
    ]
    return (*real, *(seed for seed in made + again if len(seed.data) <= LARGEST))


def graphs() -> dict[str, NIRGraph]:
    """Small graphs that between them have every node type, and every structure."""
    rng = np.random.default_rng(1)
    single = {kind: _between_ports(kind) for kind in FIELDS if kind not in ("Input", "Output")}
    neurons = {f"n{i}": node(kind) for i, kind in enumerate(("LIF", "CubaLIF", "Delay", "I", "LI"))}
    inner = NIRGraph.from_list(node("Scale"), node("IF"))
    wide = ir.Affine(rng.integers(-3, 4, (40, 40)).astype(np.float32), np.zeros(40, np.float32))
    return single | {
        "recurrent": NIRGraph(
            {"in": ir.Input((3,)), **neurons, "w": ir.Linear(np.eye(3, dtype=np.float32)), "out": ir.Output((3,))},
            (*pairwise(("in", *neurons, "out")), ("n1", "w"), ("w", "n0"), ("n0", "n2")),
        ),
        "nested": NIRGraph(
            {"a": ir.Input((3,)), "b": NIRGraph.from_list(inner), "c": inner, "d": ir.Output((3,))},
            (("a", "b"), ("b", "c.input"), ("c", "d")),
            metadata={"author": "n", "deep": {"list": ["a", "b"], "numbers": np.arange(4), "deeper": {"x": 1.5}}},
        ),
        "wide": NIRGraph.from_list(wide, ir.Threshold(np.ones(40, np.float32))),
        "names": NIRGraph.from_list(*(node("Scale") for _ in range(30))),
    }


def _between_ports(kind: str) -> NIRGraph:
    _, entering, leaving = FIELDS[kind]
    nodes = {"in": ir.Input(entering), "x": node(kind), "out": ir.Output(leaving)}
    return NIRGraph(nodes, (("in", "x"), ("x", "out")))


# ------------------------------------------------------------------------------------------------- storing anew


def stored(graph: NIRGraph, version: str, rng: np.random.Generator) -> bytes:
    """The graph in a file of a version of HDF5's format, whose layout, filters and kinds of strings are drawn."""
    image = io.BytesIO()
    options: dict[str, Any] = {"libver": version}
    if rng.integers(5) == 0:
        options["userblock_size"] = 512
    with (
        h5py.File(io.BytesIO(serialised(graph)), "r") as source,
        h5py.File(image, "w", track_order=bool(rng.integers(2)), **options) as target,
    ):
        if rng.integers(2):
            target.attrs["nirjax.digest"] = source.attrs["nirjax.digest"]
        _copy(source, target, rng, bool(rng.integers(2)))
    return timeless(image.getvalue())


def _copy(source: Any, target: Any, rng: np.random.Generator, any_length: bool) -> None:
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name, track_order=bool(rng.integers(2))), rng, any_length)
        else:
            _store(target, name, item[()], item.dtype, rng, any_length)


def _store(target: Any, name: str, value: Any, dtype: Any, rng: np.random.Generator, any_length: bool) -> None:
    if dtype.kind == "O" or (dtype.kind == "S" and any_length):
        target.create_dataset(name, data=value, dtype=h5py.string_dtype())
        return
    data = np.asarray(value, dtype)
    options: dict[str, Any] = {}
    if data.ndim and data.size and rng.integers(2):
        options["chunks"] = tuple(int(rng.integers(1, n + 1)) for n in data.shape)
        options |= [{}, {"compression": "gzip"}, {"compression": "lzf"}][rng.integers(3)]
        options |= {key: True for key in ("shuffle", "fletcher32") if rng.integers(3) == 0}
        if rng.integers(3) == 0:
            options["maxshape"] = (None,) * int(rng.integers(1, 2)) + data.shape[1:]
    target.create_dataset(name, data=data, dtype=dtype, **options)
