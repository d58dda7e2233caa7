"""What occurs in random graphs, counted: `python -m oracle.random_census [cases]`."""

import sys
from collections import Counter

import numpy as np

from . import neurons
from .random_graphs import random_case
from .run import Network

NODE_TYPES = (
    *("Input", "Output", "Affine", "Linear", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten"),
    *("Threshold", "Delay", "LIF", "CubaLIF", "LI", "CubaLI", "IF", "I"),
)

COMMON = {
    "feedback",
    "self loop",
    "integer delay",
    "fractional delay",
    "subgraph",
    "port",
    "fan-in",
    "several inputs",
    "several outputs",
}


def features(graph, x, dt, rules=None):
    """What occurs in a case: node types, and the names below."""
    network = Network(graph, x, dt, rules, "rest", float)
    flat, lines = network.flat, network.delays.values()
    entered = Counter(target for _, target in flat.edges)
    tests = {
        "feedback": bool(network.register),
        "self loop": any(
            _loops_back(flat, path) for path, node in flat.nodes.items() if node["type"] in neurons.NEURONS
        ),
        "fan-in": max(entered.values()) > 1,
        "several inputs": len(flat.inputs()) > 1,
        "several outputs": len(flat.outputs()) > 1,
        "subgraph": any(node["type"] == "NIRGraph" for node in graph["nodes"].values()),
        "subgraph in subgraph": max(map(len, flat.nodes)) > 2,
        "port": any(end not in graph["nodes"] for edge in graph["edges"] for end in edge),
        "fractional delay": any(np.any(line.rest > 0) for line in lines),
        "integer delay": any(np.any((line.rest == 0) & (line.whole > 0)) for line in lines),
        "order-free delay": bool(network.order_free),
        "repeated edge": len(set(graph["edges"])) < len(graph["edges"]),
        "autonomous start": any(np.any(value != 0) for value in network.register.values()),
    }
    return {node["type"] for node in flat.nodes.values()} | {name for name, present in tests.items() if present}


def _loops_back(flat, start):
    """Is there a cycle through this neuron and no other node with a state?"""
    seen, front = set(), [start]
    while front:
        for target in flat.targets(front.pop()):
            if target == start:
                return True
            if target not in seen and flat.nodes[target]["type"] not in neurons.NEURONS | {"Delay"}:
                seen.add(target)
                front.append(target)
    return False


def census(count, seed=0):
    """(how many of `count` cases have which feature, what had to be drawn anew)."""
    rng, stats, found = np.random.default_rng(seed), Counter(), Counter()
    for _ in range(count):
        found.update(features(*random_case(rng, stats=stats)))
    return found, stats


if __name__ == "__main__":
    for counter in census(int(sys.argv[1]) if len(sys.argv) > 1 else 100):
        print("\n".join(f"{number:6d}  {name}" for name, number in counter.most_common()), end="\n\n")
