"""Recurrent layers whose input enters the recurrent weights instead of the neuron.

Spyx and snnTorch run  x -> neuron -> w_rec -> neuron  and write  x -> w_rec -> neuron -> w_rec.  The second is legal
NIR with another meaning, so that nothing mends it unasked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nirjax.errors import quoted
from nirjax.ir.graph import Edge, NIRGraph
from nirjax.ir.nodes import Affine, Linear, NIRNode
from nirjax.ir.raw import Notice


def misrouted(nodes: Mapping[str, NIRNode], edges: Sequence[Edge]) -> dict[Edge, Edge]:
    """Edges from outside into the weights of a recurrent layer that nothing else enters, to the edges that were meant.

    A layer is a neuron and weights w (an Affine or Linear) with edges both ways; all that enters the neuron is w's.
    """
    entering: dict[str, dict[str, None]] = {}
    for a, b in edges:
        entering.setdefault(b, {})[a] = None
    there = set(edges)
    neurons: dict[str, set[str]] = {}
    for weights, neuron in edges:
        is_layer = isinstance(nodes.get(weights), Affine | Linear) and (neuron, weights) in there
        if is_layer and neuron in nodes and nodes[neuron].stateful and len(entering[neuron]) == 1:
            neurons.setdefault(weights, set()).add(neuron)
    meant: dict[Edge, Edge] = {}
    for weights, found in neurons.items():
        if len(found) == 1:  # of several neurons any could have been meant
            (neuron,) = found
            meant |= {(a, weights): (a, neuron) for a in entering[weights] if a != neuron}
    return meant


def rewired(graph: NIRGraph, path: str = "") -> tuple[NIRGraph, list[Notice]]:
    """The graph and its subgraphs with every such edge led into the neuron, in its place in the file; what was done."""
    done: list[Notice] = []
    nodes: dict[str, NIRNode] = {}
    for name, node in graph.nodes.items():
        nodes[name] = node
        if isinstance(node, NIRGraph):
            nodes[name], more = rewired(node, f"{path}.{name}" if path else name)
            done += more
    meant = misrouted(graph.nodes, graph.edges)
    for old, new in meant.items():
        text = f"{quoted(old[0])} enters the neuron {quoted(new[1])} and no longer its recurrent weights"
        done.append(Notice(text, f"{path}.{old[1]}" if path else old[1], "edges"))
    if not done:
        return graph, []
    edges = tuple(meant.get(edge, edge) for edge in graph.edges)
    return NIRGraph(nodes, edges, metadata=graph.metadata), done
