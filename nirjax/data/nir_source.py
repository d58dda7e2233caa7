"""NIR data as a source of batches: what was observed at the Inputs is x, what was observed at the Output is y."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nirjax.data.binning import check_count
from nirjax.data.checks import Fit, as_target
from nirjax.data.event_source import BinnedEvents, Recording
from nirjax.data.nir_data import NIRGraphData, NIRNodeData
from nirjax.data.nir_files import as_graph_data
from nirjax.data.observables import NO_EVENT, EventData, Observable, TimeGriddedData, ValuedEventData
from nirjax.data.recordings import ArraySource
from nirjax.data.time_steps import same_step, steps_at, whole_steps
from nirjax.errors import DataError

PORT_NAMES = ("spikes", "output", "input")
"""What the signal of an Input or Output may be called where there are others beside it; the first that is there."""

Shape = tuple[int, ...]


def is_graph_data(source: Any) -> bool:
    """Is it a NIRGraphData, nirjax's or the reference package's?"""
    return type(source).__name__ == "NIRGraphData"


def nir_source(source: Any, y: Any, fit: Fit | None) -> ArraySource | BinnedEvents:
    """Recordings from NIR data for a model. Where its one Input has events, they stay events.

    Args:
        source: a NIRGraphData of nirjax or the reference package, or a path.
        y: targets, one a sample; None is what the data has at the Output, or nothing.
        fit: what the model takes.

    Raises:
        DataError: no data at an Input; a time step, or a number of neurons, that is not the model's; no model.
    """
    data = as_graph_data(source)
    if fit is None or fit.dt is None:
        raise DataError(
            "NIR data says which node was observed, not which is the input", found="no model",
            hint="nirjax.data.from_nir_data gives its arrays",
        )  # fmt: skip
    signals = {name: port_signal(data, name) for name in fit.inputs}
    target = y if y is not None else nir_target(data, fit)
    if len(signals) == 1:
        ((name, signal),) = signals.items()
        if isinstance(signal, EventData) and not isinstance(signal, ValuedEventData):
            return _events(signal, fit.inputs[name], fit.dt, as_target(target), name)
    x = {name: gridded(signal, fit.inputs[name], fit.dt, name) for name, signal in signals.items()}
    return ArraySource.of(x if len(x) > 1 else next(iter(x.values())), target, None, 0)


def port_signal(data: NIRGraphData, name: str) -> Observable:
    """What was observed at an Input or Output.

    Raises:
        DataError: nothing, or several things and none of them under a name that says it is the signal.
    """
    node = data.nodes.get(name)
    if not isinstance(node, NIRNodeData) or not node.observables:
        raise DataError("the data has nothing at this node", node=name, found=sorted(data.nodes), expected=name)
    if len(node.observables) == 1:
        return next(iter(node.observables.values()))
    for key in PORT_NAMES:
        if key in node.observables:
            return node.observables[key]
    raise DataError(
        "which of these is the signal?", node=name, found=sorted(node.observables), expected=" or ".join(PORT_NAMES)
    )


def gridded(signal: Observable, shape: Shape, dt: float, node: str) -> np.ndarray:
    """A signal at the model's time steps, (samples, time steps, *shape).

    Raises:
        DataError: another time step, or another number of neurons.
    """
    if signal.n_neurons != math.prod(shape):
        raise DataError(
            "not the node's number of neurons", node=node, found=signal.n_neurons,
            expected=f"{math.prod(shape)}, of shape {shape}",
        )  # fmt: skip
    if not isinstance(signal, TimeGriddedData):
        signal = signal.to_time_gridded(dt)
    elif not same_step(signal.dt, dt):
        raise DataError("the data has another time step than the model", node=node, field="dt", found=signal.dt,
                        expected=dt)  # fmt: skip
    return signal.data.reshape(*signal.data.shape[:2], *shape)


def nir_target(data: NIRGraphData, fit: Fit) -> np.ndarray | None:
    """What was observed at the Output, (samples, time steps, *shape), float32; None where there is nothing, or no one
    Output; raises as `gridded` and `port_signal`."""
    if len(fit.outputs) != 1 or fit.dt is None:
        return None
    ((name, shape),) = fit.outputs.items()
    if name not in data.nodes:
        return None
    return gridded(port_signal(data, name), shape, fit.dt, name).astype(np.float32)


def _events(signal: EventData, shape: Shape, dt: float, y: np.ndarray | None, node: str) -> BinnedEvents:
    if signal.n_neurons != math.prod(shape):
        raise DataError(
            "not the node's number of neurons", node=node, found=signal.n_neurons, expected=math.prod(shape)
        )
    count = whole_steps(signal.t_max, dt)
    check_count(count, shape)
    if y is not None and len(y) != signal.n_samples:
        raise DataError("x and y differ in the number of samples", field="y", found=len(y), expected=signal.n_samples)

    def recording(number: int) -> Recording:
        real = signal.idx[number] != NO_EVENT
        steps = steps_at(signal.time[number][real], dt)
        if len(steps) and not 0 <= steps.min() <= steps.max() < count:
            raise DataError("an event lies outside the recording's whole time steps", node=node, field="time",
                            found=f"sample {number}", expected=f"from 0 to below {count} steps of {dt:g}")  # fmt: skip
        places = steps * signal.n_neurons + signal.idx[number][real]
        return places.astype(np.int32), count, None if y is None else y[number]

    return BinnedEvents(signal.n_samples, recording, tuple(shape), "any")
