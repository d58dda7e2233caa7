"""How high a membrane can go: bounds that are certain, worked out from what can enter each node."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirjax.ir import nodes as ir
from nirjax.ir.findings import time_constants
from nirjax.ir.inline import FlatGraph
from nirjax.ir.nodes import Shape
from nirjax.ir.shapes import known_shapes

Range = tuple[np.ndarray, np.ndarray]


def highest_membranes(flat: FlatGraph) -> dict[str, np.ndarray]:
    """For every spiking neuron a bound that its membrane certainly keeps, of the shape of its signal.

    Inputs are unbounded, and a spike is one. A leaky membrane stays between where it starts, where it is reset to,
    v_leak, and v_leak + r I: each step with dt < tau is a mean of these. An IF is bounded only where nothing drives it.
    """
    shapes = known_shapes(flat)
    sources: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for a, b in flat.edges:
        sources[b].append(a)
    ranges: dict[str, Range] = {}
    left = [name for name in flat.nodes if name in shapes]
    while left:
        ready = [name for name in left if all(source in ranges for source in sources[name])]
        for name in ready:
            arriving = _sum_of([ranges[source] for source in sources[name]], shapes[name].input)
            ranges[name] = _emitted(flat.nodes[name], arriving, shapes[name].output)
        if not ready:  # a cycle: a neuron on it spikes, whatever enters it
            name = next((name for name in left if flat.nodes[name].spiking), left[0])
            ready, spiking = [name], flat.nodes[name].spiking
            ranges[name] = _spikes(shapes[name].output) if spiking else _anything(shapes[name].output)
        left = [name for name in left if name not in ranges]
    neurons = [name for name, node in flat.nodes.items() if node.spiking and name in shapes]
    return {
        name: np.broadcast_to(_membrane(flat.nodes[name], arriving)[1], shapes[name].output)
        for name in neurons
        if (arriving := _sum_of([ranges[source] for source in sources[name]], shapes[name].input))
    }


def _anything(shape: Shape) -> Range:
    return np.full(shape, -np.inf), np.full(shape, np.inf)


def _spikes(shape: Shape) -> Range:
    return np.zeros(shape), np.ones(shape)


def _sum_of(given: list[Range], shape: Shape) -> Range:
    return sum((low for low, _ in given), np.zeros(shape)), sum((high for _, high in given), np.zeros(shape))


def _product(weight: np.ndarray, low: np.ndarray, high: np.ndarray) -> Range:
    """weight * range, elementwise; 0 * inf is 0."""
    with np.errstate(invalid="ignore"):
        ends = [np.where(weight == 0, 0.0, weight * end) for end in (low, high)]
    return np.minimum(*ends), np.maximum(*ends)


def _membrane(node: Any, given: Range) -> Range:
    names = type(node).parameter_names()
    low, high = given
    if "w_in" in names:
        low, high = _product(node.w_in, low, high)
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    low, high = _product(node.r, low, high)
    if not time_constants(node):
        low, high = np.where(low < 0, -np.inf, 0.0), np.where(high > 0, np.inf, 0.0)
    leak = getattr(node, "v_leak", np.zeros(()))
    rest = np.minimum(leak, 0), np.maximum(leak, 0)
    if "v_reset" in names:
        rest = np.minimum(rest[0], node.v_reset), np.maximum(rest[1], node.v_reset)
    return np.minimum(rest[0], leak + low), np.maximum(rest[1], leak + high)


def _emitted(node: Any, given: Range, shape: Shape) -> Range:
    """The range of what a node emits; all numbers where that is not worked out."""
    low, high = given
    if node.spiking or isinstance(node, ir.Threshold):
        return _spikes(shape)
    if isinstance(node, ir.LI | ir.CubaLI | ir.I):
        low, high = _membrane(node, given)
        return np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    if isinstance(node, ir.Affine | ir.Linear):
        low, high = _product(node.weight, low[..., None, :], high[..., None, :])
        bias = node.bias if isinstance(node, ir.Affine) else 0
        return low.sum(-1) + bias, high.sum(-1) + bias
    if isinstance(node, ir.Scale):
        return _product(node.scale, low, high)
    if isinstance(node, ir.Flatten | ir.Output):
        return low.reshape(shape), high.reshape(shape)
    if isinstance(node, ir.Conv1d | ir.Conv2d | ir.SumPool2d | ir.AvgPool2d):
        return _windowed(node, low, high, shape)
    if isinstance(node, ir.Delay):
        return np.minimum(low, 0), np.maximum(high, 0)
    return _anything(shape)


def _windowed(node: Any, low: np.ndarray, high: np.ndarray, shape: Shape) -> Range:
    """The extremes of each channel, and the zeros of the padding, at every place of the window."""
    axes = tuple(range(1, low.ndim))
    low, high = np.minimum(low.min(axes), 0), np.maximum(high.max(axes), 0)
    if isinstance(node, ir.SumPool2d):
        low, high = low * np.prod(node.window()), high * np.prod(node.window())
    elif not isinstance(node, ir.AvgPool2d):
        weight, groups = node.weight, node.group_count()
        each = [
            np.repeat(end.reshape(groups, -1), len(weight) // groups, axis=0).reshape(
                *weight.shape[:2], *(1,) * len(axes)
            )
            for end in (low, high)
        ]
        low, high = (end.sum(tuple(range(1, weight.ndim))) + node.bias for end in _product(weight, each[0], each[1]))
    wide = (-1, *(1,) * len(axes))
    return np.broadcast_to(low.reshape(wide), shape), np.broadcast_to(high.reshape(wide), shape)
