"""Running a graph: a plain loop over time, node after node."""

import numpy as np

from . import neurons, primitives
from .delay import DelayLine
from .graph import flatten, load, schedule


def run(graph, x, *, dt, rules=None, record=False, start="rest", dtype=np.float64):
    """(outputs, traces) of a graph over a whole recording.

    graph: a path to a .nir file, or the dict form (see graph.py)
    x: (time, *batch, *input shape), or a dict of such arrays by the name of the Input node
    rules: a dict for all neurons, or a function (node name, type) -> dict; see neurons.py
    start: where feedback edges start: "rest", what they carry while all neurons are silent and the inputs are zero, or "zero"
    dtype: of all arithmetic

    outputs: an array if the graph has one Output node, else a dict by name. traces, empty unless `record`, are arrays over
    time: "<node>.output" for every node, "<node>.v" and "<node>.i" for neurons (after the step), "<node>.spikes" for spiking
    ones, and "<node>.margin" for whatever compares with a threshold: how near the comparison came to going the other way.
    A node inside a subgraph is "<subgraph>.<node>".
    """
    network = Network(load(graph), x, dt, rules, start, dtype)
    history = [network.step(t) for t in range(network.steps)]
    outputs = {path[0]: np.stack([values[path]["output"] for values in history]) for path in network.flat.outputs()}
    traces = {}
    if record:
        for path in network.flat.nodes:
            for variable in history[0][path]:
                traces[".".join(path) + "." + variable] = np.stack([values[path][variable] for values in history])
    return (next(iter(outputs.values())) if len(outputs) == 1 else outputs), traces


class Network:
    """A flattened graph with its parameters in one dtype, its order of computation, its state and its registers."""

    def __init__(self, graph, x, dt, rules, start, dtype):
        self.flat = flatten(graph)
        self.dtype, self.dt = np.dtype(dtype), np.dtype(dtype).type(dt)
        self.x = self._input_arrays(x)
        self.steps = len(next(iter(self.x.values())))
        self.batch = self._batch_shape()
        self.rules = {path: neurons.complete(_rules_of(rules, path, node)) for path, node in self.flat.nodes.items()}
        self.shapes = self._input_shapes()
        self.delays = {
            path: DelayLine(node["delay"], dt, self.shapes[path], self.dtype)
            for path, node in self.flat.nodes.items()
            if node["type"] == "Delay"
        }
        self.nodes = {path: _cast(node, self.dtype) for path, node in self.flat.nodes.items()}
        self.state = {
            path: neurons.initial_state(node, self.shapes[path], self.dtype, self.rules[path])
            for path, node in self.nodes.items()
            if node["type"] in neurons.NEURONS
        }
        self.order_free = {path for path in self.nodes if self._is_order_free(path)}
        self.order, feedback = schedule(self.flat, self.order_free)
        self.register = {edge: self._start_of_register(edge, start) for edge in feedback}

    def step(self, t):
        """Advance by one step; {path: {variable: value}}."""
        values = {path: {"output": self._emitted(path)} for path in self.order_free}
        for path in [p for p in self.order if p not in self.order_free] + [
            p for p in self.order if p in self.order_free
        ]:
            values[path] = self._compute(path, self._input(path, values, t))
        self.register = {edge: values[edge[0]]["output"] for edge in self.register}
        return values

    def _input(self, path, values, t):
        """The sum over all edges into a node: of this step's values, and of the registers' on feedback edges."""
        total = np.zeros(self.shapes[path], self.dtype)
        if path in self.x:
            total = total + self.x[path][t]
        for source in self.flat.sources(path):
            edge = (source, path)
            total = total + (self.register[edge] if edge in self.register else values[source]["output"])
        return total

    def _compute(self, path, x):
        """Update one node: {"output": ..., and what else it has}."""
        node = self.nodes[path]
        if node["type"] == "Delay":
            output = self.delays[path].output(x)
            self.delays[path].push(x)
            return {"output": output}
        if node["type"] in neurons.NEURONS:
            output, state, margin = neurons.step(node, self.state[path], x, self.dt, self.rules[path])
            self.state[path] = state
            spiking = {} if margin is None else {"spikes": output, "margin": margin}
            return {"output": output, **state, **spiking}
        result = {"output": primitives.apply(node, x, len(self.batch))}
        if node["type"] == "Threshold":
            result["margin"] = np.abs(x - node["threshold"])
        return result

    def _is_order_free(self, path):
        """Does the node's output not depend on its present input?"""
        node = self.flat.nodes[path]
        if node["type"] == "Delay":
            return self.delays[path].at_least_one_step()
        return node["type"] in neurons.SPIKING and self.rules[path]["spike_from"] == "pre"

    def _emitted(self, path):
        """This step's output of an order-free node."""
        node = self.nodes[path]
        if node["type"] == "Delay":
            return self.delays[path].output(np.zeros(self.shapes[path], self.dtype))
        return neurons.emitted_before(node, self.state[path], self.rules[path])

    def _start_of_register(self, edge, start):
        source = edge[0]
        if start == "rest":
            return self.at_rest(source)
        return np.zeros_like(self._output_for(source, np.zeros(self.shapes[source], self.dtype)))

    def at_rest(self, path, pending=()):
        """What a node gives while spiking neurons are silent, other states are at their start, and inputs are zero.

        The start of a Delay is an empty past: it gives zero, whatever constant may enter it.
        """
        if path in pending:
            raise ValueError(f"nothing on a cycle through {'.'.join(path)!r} has a state: it has no value at rest")
        node = self.nodes[path]
        if node["type"] in neurons.NEURONS - neurons.SPIKING:
            return self.state[path]["v"]
        total = np.zeros(self.shapes[path], self.dtype)
        if node["type"] not in neurons.SPIKING | {"Delay"}:
            total = total + sum(self.at_rest(source, (*pending, path)) for source in self.flat.sources(path))
        return self._output_for(path, total)

    def _output_for(self, path, x):
        """The output for one input, the state left as it is; a neuron's has the shape of its membrane."""
        node = self.flat.nodes[path]
        if node["type"] == "Delay":
            return DelayLine(node["delay"], self.dt, x.shape, self.dtype).output(x)
        if node["type"] in neurons.NEURONS:
            return np.zeros(np.broadcast_shapes(x.shape, _parameter_shape(node)), self.dtype)
        return primitives.apply(_cast(node, self.dtype), x, len(self.batch))

    def _input_arrays(self, x):
        inputs = self.flat.inputs()
        if not isinstance(x, dict):
            if len(inputs) != 1:
                raise ValueError(f"{len(inputs)} Input nodes need a dict of arrays")
            x = {inputs[0][0]: x}
        return {path: np.asarray(x[path[0]], self.dtype) for path in inputs}

    def _batch_shape(self):
        """The axes of x between time and the Input's shape; leading axes of length 1 of that shape count for nothing."""
        path, x = next(iter(self.x.items()))
        shape = [int(n) for n in np.atleast_1d(self.flat.nodes[path]["shape"])]
        while shape[:1] == [1] and tuple(shape) != x.shape[x.ndim - len(shape) :]:
            shape = shape[1:]
        return x.shape[1 : x.ndim - len(shape)]

    def _input_shapes(self):
        """{path: (*batch, *shape) of what enters the node}, found by passing zeros along the edges from the inputs.

        Where that gets no further (a cycle that no input reaches) the parameters of the next node in file order say it.
        """
        shapes = {path: x.shape[1:] for path, x in self.x.items()}
        while len(shapes) < len(self.flat.nodes):
            reached = [
                (target, source) for source, target in self.flat.edges if source in shapes and target not in shapes
            ]
            if reached:
                target, source = reached[0]
                shapes[target] = self._output_for(source, np.zeros(shapes[source], self.dtype)).shape
            else:
                path = next(path for path in self.flat.nodes if path not in shapes)
                shapes[path] = self.batch + _input_shape_from_parameters(self.flat.nodes[path])
        return shapes


