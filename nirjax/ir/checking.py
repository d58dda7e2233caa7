"""What is checked of a graph as a whole when it is read, and what is odd enough for a warning."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import numpy as np

from nirjax.ir.findings import reachable
from nirjax.ir.graph import NIRGraph
from nirjax.ir.inline import FlatGraph, inline
from nirjax.ir.nodes import Input, NIRNode
from nirjax.ir.raw import Notice
from nirjax.ir.shapes import known_shapes


def check_graph(graph: NIRGraph) -> FlatGraph:
    """Check all that needs no time step and no choice of feedback: nesting, edges, shapes along edges.

    What only matters for running (an algebraic loop, a missing Input or Output, a shape that nothing tells) is left
    to compiling: such a graph can still be looked at, changed and written.

    Raises:
        GraphError: nesting too deep, an edge into an Input or out of an Output.
        ShapeError: shapes that differ along an edge.
    """
    flat = inline(graph)
    known_shapes(flat)
    return flat


def notices_of(graph: NIRGraph, flat: FlatGraph) -> Iterator[Notice]:
    """What is legal and yet hardly meant: unconnected nodes, a reset above the threshold, names that look alike."""
    reached = _reached(flat)
    for name, node in flat.nodes.items():
        if name not in reached and not (isinstance(node, Input) and name in flat.inputs):
            yield Notice("nothing that enters the graph reaches this node", name, "edges")
        yield from _resets(name, node)
    yield from _look_alikes(graph, "")


def _reached(flat: FlatGraph) -> set[str]:
    """Nodes on a path from an Input; from any node, if the graph has no Input."""
    if not flat.inputs:
        return set(flat.nodes)
    return reachable(flat.inputs, flat.edges)


def _resets(name: str, node: NIRNode) -> Iterator[Notice]:
    reset, threshold = getattr(node, "v_reset", None), getattr(node, "v_threshold", None)
    if reset is not None and threshold is not None and np.any(np.greater(reset, threshold)):
        yield Notice("a reset above the threshold: the neuron fires for ever", name, "v_reset")


def _look_alikes(graph: NIRGraph, path: str) -> Iterator[Notice]:
    seen: dict[str, str] = {}
    for name, node in graph.nodes.items():
        where = f"{path}.{name}" if path else name
        plain = unicodedata.normalize("NFC", name)
        if plain in seen:
            text = f"the name looks like another node's: {name!a} and {seen[plain]!a}"
            yield Notice(text, f"{path}.{plain}" if path else plain, "nodes")
        seen.setdefault(plain, name)
        if isinstance(node, NIRGraph):
            yield from _look_alikes(node, where)
