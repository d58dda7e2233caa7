"""Nodes with random parameters: float64, a value of its own for every neuron, sizes that keep a graph lively."""

import numpy as np

from . import primitives

SPIKING = ("LIF", "CubaLIF", "IF")
ANALOGUE = ("LI", "CubaLI", "I")
ELEMENTWISE = SPIKING + ANALOGUE + ("Scale", "Delay", "Threshold")


def draw_node(rng, kind, shape, dt, if_gain):
    """(a node of type `kind` whose input has the given shape, the shape of its output)."""
    if kind in ELEMENTWISE:
        return {"type": kind, **_elementwise(rng, kind, shape, dt, if_gain)}, shape
    draw = {"Affine": _affine, "Linear": _linear, "Conv1d": _conv, "Conv2d": _conv, "Flatten": _flatten}
    node = {"type": kind, **draw.get(kind, _pool)(rng, shape)}
    return node, primitives.apply(node, np.zeros(shape), 0).shape


def _elementwise(rng, kind, shape, dt, if_gain):
    def uniform(low, high):
        return rng.uniform(low, high, shape)

    if kind == "Scale":
        return {"scale": uniform(0.5, 1.5) * rng.choice([-1, 1], shape, p=[0.2, 0.8])}
    if kind == "Delay":
        return {"delay": random_delay(rng, shape, dt)}
    if kind == "Threshold":
        return {"threshold": uniform(0.1, 0.7)}
    if kind in ("IF", "I"):
        node = {"r": uniform(0.3, 1.0) / (dt if if_gain == "dt" else 1)}
    else:
        tau = dt * uniform(2, 10)
        node = {"tau" if kind in ("LIF", "LI") else "tau_mem": tau, "r": uniform(0.5, 1.2) * tau / dt}
        node["v_leak"] = uniform(-0.1, 0.1)
    if kind in ("CubaLIF", "CubaLI"):
        node["tau_syn"] = dt * uniform(1.5, 6)
        if rng.random() < 0.75:
            node["w_in"] = uniform(0.4, 1.0) * node["tau_syn"] / dt
    if kind in SPIKING:
        node["v_threshold"] = uniform(0.4, 1.2)
        if rng.random() < 0.75:
            node["v_reset"] = node["v_threshold"] * uniform(-0.5, 0.5)
    return node


def random_delay(rng, shape, dt, at_least=0):
    """Delays that are multiples of dt, or that are not, or of both kinds."""
    whole = rng.integers(at_least, 5, shape).astype(float)
    rest = rng.uniform(0.05, 0.95, shape)
    kind = rng.choice(["whole", "fractional", "both"])
    return dt * (whole + {"whole": 0, "fractional": rest, "both": rest * rng.integers(0, 2, shape)}[kind])


def _linear(rng, shape, outputs=None):
    """A matrix, one for every leading index of the shape where there are leading axes."""
    outputs = outputs or int(rng.integers(2, 7 if len(shape) == 1 else 4))
    return {"weight": rng.normal(0, 1.5 / np.sqrt(shape[-1]), (*shape[:-1], outputs, shape[-1]))}


def _affine(rng, shape, outputs=None):
    weight = _linear(rng, shape, outputs)["weight"]
    return {"weight": weight, "bias": rng.normal(0.1, 0.2, weight.shape[:-1])}


def draw_matrix(rng, kind, inputs, outputs):
    """An Affine or Linear node between vectors of the given sizes."""
    return {"type": kind, **(_affine if kind == "Affine" else _linear)(rng, (inputs,), outputs)}


def _conv(rng, shape):
    channels, spatial = shape[0], shape[1:]
    groups = 2 if channels == 2 and rng.random() < 0.3 else 1
    kernel = tuple(int(rng.integers(1, 4)) for _ in spatial)
    dilation = tuple(int(rng.integers(1, 3)) if n >= 4 else 1 for n in spatial)
    kernel = tuple(min(k, (n - 1) // d + 1) for k, n, d in zip(kernel, spatial, dilation, strict=True))
    weight = rng.normal(0, 1.5 / np.sqrt(channels // groups * np.prod(kernel)), (2, channels // groups, *kernel))
    padding = ["same", "valid", _axes(rng, [int(rng.integers(0, 2)) for _ in spatial])][rng.integers(3)]
    return {
        "input_shape": spatial[0] if len(spatial) == 1 else np.array(spatial),
        "weight": weight,
        "stride": _axes(rng, [int(rng.integers(1, 3)) for _ in spatial]),
        "padding": padding,
        "dilation": _axes(rng, dilation),
        "groups": groups,
        "bias": rng.normal(0.1, 0.2, 2),
    }


def _axes(rng, values):
    """One number for each axis: an int for one axis, else an array, or an int where they are equal."""
    if len(values) == 1 or (len(set(values)) == 1 and rng.random() < 0.3):
        return values[0]
    return np.array(values)


def _pool(rng, shape):
    kernel = [min(int(rng.integers(1, 4)), n) for n in shape[1:]]
    return {
        "kernel_size": np.array(kernel),
        "stride": np.array([int(rng.integers(1, 3)) for _ in kernel]),
        "padding": np.array([int(rng.integers(0, k // 2 + 1)) for k in kernel]),
    }


def _flatten(rng, shape):
    """Everything, or for three axes sometimes only the last two or the first two."""
    start, end = [(0, -1), (1, -1), (0, 1)][rng.integers(3) if len(shape) == 3 else 0]
    return {"start_dim": start, "end_dim": end, "input_type": np.array(shape)}
