"""How high a membrane can go: bounds that are certain, worked out from what can enter each node."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from nirjax.ir import nodes as ir
from nirjax.ir.findings import time_constants
from nirjax.ir.inline import FlatGraph
from nirjax.ir.nodes import Shape
from nirjax.ir.shapes import Signal, known_shapes

Range = tuple[np.ndarray, np.ndarray]
_NEURONS = (ir.IF, ir.LIF, ir.CubaLIF)
_MOST = 2**22


def highest_membranes(flat: FlatGraph) -> dict[str, np.ndarray]:
    """For every spiking neuron a bound that its membrane certainly keeps, of the shape of its signal.

    Inputs are unbounded, and a spike is one. A leaky membrane stays between where it starts, where it is reset to,
    v_leak, and v_leak + r I: each step with dt < tau is a mean of these. An IF is bounded only where nothing drives it.
    Of very large signals nothing is worked out: a file of a few bytes can name one that no memory holds.
    """
    shapes = known_shapes(flat)
    kept = _affordable(shapes)
    before: dict[str, list[str]] = {name: [] for name in flat.nodes}
    after: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for a, b in flat.edges:
        before[b].append(a)
        after[a].append(b)
    ranges: dict[str, Range] = {}
    missing = {name: len(names) for name, names in before.items()}
    ready = deque(name for name, count in missing.items() if count == 0)
    waiting = deque(sorted(flat.nodes, key=lambda name: not isinstance(flat.nodes[name], _NEURONS)))
    while len(ranges) < len(flat.nodes):
        if not ready:  # a cycle: it is opened where a neuron spikes, whatever enters that
            while waiting[0] in ranges:
                waiting.popleft()
            ready.append(waiting[0])
        name = ready.popleft()
        node, shape = flat.nodes[name], shapes[name].output if name in shapes else ()
        if isinstance(node, _NEURONS):
            ranges[name] = _spikes(shape)
        elif name in kept and name not in flat.inputs and all(source in ranges for source in before[name]):
            ranges[name] = _emitted(node, _sum_of([ranges[a] for a in before[name]], shapes[name].input), shape)
        else:
            ranges[name] = _anything(shape)
        for target in after[name]:
            missing[target] -= 1
            if missing[target] == 0 and target not in ranges:
                ready.append(target)
    highest = {}
    for name, node in flat.nodes.items():
        if isinstance(node, _NEURONS) and name in kept:
            arriving = _sum_of([ranges[source] for source in before[name]], shapes[name].input)
            highest[name] = np.broadcast_to(_membrane(node, arriving)[1], shapes[name].output)
    return highest


def _affordable(shapes: Mapping[str, Signal]) -> set[str]:
    """Nodes whose signals together are at most `_MOST` numbers, the first in file order."""
    found, left = set(), _MOST
    for name, signal in shapes.items():
        size = math.prod(signal.input) + math.prod(signal.output)
        if size <= left:
            found.add(name)
            left -= size
    return found


def _anything(shape: Shape) -> Range:
    return _everywhere(-np.inf, shape), _everywhere(np.inf, shape)


def _spikes(shape: Shape) -> Range:
    return _everywhere(0.0, shape), _everywhere(1.0, shape)


def _everywhere(value: float, shape: Shape) -> np.ndarray:
    """An array of one value, which takes no memory."""
    return np.broadcast_to(np.array(value), shape)


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
    if isinstance(node, ir.Threshold):
        return _spikes(shape)
    if isinstance(node, ir.LI | ir.CubaLI | ir.I):
        low, high = _membrane(node, given)
        return np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    if isinstance(node, ir.Affine | ir.Linear):
        bias = node.bias if isinstance(node, ir.Affine) else 0
        return -_highest_sum(-node.weight, low, high) + bias, _highest_sum(node.weight, low, high) + bias
    if isinstance(node, ir.Scale):
        return _product(node.scale, low, high)
    if isinstance(node, ir.Flatten | ir.Input | ir.Output):
        return low.reshape(shape), high.reshape(shape)
    if isinstance(node, ir.Conv1d | ir.Conv2d | ir.SumPool2d | ir.AvgPool2d):
        return _windowed(node, low, high, shape)
    if isinstance(node, ir.Delay):
        return np.minimum(low, 0), np.maximum(high, 0)
    return _anything(shape)


def _highest_sum(weight: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The highest value of weight @ x for x between low and high."""
    up, down = np.maximum(weight, 0), np.minimum(weight, 0)
    top = sum(
        np.einsum("...oi,...i->...o", part, np.where(np.isfinite(end), end, 0).astype(weight.dtype))
        for part, end in ((up, high), (down, low))
    )
    unbounded = sum(np.einsum("...oi,...i->...o", part != 0, np.isinf(end)) for part, end in ((up, high), (down, low)))
    return np.where(unbounded, np.inf, top)


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