def _rules_of(rules, path, node):
    if callable(rules):
        rules = rules(".".join(path), node["type"])
    return rules or {}


_NOT_CAST = {
    "stride",
    "padding",
    "dilation",
    "groups",
    "input_shape",
    "kernel_size",
    "start_dim",
    "end_dim",
    "shape",
    "delay",
}


def _cast(node, dtype):
    """The node with its real parameters in `dtype`; what counts or says a shape stays as it is."""
    return {
        key: value if key in _NOT_CAST or isinstance(value, (str, dict)) else np.asarray(value, dtype)
        for key, value in node.items()
        if key not in ("metadata", "input_type")
    }


def _parameter_shape(node):
    """The shape of a neuron's parameters together."""
    return np.broadcast_shapes(*(np.shape(v) for k, v in node.items() if k not in ("type", "metadata")))


def _input_shape_from_parameters(node):
    """The shape that a node's parameters say its input has."""
    if node["type"] in neurons.NEURONS:
        return _parameter_shape(node)
    if node["type"] in ("Affine", "Linear"):
        return np.shape(node["weight"])[:-2] + np.shape(node["weight"])[-1:]
    for key in ("scale", "threshold", "delay"):
        if key in node:
            return np.shape(node[key])
    if node["type"] in ("Conv1d", "Conv2d") and node.get("input_shape") is not None:
        channels = np.shape(node["weight"])[1] * int(node["groups"])
        return (channels, *tuple(int(n) for n in np.atleast_1d(node["input_shape"])))
    if node["type"] in ("Input", "Output"):
        return tuple(int(n) for n in np.atleast_1d(node["shape"]))
    raise ValueError(f"the shape of what enters a {node['type']} is not known")
