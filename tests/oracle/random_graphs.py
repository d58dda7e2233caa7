"""Random small graphs on which two implementations must agree spike for spike.

    graph, x, dt = random_case(np.random.default_rng(seed))

`graph` is the dict form that is described in graph.py and that oracle.run takes:

    {"type": "NIRGraph",
     "nodes": {"a1": {"type": "Input", "shape": array([3])}, "k2": {"type": "LIF", "tau": array, "r": array, ...}, ...},
     "edges": [("a1", "k2"), ...]}

A node of type "NIRGraph" holds such a dict. Fields have the names of the NIR files and hold float64 arrays (counts and shapes:
ints and int arrays, padding: or "same", "valid"). `v_reset` and `w_in` are sometimes left out. Nodes are in the order of their
names, so that writing the graph to a file and reading it back does not change their order; edges are shuffled, and now and then
one occurs twice. `x` is (time, batch, *shape), float64, or a dict of such arrays by Input node if there are several.

Every spiking layer fires in 1 to 60 % of its steps, no membrane comes within 1e-9 of its threshold, and where a feedback edge
starts does not hang on what a Delay gave before the first step. Cases that miss this are drawn anew; pass a Counter as `stats` to
see how many. `python -m oracle.random_graphs` prints a census.
"""

from collections import Counter

import numpy as np

from .graph import flatten
from .random_nodes import ANALOGUE, SPIKING, draw_matrix, draw_node, random_delay
from .random_subgraphs import wrap
from .run import Network, run

RATES = (0.01, 0.6)
MARGIN = 1e-9
LARGEST = 1e3

_NEURONS = {**dict.fromkeys(SPIKING, 0.14), **dict.fromkeys(ANALOGUE, 0.05)}
_OTHERS = {"Scale": 0.05, "Delay": 0.12, "Threshold": 0.05}
_BY_RANK = {
    1: {"Affine": 0.2, "Linear": 0.15, **_NEURONS, **_OTHERS},
    2: {"Conv1d": 0.45, "Affine": 0.08, "Linear": 0.08, "Flatten": 0.1, **_NEURONS, **_OTHERS},
    3: {"Conv2d": 0.4, "SumPool2d": 0.2, "AvgPool2d": 0.2, "Flatten": 0.1, **_NEURONS, **_OTHERS},
}


def random_case(rng, *, rules=None, start="rest", stats=None):
    """(graph, x, dt); lively and free of ties under the given rules (by default the default dialect)."""
    stats = Counter() if stats is None else stats
    if_gain = (rules or {}).get("if_gain", "dt")
    while True:
        dt = float(rng.choice([1e-4, 1e-3, 0.1, 0.37, 1.0]))
        graph, x = _Draft(rng, dt, if_gain).finish()
        problem = _make_lively(rng, graph, x, dt, rules, start, stats) or _unfit(graph, x, dt, rules, start)
        if problem is None:
            stats["cases"] += 1
            return graph, x, dt
        stats[f"graphs drawn anew: {problem}"] += 1


def _make_lively(rng, graph, x, dt, rules, start, stats):
    """Draw the scale of thresholds anew until every layer's rate is in range; the problem if that does not succeed."""
    nodes = flatten(graph).nodes
    for _ in range(12):
        rates = spike_rates(graph, x, dt, rules, start)
        wrong = [path for path, rate in rates.items() if not RATES[0] <= rate <= RATES[1]]
        if not wrong:
            return None
        for path in wrong:
            factor = rng.uniform(1.2, 2.0) if rates[path] > RATES[1] else rng.uniform(0.4, 0.8)
            for key in {"v_threshold", "v_reset", "threshold"} & set(nodes[path]):
                nodes[path][key] = nodes[path][key] * factor
            stats["thresholds drawn anew"] += 1
    return "rates"


