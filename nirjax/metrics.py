"""What a model does and what it costs: accuracy, activity, synaptic operations, size.

The words and definitions of cost are NeuroBench's (Yik et al, `The NeuroBench Framework for Benchmarking Neuromorphic
Computing Algorithms and Systems <https://doi.org/10.1038/s41467-025-56739-4>`_, 2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.data.batch import Batch
from nirjax.engine.execute import REGISTER, register_name
from nirjax.engine.model import Model, Run
from nirjax.errors import PatternError
from nirjax.finetuning.objectives import Objective
from nirjax.finetuning.scores import accuracy, decision, spike_rate
from nirjax.ir.nodes import Affine, Conv1d, Conv2d, Linear

__all__ = [
    "accuracy",
    "activation_sparsity",
    "connection_sparsity",
    "decision",
    "footprint",
    "parameter_count",
    "spike_rate",
    "synaptic_operations",
    "synaptic_traces",
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
    input. It is an accumulate (AC) where all activations that enter the node in this recording are -1, 0 or 1, a
    multiply-accumulate (MAC) elsewhere.

        evaluate(model, data, metrics=synaptic_operations(model), record=synaptic_traces(model))

    Returns:
        names to functions `(run, batch) -> (*batch,)`, float32, summed over the valid time steps.
    """
    return {kind: _Operations(model, kind) for kind in get_args(Kind)}


@dataclass(frozen=True, eq=False)
class _Operations:
    model: Model
    kind: Kind

    def __call__(self, run: Run, batch: Batch) -> Array:
        real = jnp.ones((batch.time, batch.size), bool) if batch.where is None else batch.where
        total = jnp.zeros(batch.size, jnp.float32)
        for name in connections(self.model):
            if self.kind == "dense":
                total = total + real.sum(0) * _reached(self.model, name, None)
                continue
            x = _entering(self.model, name, run)
            x = jnp.where(real.reshape(real.shape + (1,) * (x.ndim - 2)), x, 0)
            binary = jnp.all((x == 0) | (jnp.abs(x) == 1), axis=(0, *range(2, x.ndim)))
            counted = _reached(self.model, name, x).sum(0)
            total = total + jnp.where(binary == (self.kind == "effective_acs"), counted, 0)
        return total


def connections(model: Model) -> list[str]:
    """Names of the nodes whose weights are synapses, and that something enters."""
    plan = model.program.plan
    return [name for name, site in plan.sites.items() if isinstance(site.node, CONNECTIONS) and plan.sources[name]]


def _entering(model: Model, name: str, run: Run) -> Array:
    """What enters a node at each step: the sum of its sources, those behind a feedback edge one step late."""
    plan, total = model.program.plan, None
    for source in plan.sources[name]:
        trace = run.traces.get(f"{source}.output")
        if trace is None:
            raise PatternError(
                "this trace was not recorded", field="record", found=f"{source}.output",
                hint="Give record=metrics.synaptic_traces(model)",
            )  # fmt: skip
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


# -------------------------------------------------------------------------------------------------------------- size


def parameter_count(model: Model) -> int:
    """The number of real parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(model.params))


def footprint(model: Model) -> int:
    """Bytes of all parameters and of the state of one sample."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((model.params, model.init_state())))


def connection_sparsity(model: Model) -> float:
    """The share of zeros among all weights of connections; NaN without any."""
    weights = [np.asarray(model.params[name]["weight"]) for name in connections(model)]
    total = sum(weight.size for weight in weights)
    return 1 - sum(int(np.count_nonzero(weight)) for weight in weights) / total if total else float("nan")
