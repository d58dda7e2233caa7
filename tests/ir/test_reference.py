"""Objects of the reference package, taken and given."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from ir.examples import FIELDS, node
from nirjax.errors import ArgumentError, GraphError, MissingExtraError, ParameterError
from nirjax.ir import nodes as ir
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.reference import as_graph, from_reference, to_reference

DATA = Path(__file__).parents[1] / "data"


def theirs() -> nir.NIRGraph:
    nodes = {
        "in": nir.Input(np.array([3])),
        "lif": nir.LIF(*[np.ones(3, np.float32)] * 4),
        "conv": nir.Conv2d((4, 5), np.ones((1, 1, 2, 2)), 1, (0, 1), 1, 1, np.ones(1)),
        "flat": nir.Flatten({"input": np.array([3, 1])}, 0),
        "out": nir.Output(np.array([3])),
    }
    return nir.NIRGraph(nodes, [("in", "lif"), ("lif", "out")], {"a": {"b": 1}}, type_check=False)


def test_a_graph_is_taken() -> None:
    graph = from_reference(theirs())
    assert list(graph.nodes) == ["in", "lif", "conv", "flat", "out"]
    assert graph.edges == (("in", "lif"), ("lif", "out"))
    assert graph.metadata == {"a": {"b": 1}}
    np.testing.assert_array_equal(graph.nodes["conv"].stride, [1, 1])
    np.testing.assert_array_equal(graph.nodes["lif"].v_reset, [0, 0, 0])


@pytest.mark.parametrize("kind", FIELDS)
def test_every_node_there_and_back(kind: str) -> None:
    graph = NIRGraph({"x": node(kind)}, (), metadata={"words": ["a", "b"]})
    assert diff(from_reference(graph.to_reference()), graph) == []
    assert type(graph.to_reference().nodes["x"]) is getattr(nir, kind)


def test_what_is_given_can_be_changed_without_harm() -> None:
    graph = from_reference(theirs())
    given = graph.to_reference()
    given.nodes["lif"].tau[0] = 7
    given.metadata["a"]["b"] = 2
    assert graph.nodes["lif"].tau[0] == 1
    assert graph.metadata["a"]["b"] == 1


def test_nested_graphs(tmp_path: Path) -> None:
    graph = as_graph(DATA / "battery" / "p_subgraph.nir")
    back = graph.to_reference()
    assert isinstance(back.nodes["sub"], nir.NIRGraph)
    nir.write(tmp_path / "a.nir", back)
    assert [d for d in diff(tmp_path / "a.nir", graph) if d.kind != "node order"] == []


def test_types_are_told_where_the_package_would_get_them_wrong() -> None:
    conv = node("Conv2d", weight=np.ones((4, 1, 3, 5), np.float32), groups=np.array(2), input_shape=None)
    pool = node("SumPool2d")
    nodes = {"in": ir.Input((2, 8, 9)), "conv": conv, "pool": pool, "out": ir.Output((4, 3, 2))}
    given = NIRGraph(nodes, (("in", "conv"), ("conv", "pool"), ("pool", "out"))).to_reference()
    assert given.nodes["conv"].input_type["input"].tolist() == [2, 8, 9]
    assert given.nodes["conv"].output_type["output"].tolist() == [4, 6, 5]
    assert given.nodes["pool"].output_type["output"].tolist() == [4, 3, 2]
    assert given.nodes["conv"].input_shape is None
    assert given.check_types()


def test_a_fault_is_named() -> None:
    graph = theirs()
    graph.nodes["sub"] = theirs()
    graph.nodes["sub"].nodes["lif"].tau = np.zeros(3)
    with pytest.raises(ParameterError) as caught:
        from_reference(graph)
    assert (caught.value.node, caught.value.field) == ("sub.lif", "tau")
    graph = theirs()
    graph.nodes["sub"] = theirs()
    graph.nodes["sub"].edges.append(("in", "ghost"))
    with pytest.raises(GraphError) as missing:
        from_reference(graph)
    assert missing.value.node == "sub.ghost"


def test_other_node_types_are_refused() -> None:
    class Odd(nir.ir.node.NIRNode):
        def __init__(self) -> None:
            self.metadata: dict[str, Any] = {}

    graph = theirs()
    graph.nodes["odd"] = Odd()
    with pytest.raises(GraphError, match="Odd") as caught:
        from_reference(graph)
    assert caught.value.node == "odd"

    class Mine(ir.NIRNode):
        pass

    with pytest.raises(GraphError, match="Mine"):
        NIRGraph({"x": Mine()}).to_reference()


@pytest.mark.parametrize("source", [3, None, {"nodes": {}}, np.ones(3), ir.Scale(np.ones(2))])
def test_only_graphs_are_graphs(source: object) -> None:
    with pytest.raises(ArgumentError):
        as_graph(source)
    with pytest.raises(ArgumentError):
        from_reference(ir.Scale(np.ones(2)))


def test_as_graph_takes_all_there_is(tmp_path: Path) -> None:
    path = DATA / "battery" / "p_lif.nir"
    graph = as_graph(path)
    assert as_graph(graph) is graph
    assert diff(as_graph(str(path)), graph) == []
    assert diff(as_graph(nir.read(path)), graph) == []


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "nir":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"nirjax\[nir\]"):
        to_reference(NIRGraph({}, ()))