def spike_rates(graph, x, dt, rules=None, start="rest"):
    """{path: the share of steps, over neurons and batch, in which a spiking layer or a Threshold gives something}."""
    _, traces = run(graph, x, dt=dt, rules=rules, record=True, start=start)
    return {
        path: np.mean(traces[".".join(path) + ".output"] > 0)
        for path, node in flatten(graph).nodes.items()
        if node["type"] in (*SPIKING, "Threshold")
    }


def _unfit(graph, x, dt, rules, start):
    """Why two right implementations might differ, or None."""
    _, traces = run(graph, x, dt=dt, rules=rules, record=True, start=start)
    if min(trace.min() for name, trace in traces.items() if name.endswith(".margin")) < MARGIN:
        return "margin"
    if not all(np.abs(trace).max() < LARGEST for trace in traces.values()):
        return "size"
    if start == "rest" and _hangs_on_the_past_of_a_delay(graph, x, dt, rules):
        return "rest"
    return None


def _hangs_on_the_past_of_a_delay(graph, x, dt, rules):
    """Would a register start elsewhere if delays had always received what they receive at rest?"""
    network = Network(graph, x, dt, rules, "rest", float)
    starts = dict(network.register)
    for path, node in network.nodes.items():
        if node["type"] == "Delay":
            identity = {"type": "Scale", "scale": np.ones(np.shape(node["delay"]))}
            network.nodes[path] = network.flat.nodes[path] = identity
    return any(not np.array_equal(network.at_rest(edge[0]), value) for edge, value in starts.items())


