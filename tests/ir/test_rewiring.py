"""Recurrent layers whose input enters the weights: found, led into the neuron, and spike for spike at home then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from engine.graphs import affine, graph, lif, linear, ports

import nirjax
from nirjax.errors import ArgumentError, RepairWarning
from nirjax.ir.rewiring import rewired

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "spyx"


def recurrent(*paths: str) -> nirjax.NIRGraph:
    return graph(ports() | {"fc": affine(), "lif": lif(), "w": linear()}, *paths)


def test_the_input_of_a_recurrent_layer_goes_into_its_neuron() -> None:
    given = recurrent("in fc w lif w", "lif out")
    found, notices = rewired(given)
    assert set(found.edges) == {("in", "fc"), ("fc", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "out")}
    assert [edge for edge in found.edges if edge in given.edges] == [e for e in given.edges if e != ("fc", "w")]
    assert [(notice.node, notice.field) for notice in notices] == [("w", "edges")]
    assert found.nodes == given.nodes
    assert rewired(found) == (found, [])


@pytest.mark.parametrize("paths", [("in fc lif w lif out",), ("in fc lif w lif out", "fc w"), ("in fc w lif out",)])
def test_other_wirings_stay(paths: tuple[str, ...]) -> None:
    given = recurrent(*paths)
    assert rewired(given) == (given, [])


@pytest.mark.parametrize("name", ["rlif_mlp", "rif_mlp", "rcubalif_mlp"])
def test_rewired_files_of_spyx_give_its_spikes(name: str) -> None:
    with pytest.warns(RepairWarning, match="no longer its recurrent weights"):
        found = nirjax.read(GOLDEN / name / "graph.nir", repair="rewire", trusted=True)
    with np.load(GOLDEN / name / "io.npz") as recorded:
        dt = json.loads((GOLDEN / name / "meta.json").read_text())["dt"]
        spikes, _ = nirjax.from_nir(found, dt=dt, dialect="spyx")(recorded["x"])
        np.testing.assert_array_equal(spikes, recorded["y"])


def test_an_unknown_repair_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match="rewire"):
        nirjax.read(GOLDEN / "rlif_mlp" / "graph.nir", repair="all")
