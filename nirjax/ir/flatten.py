"""`nirjax.flatten`: a nested graph as one without subgraphs, with the same behaviour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from nirjax.ir.graph import Edge, NIRGraph
from nirjax.ir.inline import inline, port_kind
from nirjax.ir.nodes import NIRNode, Scale
from nirjax.ir.reference import as_graph


def flatten(graph: Any) -> NIRGraph:
    """The graph with its subgraphs laid out at the top level, nodes named by their paths ("sub.lif").

    A subgraph's port is an identity. One with one way in at least and exactly one way out is left out, its edges
    joined. Any other stays, as a Scale by 1: leaving it out could change which edges of a cycle are fed back, or make
    two edges into one.

    No metadata is lost: that of the graph and of nodes stays where it is; that of subgraphs, and of ports that are left
    out, goes into the graph's, as `metadata["flattened"][path]` (with a backslash for a slash in a name, which the name
    of metadata cannot have; with an underscore behind a name that is taken).

    Args:
        graph: a NIRGraph, a `nir.NIRGraph` or a path.

    Raises:
        GraphError: nesting too deep, edges into an Input or out of an Output.
    """
    graph = as_graph(graph)
    flat = inline(graph)
    edges = list(flat.edges)
    nodes: dict[str, NIRNode] = dict(flat.nodes)
    gone: dict[str, NIRNode] = dict(flat.subgraphs)
    for name, node in flat.nodes.items():
        if port_kind(flat, name) != "inner":
            continue
        joined = _without(edges, name)
        if joined is None:
            nodes[name] = Scale(np.array(1, np.float32), metadata=node.metadata)
        else:
            edges = joined
            gone[name] = nodes.pop(name)
    return NIRGraph(nodes, tuple(edges), metadata=_with_metadata_of(gone, graph.metadata))


def _with_metadata_of(gone: Mapping[str, NIRNode], metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The graph's metadata, with that of what is no longer there."""
    moved: dict[str, Any] = {}
    for name, node in gone.items():
        if node.metadata:
            moved[_free(name.replace("/", "\\"), moved)] = node.metadata
    return {**metadata, _free("flattened", metadata): moved} if moved else metadata


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name


def _without(edges: list[Edge], port: str) -> list[Edge] | None:
    """The edges with those into `port` led on to where it leads, or None if that could change what the graph does."""
    ways: dict[str, list[str]] = defaultdict(list)
    for source, destination in edges:
        ways[source].append(destination)
    after = ways[port]
    if len(after) != 1 or after[0] == port:
        return None
    sources = [source for source, destination in edges if destination == port]
    if not sources or any(after[0] in ways[source] for source in sources):
        return None
    return [
        (source, after[0] if destination == port else destination) for source, destination in edges if source != port
    ]
