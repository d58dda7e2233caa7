"""Data of a graph: against the reference package's objects, and against graphs."""

from __future__ import annotations

import pickle

import nir
import numpy as np
import pytest

import nirjax
from data_room.nir_examples import flat_data, nested_data, observables, same
from nirjax.data import NIRGraphData, NIRNodeData, TimeGriddedData
from nirjax.data.nir_files import as_graph_data
from nirjax.errors import DataError
from nirjax.ir import nodes as ir


@pytest.mark.parametrize("data", [flat_data(), nested_data()], ids=["flat", "nested"])
def test_to_the_reference_and_back(data: NIRGraphData) -> None:
    reference = data.to_reference()
    assert isinstance(reference, nir.NIRGraphData)
    same(data, reference)
    same(as_graph_data(reference), data)
    reference.nodes["lif"].observables["spikes"].data[:] = False  # a copy
    assert data.nodes["lif"].observables["spikes"].data.any()


def test_walk_and_of_are_inverse() -> None:
    data = nested_data()
    found = {(path, name): observable for path, name, observable in data.walk()}
    assert (("rnn", "deep", "lif"), "spikes") in found
    again = NIRGraphData.of(found)
    assert [step[:2] for step in again.walk()] == [step[:2] for step in data.walk()]
    with pytest.raises(DataError, match="no nodes inside"):
        NIRGraphData.of({(("a",), "v"): observables()["v"], (("a", "b"), "v"): observables()["v"]})


def gridded(neurons: int) -> NIRNodeData:
    return NIRNodeData({"spikes": TimeGriddedData(np.zeros((2, 3, neurons), bool), 1.0)})


def graph() -> nirjax.NIRGraph:
    lif = ir.IF(r=np.ones((2, 3)), v_threshold=np.ones((2, 3)), v_reset=np.zeros((2, 3)))
    inner = nirjax.NIRGraph(
        {"in": ir.Input((2, 3)), "lif": lif, "out": ir.Output((2, 3))}, [("in", "lif"), ("lif", "out")]
    )
    nodes = {"input": ir.Input((2, 3)), "sub": inner, "conv": ir.Flatten(input_type=(2, 3), start_dim=0, end_dim=1)}
    nodes |= {"output": ir.Output((6,))}
    return nirjax.NIRGraph(nodes, [("input", "sub"), ("sub", "conv"), ("conv", "output")])


def test_data_that_fits_a_graph() -> None:
    """The reference package compares a number with a shape: neurons in two axes never fit there."""
    data = NIRGraphData({"sub": NIRGraphData({"lif": gridded(6)}), "conv": gridded(6)})
    data.check_nodes(graph())
    data.check_nodes(graph().to_reference())
    assert gridded(6).check_observables(graph().nodes["sub"].nodes["lif"])
    assert not gridded(5).check_observables(graph().nodes["sub"].nodes["lif"])


@pytest.mark.parametrize(
    ("nodes", "words", "node"),
    [
        ({"lif": gridded(6)}, "no such node", "lif"),
        ({"sub": gridded(6)}, "has a subgraph", "sub"),
        ({"conv": NIRGraphData({"lif": gridded(6)})}, "no such node", "conv.lif"),
        ({"sub": NIRGraphData({"lif": gridded(5)})}, "number of neurons", "sub.lif"),
        ({"conv": gridded(7)}, "number of neurons", "conv"),
    ],
)
def test_data_of_another_graph(nodes: dict[str, NIRNodeData | NIRGraphData], words: str, node: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        NIRGraphData(nodes).check_nodes(graph())
    assert caught.value.node == node


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NIRNodeData([1]), "mapping"),  # type: ignore[arg-type]
        (lambda: NIRNodeData({"v": np.zeros((1, 1, 1))}), "not data"),  # type: ignore[dict-item]
        (lambda: NIRNodeData({"": observables()["v"]}), "a name"),
        (lambda: NIRGraphData({1: gridded(1)}), "a name"),  # type: ignore[dict-item]
        (lambda: NIRGraphData({"a": observables()["v"]}), "not data"),  # type: ignore[dict-item]
        (lambda: as_graph_data(3), "no NIR data"),
        (lambda: as_graph_data(nir.NIRGraphData({"a": 1})), "no NIR data"),
        (lambda: as_graph_data(nir.NIRGraphData({"a": nir.NIRNodeData({"v": 1})})), "kind of observable"),
    ],
)
def test_what_is_refused(make: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        make()  # type: ignore[operator]


def test_an_error_of_the_reference_s_data_says_where() -> None:
    bad = nir.EventData(np.array([[9]]), np.array([[0.0]]), 1, 1.0)
    with pytest.raises(DataError) as caught:
        as_graph_data(nir.NIRGraphData({"a": nir.NIRGraphData({"b": nir.NIRNodeData({"spikes": bad})})}))
    assert (caught.value.node, caught.value.field) == ("a.b", "spikes.idx")


def test_data_cannot_be_changed_and_can_be_pickled() -> None:
    data = nested_data()
    with pytest.raises(TypeError, match="immutable"):
        data.nodes["x"] = gridded(1)  # type: ignore[index]
    same(pickle.loads(pickle.dumps(data)), data)
