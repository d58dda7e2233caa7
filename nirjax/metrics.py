"""What a model does and what it costs: accuracy, activity, synaptic operations, size.

The words and definitions of cost are NeuroBench's (Yik et al, `The NeuroBench Framework for Benchmarking Neuromorphic
Computing Algorithms and Systems <https://doi.org/10.1038/s41467-025-56739-4>`_, 2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.data.batch import Batch
from nirjax.engine.model import Model, Run
from nirjax.engine.states import REGISTER, register_name
from nirjax.errors import PatternError
from nirjax.finetuning.objectives import Objective
from nirjax.finetuning.scores import accuracy, decision, spike_rate
from nirjax.ir.nodes import Affine, Conv1d, Conv2d, Linear

__all__ = [
    "accuracy",
    "activation_sparsity",
    "activation_sparsity_by_node",
    "connection_sparsity",
    "connection_sparsity_by_node",
    "decision",
    "footprint",
    "footprint_by_node",
    "membrane_updates",
    "parameter_count",
    "parameter_count_by_node",
    "spike_rate",
    "spike_rate_by_node",
    "synaptic_operations",
    "synaptic_operations_by_node",
    "synaptic_traces",
    "workload",
    "workload_traces",
]

Kind = Literal["effective_acs", "effective_macs", "dense"]

CONNECTIONS = (Affine, Linear, Conv1d, Conv2d)
"""Node types whose weights are synapses."""


# ---------------------------------------------------------------------------------------------------------- activity


def activation_sparsity(run: Run, batch: Batch) -> Array:
    """The share of zeros among all outputs of neurons, over all recorded traces `*.spikes`, `(batch,)`.

    1 is silence. Unlike `1 - spike_rate`, several spikes in one step count as one activation.

    Raises:
        PatternError: no such trace was recorded.
    """
    active = {name: (trace != 0).astype(jnp.float32) for name, trace in run.traces.items() if name.endswith(".spikes")}
    return 1 - spike_rate(Run(run.output, run.state, active), batch)


def spike_rate_by_node(model: Model) -> dict[str, Objective]:
    """The metric `spike_rate` for each spiking node, "<node>.spike_rate"; record "*.spikes"."""
    return {f"{node}.spike_rate": _OfNode(spike_rate, node) for node in _spiking(model)}


def activation_sparsity_by_node(model: Model) -> dict[str, Objective]:
    """The metric `activation_sparsity` for each spiking node, "<node>.activation_sparsity"; record "*.spikes".

    NeuroBench's activation sparsity by layer.
    """
    return {f"{node}.activation_sparsity": _OfNode(activation_sparsity, node) for node in _spiking(model)}


def membrane_updates(run: Run, batch: Batch) -> Array:
    r"""How often a membrane changes, over all recorded traces `*.v`, `(batch,)`; the first step counts for every one.

    .. math::
        \sum_i \Bigl( 1 + \sum_{t > 0} [v_i[t] \ne v_i[t-1]] \Bigr)

    over the valid time steps. NeuroBench counts the membranes of spiking neurons: record those.

    Raises:
        PatternError: no such trace was recorded.
    """
    traces = [trace for name, trace in run.traces.items() if name.endswith(".v")]
    if not traces:
        raise PatternError("no membrane was recorded", field="record", hint="Add '*.v' to `record`")
    total = jnp.zeros(batch.size, jnp.float32)
    for trace in traces:
        changed = jnp.concatenate([jnp.ones_like(trace[:1], bool), trace[1:] != trace[:-1]])
        counts = changed.reshape(*trace.shape[:2], -1).sum(2, dtype=jnp.float32)
        total = total + counts.sum(0, where=None if batch.where is None else batch.where)
    return total


@dataclass(frozen=True, eq=False)
class _OfNode:
    """A metric that sees the spikes of one node alone."""

    metric: Objective
    node: str

    def __call__(self, run: Run, batch: Batch) -> Array:
        name = f"{self.node}.spikes"
        return self.metric(Run(run.output, run.state, {name: _recorded(run, name, "'*.spikes'")}), batch)


def _spiking(model: Model) -> list[str]:
    return [name for name, primitive in model.program.plan.primitives.items() if primitive.spiking]


def _recorded(run: Run, name: str, record: str) -> Array:
    if name not in run.traces:
        raise PatternError("this trace was not recorded", field="record", found=name, hint=f"Give record={record}")
    return run.traces[name]


# ----------------------------------------------------------------------------------------------- synaptic operations


def synaptic_traces(model: Model) -> tuple[str, ...]:
    """The traces that `synaptic_operations` counts in: the outputs of all nodes that feed a connection."""
    plan = model.program.plan
    return tuple(dict.fromkeys(f"{source}.output" for name in connections(model) for source in plan.sources[name]))


def synaptic_operations(model: Model) -> dict[str, Objective]:
    r"""The metrics `effective_acs`, `effective_macs` and `dense`: synaptic operations of a recording.

    An operation is effective where a nonzero activation meets a nonzero weight,

    .. math::
        \text{effective} = \sum_t \sum_{ij} [x_j[t] \ne 0] \, [w_{ij} \ne 0], \qquad \text{dense} = T \sum_{ij} 1

    over Affine, Linear, Conv1d and Conv2d; biases are not counted, and of a convolution only what lies within its
    input. They are accumulates (ACs) at a time step at which all activations that enter the node are -1, 0 or 1,
    multiply-accumulates (MACs) at any other: what NeuroBench finds for a batch of one sample. (For a larger batch it
    asks the same of all samples together.)

        evaluate(model, data, metrics=synaptic_operations(model), record=synaptic_traces(model))

    Returns:
        names to functions `(run, batch) -> (*batch,)`, float32, summed over the valid time steps.
    """
    return {kind: _Operations(model, kind, tuple(connections(model))) for kind in get_args(Kind)}


def synaptic_operations_by_node(model: Model) -> dict[str, Objective]:
    """The metrics of `synaptic_operations` for each connection, "<node>.effective_acs" and so on."""
    return {
        f"{node}.{kind}": _Operations(model, kind, (node,)) for node in connections(model) for kind in get_args(Kind)
    }


@dataclass(frozen=True, eq=False)
class _Operations:
    model: Model
    kind: Kind
    nodes: tuple[str, ...]

    def __call__(self, run: Run, batch: Batch) -> Array:
        real = jnp.ones((batch.time, batch.size), bool) if batch.where is None else batch.where
        total = jnp.zeros(batch.size, jnp.float32)
        for name in self.nodes:
            if self.kind == "dense":
                total = total + real.sum(0) * _reached(self.model, name, None)
                continue
            x = _entering(self.model, name, run)
            x = jnp.where(real.reshape(real.shape + (1,) * (x.ndim - 2)), x, 0)
            binary = jnp.all((x == 0) | (jnp.abs(x) == 1), axis=tuple(range(2, x.ndim)))
            counted = _reached(self.model, name, x)
            total = total + counted.sum(0, where=binary == (self.kind == "effective_acs"))
        return total


def connections(model: Model) -> list[str]:
    """Names of the nodes whose weights are synapses, and that something enters."""
    plan = model.program.plan
    return [name for name, site in plan.sites.items() if isinstance(site.node, CONNECTIONS) and plan.sources[name]]


def _entering(model: Model, name: str, run: Run) -> Array:
    """What enters a node at each step: the sum of its sources, those behind a feedback edge one step late."""
    plan, total = model.program.plan, None
    for source in plan.sources[name]:
        trace = _recorded(run, f"{source}.output", "metrics.synaptic_traces(model)")
        if (source, name) in plan.registers:
            start = model.init_state(trace.shape[1:2])[register_name((source, name))][REGISTER]
            trace = jnp.concatenate([start[None], trace[:-1]])
        total = trace if total is None else total + trace
    assert total is not None
    return total


def _reached(model: Model, name: str, x: Array | None) -> Any:
    """How many synapses nonzero activations reach: the node itself, with ones for all that is not zero.

    For `x (time, batch, *shape)` it is `(time, batch)`; None is a number, of all activations and all weights.
    """
    site, primitive = model.program.plan.sites[name], model.program.plan.primitives[name]
    assert primitive.apply is not None
    weight = model.params[name]["weight"]
    ones = {"weight": jnp.ones_like(weight) if x is None else (weight != 0).astype(weight.dtype)}
    if "bias" in model.params[name]:
        ones["bias"] = jnp.zeros_like(model.params[name]["bias"])
    active = jnp.ones((1, 1, *site.input_shape), weight.dtype) if x is None else (x != 0).astype(weight.dtype)
    reached = primitive.apply(site, ones, active)
    counts = reached.sum(tuple(range(2, reached.ndim)), dtype=jnp.float32)
    return counts[0, 0] if x is None else counts


# ---------------------------------------------------------------------------------------------------------- workload


def workload(model: Model) -> dict[str, Objective]:
    """All that a run costs, by NeuroBench's words, as far as the graph has it: `activation_sparsity`, `spike_rate` and
    `membrane_updates` of its spiking neurons, the `synaptic_operations` of its connections.

        evaluate(model, data, metrics=workload(model), record=workload_traces(model))
    """
    activity: dict[str, Objective] = {"activation_sparsity": activation_sparsity, "spike_rate": spike_rate}
    found = activity if _spiking(model) else {}
    if _membranes(model):
        found["membrane_updates"] = membrane_updates
    return found | (synaptic_operations(model) if connections(model) else {})


def workload_traces(model: Model) -> tuple[str, ...]:
    """The traces that `workload` and the metrics by node look at."""
    spikes = (f"{name}.spikes" for name in _spiking(model))
    return tuple(dict.fromkeys([*spikes, *_membranes(model), *synaptic_traces(model)]))


def _membranes(model: Model) -> list[str]:
    primitives = model.program.plan.primitives
    return [f"{name}.v" for name in _spiking(model) if "v" in primitives[name].variables]


# -------------------------------------------------------------------------------------------------------------- size


def parameter_count(model: Model) -> int:
    """The number of real parameters."""
    return sum(parameter_count_by_node(model).values())


def parameter_count_by_node(model: Model) -> dict[str, int]:
    """The number of real parameters of each node that has any."""
    return {node: sum(leaf.size for leaf in fields.values()) for node, fields in model.params.items()}


def footprint(model: Model) -> int:
    """Bytes of all parameters and of the state of one sample."""
    return sum(footprint_by_node(model).values())


def footprint_by_node(model: Model) -> dict[str, int]:
    """Bytes of each node's parameters and state, and of the register of each feedback edge, "source -> destination"."""
    found: dict[str, int] = {}
    for part in (model.params, model.init_state()):
        for node, fields in part.items():
            found[node] = found.get(node, 0) + sum(leaf.size * leaf.dtype.itemsize for leaf in fields.values())
    return found


def connection_sparsity(model: Model) -> float:
    """The share of zeros among all weights of connections; NaN without any."""
    return _sparsity(model, connections(model))


def connection_sparsity_by_node(model: Model) -> dict[str, float]:
    """The share of zeros among the weights of each connection."""
    return {node: _sparsity(model, [node]) for node in connections(model)}


def _sparsity(model: Model, nodes: list[str]) -> float:
    weights = [np.asarray(model.params[name]["weight"]) for name in nodes]
    total = sum(weight.size for weight in weights)
    return 1 - sum(int(np.count_nonzero(weight)) for weight in weights) / total if total else float("nan")
