"""A run as NIR data, and NIR data as arrays by trace name: what a model did, saved and read back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nirjax.data.nir_data import NIRGraphData, Path
from nirjax.data.nir_files import as_graph_data
from nirjax.data.nir_source import gridded
from nirjax.data.observables import Observable, TimeGriddedData
from nirjax.data.time_steps import checked_step, same_step
from nirjax.engine.lowering import Plan
from nirjax.engine.model import Model, Run
from nirjax.engine.records import trace_names
from nirjax.errors import ArgumentError, DataError, ShapeError, quoted
from nirjax.ir.inline import inline
from nirjax.ir.nodes import Flatten, Input, Output
from nirjax.ir.ports import with_ports

SPIKES = "spikes"


def to_nir_data(model: Model, run: Run | Mapping[str, Any], x: Any = None) -> NIRGraphData:
    """What a run gave, in NIR's own data format: its traces, and what the graph gave at its Outputs.

    Axes (time, *batch, *shape) become (samples, time steps, neurons): batch axes and the axes of a node's shape are
    each flattened in C order. What comes from spiking neurons at an Output, and zeros and ones at an Input, is called
    "spikes", as other frameworks call it; else it is "output" there. Spikes, at most one a step, are stored as bool.

    Args:
        model: what was run.
        run: from `model.run(x, record=...)`; or arrays by trace name, such as "lif1.v".
        x: the input, to be stored as well; a dict by Input node where there are several.

    Raises:
        ShapeError: an array that has not the shape of its trace. DataError: no such trace.
    """
    plan = model.program.plan
    arrays = {name: np.asarray(values) for name, values in (run.traces if isinstance(run, Run) else run).items()}
    if isinstance(run, Run):
        arrays |= {f"{name}.output": np.asarray(values) for name, values in by_port(run.output, plan.outputs).items()}
    if x is not None:
        arrays |= {f"{name}.output": np.asarray(values) for name, values in by_port(x, plan.inputs).items()}
    known, paths = trace_names(plan), paths_of(model)
    found: dict[tuple[Path, str], Observable] = {}
    for trace, values in arrays.items():
        if trace not in known:
            raise DataError("the model has no such trace", field=trace, expected=f"some of {quoted(list(known))}")
        node, variable = known[trace]
        data = _flat(values, plan.sites[node].output_shape, trace)
        binary = bool(((data == 0) | (data == 1)).all())
        if variable == "output" and (binary if node in plan.inputs else node in plan.outputs and _spikes(plan, node)):
            variable = SPIKES
        found[paths[node], variable] = TimeGriddedData(
            data.astype(bool) if binary and variable == SPIKES else data, model.dt
        )
    return NIRGraphData.of(found)


def from_nir_data(data: Any, model: Model | None = None, *, dt: float | None = None) -> dict[str, np.ndarray]:
    """NIR data as arrays by trace name, time first.

    Args:
        data: a NIRGraphData, a `nir.NIRGraphData`, or the path of a file of NIR data.
        model: the model whose nodes were observed. Arrays are then (time, samples, *shape) under the names of its
            traces, and what is called "spikes" at an Input or Output is its "output". Without one, arrays are
            (time, samples, neurons), and names of nested nodes have dots between them.
        dt: the time step; the model's by default. Events are binned; gridded data must have it.

    Returns:
        "<node path>.<observable>" to arrays.

    Raises:
        DataError: a node that the model does not have, another number of neurons, another time step.
        ArgumentError: events, and no time step.
    """
    source = as_graph_data(data)
    step = None if dt is None else checked_step(dt)
    if model is None:
        return {f"{'.'.join(path)}.{name}": _on_grid(one, step, path) for path, name, one in source.walk()}
    step = model.dt if step is None else step
    plan = model.program.plan
    names = {path: name for name, path in paths_of(model).items()}
    arrays = {}
    for path, key, observable in source.walk():
        node = names.get(path)
        if node is None:
            raise DataError(
                "the model has no such node", node=".".join(path), expected=f"some of {quoted(list(plan.sites))}"
            )
        port = node in (*plan.inputs, *plan.outputs)
        values = gridded(observable, plan.sites[node].output_shape, step, node)
        arrays[f"{node}.{'output' if port and key == SPIKES else key}"] = np.swapaxes(values, 0, 1)
    return arrays


def by_port(values: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """A signal by port, where a graph with one port has a bare array."""
    return dict(values) if isinstance(values, Mapping) else {names[0]: values}


def paths_of(model: Model) -> dict[str, Path]:
    """Names of a model's nodes to their paths in the graph."""
    return inline(with_ports(model.graph)).paths


def _spikes(plan: Plan, node: str) -> bool:
    """Does a node hand on what spiking neurons emit, and nothing else?"""
    if plan.primitives[node].spiking:
        return True
    handed_on = isinstance(plan.sites[node].node, Input | Output | Flatten) and bool(plan.sources[node])
    return handed_on and all(_spikes(plan, source) for source in plan.sources[node])


def _flat(values: np.ndarray, shape: tuple[int, ...], trace: str) -> np.ndarray:
    """(time, *batch, *shape) as (samples, time, neurons)."""
    batch = values.ndim - 1 - len(shape)
    if batch < 0 or values.shape[values.ndim - len(shape) :] != shape:
        raise ShapeError(
            "not the shape of this trace", field=trace, found=values.shape, expected=f"(time, *batch, *{shape})"
        )
    lead = values.shape[1 : 1 + batch]
    return np.swapaxes(values.reshape(len(values), math.prod(lead), math.prod(shape)), 0, 1)


def _on_grid(one: Observable, dt: float | None, path: Path) -> np.ndarray:
    if not isinstance(one, TimeGriddedData):
        if dt is None:
            raise ArgumentError("events have no time step", field="dt", found="none", expected="dt=...")
        one = one.to_time_gridded(dt)
    elif dt is not None and not same_step(one.dt, dt):
        raise DataError("the data has another time step", node=".".join(path), field="dt", found=one.dt, expected=dt)
    return np.swapaxes(one.data, 0, 1)
