"""Graphs as plain dicts: reading a file, inlining subgraphs, choosing the feedback edges.

The dict form of a graph, the same as what is in a file:

    {"type": "NIRGraph", "nodes": {name: {"type": "LIF", "tau": array, ...}}, "edges": [(source, target), ...]}

A node of type "NIRGraph" holds a graph of its own. "type" may be left out at the top. Nodes and edges have an order, that of the
dict and of the list; in a file it is the order in which h5py lists the nodes (by name, unless the file tracks the order of
creation) and that of the edge array.
"""

from dataclasses import dataclass

import h5py
import numpy as np


def load(graph):
    """The dict form of a graph, given as a path to a .nir file or already as a dict."""
    if isinstance(graph, dict):
        return graph
    with h5py.File(graph, "r") as file:
        return _read_group(file["node"])


def _read_group(group):
    """One HDF5 group as a dict; strings become str, arrays keep the dtype of the file."""
    result = {}
    for key, item in group.items():
        if key == "edges":
            result[key] = [(_text(source), _text(target)) for source, target in item[()]]
        elif isinstance(item, h5py.Group):
            result[key] = _read_group(item)
        else:
            result[key] = _text(item[()])
    return result


def save(graph, path):
    """Write the dict form to a .nir file. Files keep no order of nodes: read back, they are sorted by name."""
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        _write_group(file.create_group("node"), {"type": "NIRGraph", **graph})


def _write_group(group, content):
    for key, item in content.items():
        if key == "edges":
            group.create_dataset(key, data=np.array(item, dtype=object).reshape(-1, 2), dtype=h5py.string_dtype())
        elif isinstance(item, dict):
            _write_group(group.create_group(key), item)
        else:
            group[key] = item


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


@dataclass
class FlatGraph:
    """A graph without subgraphs. A node's key is its path: ("a",) at the top, ("sub", "a") inside the subgraph `sub`.

    nodes: {path: node dict}, in file order, a subgraph's nodes in the place of the subgraph
    edges: [(source path, target path)], without duplicates
    """

    nodes: dict
    edges: list

    def sources(self, path):
        return [source for source, target in self.edges if target == path]

    def targets(self, path):
        return [target for source, target in self.edges if source == path]

    def inputs(self):
        """Paths of the graph's own Input nodes; a subgraph's Input is an identity like any other."""
        return [path for path, node in self.nodes.items() if node["type"] == "Input" and len(path) == 1]

    def outputs(self):
        return [path for path, node in self.nodes.items() if node["type"] == "Output" and len(path) == 1]


def flatten(graph):
    """Inline the subgraphs: their nodes get paths, their Input and Output nodes stay as identities."""
    nodes, edges = {}, []
    _inline(graph, (), nodes, edges)
    return FlatGraph(nodes, list(dict.fromkeys(edges)))


def _inline(graph, prefix, nodes, edges):
    for source, target in graph["edges"]:
        edges.append((prefix + _resolve(graph, source, "Output"), prefix + _resolve(graph, target, "Input")))
    for name, node in graph["nodes"].items():
        if node["type"] == "NIRGraph":
            _inline(node, (*prefix, name), nodes, edges)
        else:
            nodes[(*prefix, name)] = node


def _resolve(graph, name, port_type):
    """The path that one end of an edge means. An exact name wins, then the longest prefix that names a subgraph.

    A subgraph without a port means its single Input (as a target) or its single Output (as a source).
    """
    nodes = graph["nodes"]
    if name in nodes:
        if nodes[name]["type"] != "NIRGraph":
            return (name,)
        ports = [port for port, node in nodes[name]["nodes"].items() if node["type"] == port_type]
        if len(ports) != 1:
            raise ValueError(f"{name!r} has {len(ports)} {port_type} nodes: an edge must say which")
        return (name, ports[0])
    for cut in range(len(name) - 1, 0, -1):
        if name[cut] == "." and nodes.get(name[:cut], {}).get("type") == "NIRGraph":
            port = name[cut + 1 :]
            if nodes[name[:cut]]["nodes"].get(port, {}).get("type") == port_type:
                return (name[:cut], port)
    raise ValueError(f"an edge names {name!r}, which is neither a node nor the {port_type} of a subgraph")


def schedule(flat, order_free):
    """The order in which the nodes are computed in one step, and the set of feedback edges.

    Depth-first search from the inputs, then from the remaining nodes, in file order, following edges in file order. An edge
    that reaches a node still on the stack is a feedback edge. Edges into order-free nodes (whose output does not depend on
    their present input) impose no order: the search does not follow them. Without those and the feedback edges nothing is
    cyclic, and the reverse of the order in which the search leaves the nodes is an order of computation.
    """
    feedback, left, on_stack, seen = set(), [], set(), set()

    def visit(node):
        seen.add(node)
        on_stack.add(node)
        for target in flat.targets(node):
            if target in order_free:
                continue
            if target in on_stack:
                feedback.add((node, target))
            elif target not in seen:
                visit(target)
        on_stack.remove(node)
        left.append(node)

    for start in flat.inputs() + list(flat.nodes):
        if start not in seen:
            visit(start)
    return left[::-1], feedback
