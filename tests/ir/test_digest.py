"""One digest of a graph's content: of the graph in memory, of its file, and of what is read back."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import nirjax
from ir.random_graphs import graphs
from nirjax.errors import NIRWarning
from nirjax.ir import nodes as ir
from nirjax.ir.digest import content_digest
from nirjax.ir.graph import NIRGraph


def stored(path: Path) -> str | None:
    with h5py.File(path) as file:
        found = file.attrs.get("nirjax.digest")
    return found.decode() if isinstance(found, bytes) else found


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(graph=graphs())
def test_in_memory_in_the_file_and_read_back_it_is_the_same(tmp_path: Path, graph: NIRGraph) -> None:
    path = tmp_path / "graph.nir"
    nirjax.write(path, graph)
    assert stored(path) == content_digest(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NIRWarning)  # of oddly wired graphs
        assert content_digest(nirjax.read(path, trusted=True)) == content_digest(graph)


def base(**changes: Any) -> NIRGraph:
    given: dict[str, Any] = {
        "weight": np.ones((2, 2), np.float32),
        "metadata": {},
        "edges": [("in", "w"), ("w", "out")],
    }
    given |= changes
    nodes = {"in": ir.Input((2,)), "w": ir.Linear(given["weight"]), "out": ir.Output((2,))}
    return NIRGraph(nodes, given["edges"], metadata=given["metadata"])


CHANGES: dict[str, dict[str, Any]] = {
    "a bit": {"weight": np.nextafter(np.ones((2, 2), np.float32), np.float32(2))},
    "a dtype": {"weight": np.ones((2, 2))},
    "the sign of a zero in metadata": {"metadata": {"a": -0.0}},
    "metadata": {"metadata": {"a": "b"}},
    "a level of metadata": {"metadata": {"a": {"b": "c"}}},
    "an edge": {"edges": [("in", "w"), ("w", "out"), ("w", "w")]},
    "the order of edges": {"edges": [("w", "out"), ("in", "w")]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_content_counts(change: str) -> None:
    others = {content_digest(base(**fields)) for fields in CHANGES.values()}
    assert len(others) == len(CHANGES)
    assert content_digest(base(**CHANGES[change])) != content_digest(base())
    assert content_digest(base(metadata={"a": 0.0})) not in others


def test_the_order_of_nodes_and_of_metadata_does_not_count() -> None:
    made = base(metadata={"a": "1", "b": "2"})
    turned = dataclasses.replace(
        made, nodes=dict(reversed(made.nodes.items())), metadata=dict(reversed(made.metadata.items()))
    )
    assert content_digest(turned) == content_digest(made)


def test_what_no_file_can_hold_has_a_digest_too() -> None:
    nodes = {"/": ir.Input((2,)), ".": ir.Output((2,))}
    odd = NIRGraph(nodes, [("/", ".")], metadata={"a/b": "x", "none": None})
    assert content_digest(odd) == content_digest(NIRGraph(nodes, [("/", ".")], metadata={"a/b": "x", "none": None}))
    assert content_digest(odd) != content_digest(NIRGraph(nodes, [("/", ".")], metadata={"a/b": "y", "none": None}))


def test_the_digest_of_files_written_so_far_stays() -> None:
    graph = base(metadata={"a": "b", "c": {"d": np.float64(1.5), "e": ["x", "y"]}})
    assert content_digest(graph) == "sha256:a8593d62b927318327aa96ab9a1eb6f949c43a360b72a624e4f46463d573ffcc"
