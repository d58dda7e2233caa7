"""Differences between graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nirjax.errors import ArgumentError
from nirjax.ir import nodes as ir
from nirjax.ir.diff import Difference, diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import write

ONES = np.ones(3, np.float32)


def graph(scale: ir.NIRNode | None = None, **changes: object) -> NIRGraph:
    nodes = {"in": ir.Input((3,)), "s": scale or ir.Scale(ONES), "out": ir.Output((3,))}
    fields = {"nodes": nodes, "edges": (("in", "s"), ("s", "out")), "metadata": {"a": 1}}
    return NIRGraph(**{**fields, **changes})  # type: ignore[arg-type]


def only(a: NIRGraph, b: NIRGraph) -> Difference:
    """The one difference, the same from both sides."""
    (found,) = diff(a, b)
    (mirrored,) = diff(b, a)
    assert (found.kind, found.node, found.field) == (mirrored.kind, mirrored.node, mirrored.field)
    return found


def test_a_graph_does_not_differ_from_itself() -> None:
    assert diff(graph(), graph()) == []


def test_values_are_compared_bit_for_bit() -> None:
    changed = ONES.copy()
    changed[1] += 2.0**-20
    found = only(graph(), graph(ir.Scale(changed)))
    assert (found.kind, found.node, found.field, found.a) == ("value", "s", "scale", 1)
    assert "1 of 3 differ, first at [1]" in str(found)
    zeros = np.zeros(3, np.float32)
    assert only(graph(ir.Scale(zeros)), graph(ir.Scale(-zeros))).kind == "value"


def test_a_nan_in_metadata_equals_itself() -> None:
    nan = np.array([np.nan, 1])
    assert diff(graph(metadata={"a": nan}), graph(metadata={"a": nan.copy()})) == []
    assert only(graph(metadata={"a": nan}), graph(metadata={"a": np.ones(2)})).kind == "value"


def test_dtypes_and_shapes() -> None:
    assert only(graph(), graph(ir.Scale(ONES.astype(np.float64)))).kind == "dtype"
    assert only(graph(), graph(ir.Scale(ONES.astype(">f4")))).kind == "dtype"
    assert only(graph(), graph(ir.Scale(np.float32(1)))).kind == "shape"
    assert {d.kind for d in diff(graph(), graph(ir.Scale(2 * ONES.astype(np.float64))))} == {"dtype", "value"}


def test_types() -> None:
    found = only(graph(), graph(ir.Threshold(ONES)))
    assert (found.kind, found.node, found.a, found.b) == ("type", "s", "Scale", "Threshold")


def test_nodes_edges_and_their_order() -> None:
    more = graph(nodes={**graph().nodes, "t": ir.Scale(ONES)})
    assert str(only(graph(), more)).startswith("'t': node only in b")
    assert only(graph(), graph(edges=(("in", "s"),))).kind == "edge"
    turned = graph(edges=(("s", "out"), ("in", "s")))
    assert only(graph(), turned).kind == "edge order"
    nodes = graph().nodes
    assert only(graph(), graph(nodes={name: nodes[name] for name in reversed(nodes)})).kind == "node order"


@pytest.mark.filterwarnings("ignore::nirjax.errors.NIRWarning")
def test_an_edge_twice_is_a_difference() -> None:
    found = only(graph(), graph(edges=(("in", "s"), ("s", "out"), ("in", "s"))))
    assert (found.kind, found.note) == ("edge", "1 times")


def test_metadata() -> None:
    assert only(graph(), graph(metadata={})).field == "metadata.a"
    assert only(graph(metadata={"a": {"b": 1}}), graph(metadata={"a": {"b": 2}})).field == "metadata.a.b"
    assert only(graph(metadata={"a": {"b": 1}}), graph()).kind == "metadata"
    assert only(graph(metadata={"a": "x"}), graph(metadata={"a": "y"})).kind == "value"
    assert diff(graph(metadata={"a": ["x", "y"]}), graph(metadata={"a": np.array([b"x", b"y"], object)})) == []
    assert diff(graph(metadata={"a": 1, "b": 2}), graph(metadata={"b": 2, "a": 1})) == [], "order is not content here"


def test_optional_fields() -> None:
    flat, declared = ir.Flatten(None, np.int64(0)), ir.Flatten((3,), np.int64(0))
    found = only(NIRGraph({"f": flat}), NIRGraph({"f": declared}))
    assert (found.kind, found.field, found.a) == ("field", "input_type", None)


def test_words_and_numbers() -> None:
    def conv(padding: object) -> NIRGraph:
        one = np.array(1)
        node = ir.Conv1d(np.array(5), np.ones((1, 1, 3), np.float32), one, padding, one, one, np.ones(1, np.float32))
        return NIRGraph({"c": node})

    assert only(conv("same"), conv("valid")).kind == "value"
    assert only(conv("same"), conv(np.array(1))).kind == "value"
    assert diff(conv("same"), conv("same")) == []


def test_nested_graphs_are_named_by_path() -> None:
    def nested(scale: float) -> NIRGraph:
        return NIRGraph({"sub": NIRGraph({"s": ir.Scale(ONES * np.float32(scale))}, ())}, ())

    assert only(nested(1), nested(2)).node == "sub.s"


def test_paths_and_reference_objects_are_taken(tmp_path: Path) -> None:
    write(tmp_path / "a.nir", graph())
    assert diff(tmp_path / "a.nir", str(tmp_path / "a.nir")) == []
    assert diff(tmp_path / "a.nir", graph().to_reference()) == []
    with pytest.raises(ArgumentError):
        diff(graph(), 3)


def test_every_kind_reads_well() -> None:
    a = graph(metadata={"a": {"b": 1}, "c": np.arange(20)})
    b = NIRGraph({"in": ir.Input((3,)), "s": ir.Threshold(ONES), "t": ir.Scale(ONES)}, (("in", "s"),))
    for difference in diff(a, b):
        text = str(difference)
        assert "\n" not in text
        assert len(text) < 400
