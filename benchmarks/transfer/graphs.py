"""The same graph in the form that an importer finds its way by. What it computes stays what it was."""

from __future__ import annotations

import dataclasses

import numpy as np

import nirjax
from nirjax import ir


def nested(graph: nirjax.NIRGraph) -> nirjax.NIRGraph:
    """Each neuron with its recurrent weights as a subgraph of input, neuron, weights and output.

    snnTorch and Rockpool take a recurrent layer in this form only.
    """
    for neuron, weights in recurrent_layers(graph):
        graph = _nested_one(graph, neuron, weights)
    return graph


def recurrent_layers(graph: nirjax.NIRGraph) -> list[tuple[str, str]]:
    """Pairs (neuron, weights) that are connected both ways."""
    edges = set(graph.edges)
    return [(a, b) for a, b in graph.edges if (b, a) in edges and not isinstance(graph.nodes[a], ir.Affine | ir.Linear)]


def _nested_one(graph: nirjax.NIRGraph, neuron: str, weights: str) -> nirjax.NIRGraph:
    name = neuron.partition(".")[0]
    size = np.shape(graph.nodes[neuron].v_threshold)
    inner = nirjax.NIRGraph(
        {"input": ir.Input(size), "lif": graph.nodes[neuron], "output": ir.Output(size), "w_rec": graph.nodes[weights]},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    nodes = {name if k == neuron else k: inner if k == neuron else v for k, v in graph.nodes.items() if k != weights}
    edges = [(name if a == neuron else a, name if b == neuron else b) for a, b in graph.edges if weights not in (a, b)]
    return dataclasses.replace(graph, nodes=nodes, edges=edges)


def in_steps(graph: nirjax.NIRGraph, dt: float) -> nirjax.NIRGraph:
    """With time constants in steps: Sinabs takes the file's numbers for that."""
    nodes = {name: _in_steps(node, dt) for name, node in graph.nodes.items()}
    return dataclasses.replace(graph, nodes=nodes)


def _in_steps(node: ir.NIRNode, dt: float) -> ir.NIRNode:
    fields = {name: getattr(node, name) for name in ("tau", "tau_mem", "tau_syn") if hasattr(node, name)}
    return dataclasses.replace(node, **{name: (value / dt).astype(value.dtype) for name, value in fields.items()})
