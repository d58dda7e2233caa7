"""A nested graph laid out flat: every node under its full path, every edge between two nodes.

Ports of subgraphs stay as nodes (an Input or Output that is not at the top is an identity), so that a path says
where a node lies and nothing about cycles changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from nirjax.errors import GraphError
from nirjax.ir.graph import Edge, NIRGraph, depth_of
from nirjax.ir.nodes import Input, NIRNode, Output
from nirjax.ir.raw import check_depth

Path = tuple[str, ...]


@dataclass(frozen=True)
class FlatGraph:
    """All nodes of a nested graph at one level.

    Attributes:
        nodes: dotted path to node, outer before inner, in file order; subgraphs themselves do not appear.
        edges: pairs of dotted paths, each once, in file order.
        inputs, outputs: names of the top level's Input and Output nodes, in file order.
        paths: dotted path to the tuple of names that leads to the node.
        subgraphs: dotted path to subgraph, outer before inner.
    """

    nodes: dict[str, NIRNode]
    edges: tuple[Edge, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    paths: dict[str, Path]
    subgraphs: dict[str, NIRGraph]


def inline(graph: NIRGraph) -> FlatGraph:
    """Lay a graph out flat.

    Raises:
        GraphError: subgraphs nested deeper than `DEEPEST`; an edge into an Input or out of an Output.
    """
    check_depth(depth_of(graph), "")
    names = _dotted(graph)
    nodes: dict[str, NIRNode] = {}
    subgraphs: dict[str, NIRGraph] = {}
    for path, node in _walk(graph, ()):
        if isinstance(node, NIRGraph):
            subgraphs[names[path]] = node
        else:
            nodes[names[path]] = node
    edges = tuple(dict.fromkeys((names[a], names[b]) for a, b in _edges(graph, ())))
    inputs, outputs = (tuple(names[(name,)] for name in ports) for ports in (graph.inputs, graph.outputs))
    for source, destination in edges:
        if destination in inputs:
            raise GraphError("an edge enters an Input", node=destination, field="edges", found=(source, destination))
        if source in outputs:
            raise GraphError("an edge leaves an Output", node=source, field="edges", found=(source, destination))
    paths = {name: path for path, name in names.items() if name in nodes}
    return FlatGraph(nodes, edges, inputs, outputs, paths, subgraphs)


def _walk(graph: NIRGraph, above: Path) -> Iterator[tuple[Path, NIRNode]]:
    for name, node in graph.nodes.items():
        yield (*above, name), node
        if isinstance(node, NIRGraph):
            yield from _walk(node, (*above, name))


def _edges(graph: NIRGraph, above: Path) -> Iterator[tuple[Path, Path]]:
    sources: dict[str, Path] = {}
    destinations: dict[str, Path] = {}
    for edge in graph.edges:
        source, destination = edge
        if source not in sources:
            sources[source] = (*above, *graph.source(edge))
        if destination not in destinations:
            destinations[destination] = (*above, *graph.destination(edge))
        yield sources[source], destinations[destination]
    for name, node in graph.nodes.items():
        if isinstance(node, NIRGraph):
            yield from _edges(node, (*above, name))


def _dotted(graph: NIRGraph) -> dict[Path, str]:
    """A unique dotted name for each path; where two would be the same, the shallower node has it (an exact name
    wins over a path) and the deeper one is written with slashes, and with a number where that is taken too."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    counts: Counter[str] = Counter()
    for path in sorted((path for path, _ in _walk(graph, ())), key=len):
        name = ".".join(path)
        if name in taken:
            name = slashed = "/".join(path)
            while name in taken:
                counts[slashed] += 1
                name = f"{slashed}_{counts[slashed]}"
        names[path] = name
        taken.add(name)
    return names


def port_kind(flat: FlatGraph, name: str) -> str | None:
    """ "input" or "output" for a port of the whole graph, "inner" for a subgraph's port, None for any other node."""
    if not isinstance(flat.nodes[name], Input | Output):
        return None
    return "input" if name in flat.inputs else "output" if name in flat.outputs else "inner"
