"""Putting some nodes of a graph into a subgraph without changing what the graph does."""

import numpy as np


def wrap(rng, graph, name, entering, leaving):
    """The graph with two to four connected nodes moved into a new subgraph `name`.

    entering, leaving: shapes of what enters and leaves an edge's end (a node or "subgraph.port"); the new ports are added.
    """
    members = _connected(rng, graph)
    if not members:
        return graph
    inner, outer, ports = [], [], {}

    def port(end, kind, shape):
        """The port that stands for `end`, a new one at its first use."""
        if (end, kind) not in ports:
            port_name = f"{kind[:-3].lower()}{len(ports)}"
            ports[end, kind] = (port_name, {"type": kind, "shape": np.array(shape)})
            inner.append((port_name, end) if kind == "Input" else (end, port_name))
        return ports[end, kind][0]

    for source, target in graph["edges"]:
        source_inside, target_inside = _owner(graph, source) in members, _owner(graph, target) in members
        if source_inside and target_inside:
            inner.append((source, target))
        elif target_inside:
            outer.append((source, (name, port(target, "Input", entering[target]))))
        elif source_inside:
            outer.append(((name, port(source, "Output", leaving[source])), target))
        else:
            outer.append((source, target))

    nodes = {member: graph["nodes"][member] for member in members} | dict(ports.values())
    spelled = {}
    for (end, kind), (port_name, _) in ports.items():
        alone = sum(other == kind for _, other in ports) == 1
        spelled[name, port_name] = name if alone and rng.random() < 0.5 else f"{name}.{port_name}"
        shapes = entering if kind == "Input" else leaving
        shapes[spelled[name, port_name]] = shapes[end]
    entering.setdefault(name, ()), leaving.setdefault(name, ())
    kept = {key: node for key, node in graph["nodes"].items() if key not in members}
    return {
        "type": "NIRGraph",
        "nodes": {**kept, name: {"type": "NIRGraph", "nodes": nodes, "edges": inner}},
        "edges": [(spelled.get(source, source), spelled.get(target, target)) for source, target in outer],
    }


def _owner(graph, end):
    """The node to which one end of an edge belongs."""
    return end if end in graph["nodes"] else end.rpartition(".")[0]


def _connected(rng, graph):
    """Two to four nodes, grown from one along edges; Input and Output nodes stay outside."""
    free = [name for name, node in graph["nodes"].items() if node["type"] not in ("Input", "Output")]
    members = [free[rng.integers(len(free))]]
    for _ in range(rng.integers(1, 4)):
        pairs = [(_owner(graph, a), _owner(graph, b)) for a, b in graph["edges"]]
        around = [n for pair in pairs for n in pair if set(pair) & set(members) and n not in members and n in free]
        if around:
            members.append(around[rng.integers(len(around))])
    return members
