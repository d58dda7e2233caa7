"""The Inputs and Outputs that a graph needs before it can run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nirjax.errors import GraphError
from nirjax.ir.findings import reachable
from nirjax.ir.graph import NIRGraph
from nirjax.ir.inline import FlatGraph
from nirjax.ir.nodes import Input, Output


def with_ports(graph: NIRGraph) -> NIRGraph:
    """The graph with an Input before every root, if it has no Input, and an Output behind every leaf, if it has none.

    Raises:
        GraphError: a graph with no root or leaf, or whose shape there is not known.
    """
    nodes, edges = dict(graph.nodes), list(graph.edges)
    ends = {
        kind: {(graph.source, graph.destination)[side](edge)[0] for edge in graph.edges}
        for side, kind in enumerate(("source", "destination"))
    }
    if not graph.inputs:
        for name in [name for name in graph.nodes if name not in ends["destination"]]:
            port = _free_name(nodes, f"input_{name}")
            nodes[port] = Input(_port_shape(graph, name, "input"))
            edges.insert(0, (port, name))
    if not graph.outputs:
        for name in [name for name in graph.nodes if name not in ends["source"] and name not in graph.inputs]:
            port = _free_name(nodes, f"output_{name}")
            nodes[port] = Output(_port_shape(graph, name, "output"))
            edges.append((name, port))
    if len(nodes) == len(graph.nodes):
        return graph
    return NIRGraph(nodes, tuple(edges), metadata=graph.metadata)


def _free_name(nodes: Mapping[str, object], wished: str) -> str:
    """The name, with a number behind it where it is taken, as the reference package does it."""
    numbered = (f"{wished}_{number}" for number in range(len(nodes) + 1))
    return next(name for name in (wished, *numbered) if name not in nodes)


def _port_shape(graph: NIRGraph, name: str, side: str) -> np.ndarray:
    node = graph.nodes[name]
    types = node.input_type if side == "input" else node.output_type
    shapes = list(types.values())
    if len(shapes) != 1 or shapes[0] is None:
        raise GraphError(
            f"the graph has no {side.capitalize()} node, and what shape one would have is not known",
            node=name,
            field="nodes",
            hint=f"Add an {side.capitalize()} node to the graph.",
        )
    return shapes[0]


def refuse_unreachable(flat: FlatGraph) -> None:
    """Every Output must be reached from an Input."""
    for kind, ports in (("Input", flat.inputs), ("Output", flat.outputs)):
        if not ports:
            raise GraphError(
                f"the graph has no {kind} node, and none can be added: every node lies on a cycle or there is none",
                node="",
                field="nodes",
            )
    seen = reachable(flat.inputs, flat.edges)
    for name in flat.outputs:
        if name not in seen:
            raise GraphError("no Input reaches this Output", node=name, field="edges", hint="Connect it, or remove it.")