class _Draft:
    """A graph in the making: a trunk from the first input, then whatever joins, leaves or goes round it."""

    def __init__(self, rng, dt, if_gain):
        self.rng, self.dt, self.if_gain = rng, dt, if_gain
        self.nodes, self.edges, self.entering, self.leaving = {}, [], {}, {}

    def finish(self):
        """(graph, x)"""
        self.trunk()
        for probability, extend in [
            (0.35, self.further_input),
            (0.1, self.further_input),
            (0.4, self.fan_in),
            (0.65, self.feedback),
            (0.25, self.feedback),
            (0.1, self.repeat_an_edge),
        ]:
            if self.chance(probability):
                extend()
        self.outputs()
        x = self.signals()
        self.rng.shuffle(self.edges)
        graph = {"type": "NIRGraph", "nodes": self.nodes, "edges": [tuple(edge) for edge in self.edges]}
        for probability in (0.4, 0.3):
            if self.chance(probability):
                graph = wrap(self.rng, graph, self.name(), self.entering, self.leaving)
        return _sorted_by_name(graph), x

    def chance(self, probability):
        return self.rng.random() < probability

    def choose(self, options):
        return options[self.rng.integers(len(options))] if options else None

    def name(self):
        """A new name; some have a dot in them. The first letter shuffles the order of names."""
        letter = chr(97 + self.rng.integers(26))
        return f"{letter}{len(self.entering)}" + (".x" if self.chance(0.1) else "")

    def place(self, node, entering, leaving, source=None):
        name = self.name()
        self.nodes[name], self.entering[name], self.leaving[name] = node, entering, leaving
        if source is not None:
            self.edges.append((source, name))
        return name

    def add(self, kind, source):
        """A new node of type `kind` behind `source`."""
        shape = self.leaving[source]
        node, leaving = draw_node(self.rng, kind, shape, self.dt, self.if_gain)
        return self.place(node, shape, leaving, source)

    def input(self, shape):
        return self.place({"type": "Input", "shape": np.array(shape)}, shape, shape)

    def trunk(self):
        size = self.rng.integers
        tip = self.input(
            [
                (int(size(2, 7)),),
                (2, int(size(3, 6))),
                (int(size(1, 3)), int(size(3, 6)), int(size(3, 6))),
            ][self.rng.choice(3, p=[0.4, 0.25, 0.35])]
        )
        for _ in range(size(3, 7)):
            weights = _BY_RANK[len(self.leaving[tip])]
            tip = self.add(
                str(self.rng.choice(list(weights), p=np.array(list(weights.values())) / sum(weights.values()))), tip
            )
        if len(self.leaving[tip]) > 1 and self.chance(0.6):
            tip = self.add("Affine", self.flattened(tip))
        if self.chance(0.5) or not any(node["type"] in SPIKING for node in self.nodes.values()):
            self.add(self.choose(SPIKING), tip)

    def flattened(self, source):
        """A node that carries all that `source` gives as one vector."""
        shape = self.leaving[source]
        if len(shape) == 1:
            return source
        node = {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array(shape)}
        return self.place(node, shape, (int(np.prod(shape)),), source)

    def join(self, source, target, direct=0.5):
        """Lead what `source` gives into `target`, through a weight unless the shapes agree; False where that cannot be."""
        entering = self.entering[target]
        if entering == self.leaving[source] and (self.chance(direct) or len(entering) > 1):
            self.edges.append((source if self.chance(direct) else self.add("Scale", source), target))
        elif len(entering) == 1:
            vector = self.flattened(source)
            (inputs,), (outputs,) = self.leaving[vector], entering
            node = draw_matrix(self.rng, self.choose(["Affine", "Linear"]), inputs, outputs)
            self.edges.append((self.place(node, (inputs,), entering, vector), target))
        else:
            return False
        return True

    def inner(self):
        return [name for name, node in self.nodes.items() if node["type"] != "Input"]

    def further_input(self):
        target = self.choose(self.inner())
        shape = self.entering[target]
        self.join(self.input(shape if len(shape) > 1 else (int(self.rng.integers(1, 5)),)), target)

    def fan_in(self):
        """One more edge into a node, from where it does not lead."""
        target = self.choose(self.inner())
        sources = [
            name for name in self.nodes if target not in self.ancestors(name) and (name, target) not in self.edges
        ]
        if sources:
            self.join(self.choose(sources), target)

    def feedback(self):
        """From a neuron back to itself or to a node before it, sometimes through a Delay."""
        source = self.choose([name for name in self.nodes if self.nodes[name]["type"] in SPIKING + ANALOGUE])
        before = [name for name in self.ancestors(source) if self.nodes[name]["type"] != "Input"]
        target = source if self.chance(0.4) else self.choose(before)
        if self.chance(0.3):
            shape = self.leaving[source]
            delay = random_delay(self.rng, shape, self.dt, at_least=int(self.rng.integers(2)))
            source = self.place({"type": "Delay", "delay": delay}, shape, shape, source)
        self.join(source, target, direct=0.2)

    def ancestors(self, name):
        """The node itself and everything from which it can be reached."""
        found = [name]
        for node in found:
            found += [source for source, target in self.edges if target == node and source not in found]
        return list(dict.fromkeys(found))

    def repeat_an_edge(self):
        self.edges.append(self.choose(self.edges))

    def outputs(self):
        """An Output for every node that leads nowhere, and sometimes for one that does."""
        with_target = {source for source, _ in self.edges}
        tapped = [name for name in self.nodes if name not in with_target]
        if self.chance(0.4) or not tapped:
            tapped.append(self.choose(self.inner()))
        for name in dict.fromkeys(tapped):
            shape = self.leaving[name]
            self.place({"type": "Output", "shape": np.array(shape)}, shape, shape, name)

    def signals(self):
        """Spikes or continuous values for every Input."""
        steps, batch = int(self.rng.integers(12, 21)), int(self.rng.integers(1, 3))
        x = {}
        for name, node in self.nodes.items():
            if node["type"] == "Input":
                shape = (steps, batch, *node["shape"])
                spikes = (self.rng.random(shape) < 0.4).astype(float)
                x[name] = spikes if self.chance(0.5) else self.rng.normal(0.3, 0.8, shape)
        return x if len(x) > 1 else next(iter(x.values()))


def _sorted_by_name(graph):
    nodes = {
        name: _sorted_by_name(node) if node["type"] == "NIRGraph" else node
        for name, node in sorted(graph["nodes"].items())
    }
    return {**graph, "nodes": nodes}
