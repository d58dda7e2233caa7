"""What a good JAX user would type in an hour: one jit, one scan over time, the first product hoisted out of it where
that is faster, and steps recomputed on the way back where that is.

Nothing here knows of NIR but `build`, which takes the numbers out of the graph. The semantics are nirjax's default
dialect: forward Euler, a spike where v > threshold, then a reset to zero. `fast_sigmoid(25)` is the surrogate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

import nirjax
from benchmarks import compiled
from benchmarks.task import Job, Task
from nirjax.ir.inline import inline

Params = dict[str, Array]

ROWS = 64
"""Samples from which on a product is as fast in the loop as before it."""


@jax.custom_jvp
def spike(v: Array) -> Array:
    return (v > 0).astype(v.dtype)


@spike.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (v,), (dv,) = primals, tangents
    return spike(v), dv / (1 + 25 * jnp.abs(v)) ** 2


def lif(neuron: Params, v: Array, drive: Array) -> tuple[Array, Array]:
    """One step of LIF (or IF, with keep = 1): the membrane after the reset, and the spikes."""
    v = neuron["keep"] * v + neuron["gain"] * drive
    z = spike(v - neuron["threshold"])
    return v * (1 - z), z


def cubalif(neuron: Params, state: tuple[Array, Array], drive: Array) -> tuple[tuple[Array, Array], Array]:
    """One step of CubaLIF."""
    i, v = state
    i = neuron["keep_current"] * i + neuron["gain_current"] * drive
    v, z = lif(neuron, v, i)
    return (i, v), z


def affine(layer: Params, x: Array) -> Array:
    return x @ layer["weight"] + layer["bias"]


def over_time(first: Any, step: Any, start: Any, x: Array, rows: int = 0) -> Array:
    """The scan, with the first product before it, or in it where its own rows are enough to make it fast.

    The steps of several samples are computed again on the way back, but for their products.
    """
    batch = x.shape[1]
    inside = (rows or batch) >= ROWS

    def advance(state: Any, x: Array) -> Any:
        return step(state, first(x) if inside else x)

    if batch > 1:
        kept = jax.checkpoint_policies.dots_saveable
        advance = jax.checkpoint(advance, prevent_cse=False, policy=kept)
    return lax.scan(advance, start, x if inside else first(x))[1]


# ------------------------------------------------------------------------------------------------------- networks


def feedforward(params: Any, neurons: Any, x: Array) -> Array:
    """Affine and LIF, layer by layer: the spikes of the last, (time, batch, n)."""
    first, *others = params
    start = [jnp.zeros((x.shape[1], layer["bias"].size)) for layer in params]

    def step(vs: list[Array], drive: Array) -> tuple[list[Array], Array]:
        v, z = lif(neurons[0], vs[0], drive)
        new = [v]
        for layer, neuron, v in zip(others, neurons[1:], vs[1:], strict=True):
            v, z = lif(neuron, v, affine(layer, z))
            new.append(v)
        return new, z

    return over_time(lambda x: affine(first, x), step, start, x)


def recurrent(params: Any, neurons: Any, x: Array) -> Array:
    """A recurrent CubaLIF layer and a LIF layer behind it."""
    first, back, last = params
    batch, hidden, outputs = x.shape[1], first["bias"].size, last["bias"].size
    start = (jnp.zeros((batch, hidden)),) * 2, jnp.zeros((batch, hidden)), jnp.zeros((batch, outputs))

    def step(state: Any, drive: Array) -> tuple[Any, Array]:
        hidden, z, v = state
        hidden, z = cubalif(neurons[0], hidden, drive + affine(back, z))
        v, y = lif(neurons[1], v, affine(last, z))
        return (hidden, z, v), y

    return over_time(lambda x: affine(first, x), step, start, x)


def braille(params: Any, neurons: Any, x: Array) -> Array:
    """A recurrent CubaLIF layer and a CubaLIF layer behind it."""
    first, back, last = params
    batch, hidden, outputs = x.shape[1], first["bias"].size, last["bias"].size
    start = (jnp.zeros((batch, hidden)),) * 2, jnp.zeros((batch, hidden)), (jnp.zeros((batch, outputs)),) * 2

    def step(state: Any, drive: Array) -> tuple[Any, Array]:
        hidden, z, out = state
        hidden, z = cubalif(neurons[0], hidden, drive + affine(back, z))
        out, y = cubalif(neurons[1], out, affine(last, z))
        return (hidden, z, out), y

    return over_time(lambda x: affine(first, x), step, start, x)


def convolve(layer: Params, x: Array, stride: int = 1) -> Array:
    y = lax.conv_general_dilated(
        x, layer["weight"], (stride, stride), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + layer["bias"]


def pool(x: Array) -> Array:
    return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def convolutional(params: Any, neurons: Any, x: Array) -> Array:
    """The paper's network: three convolutions with two pools, and two products; IF behind each."""
    conv1, conv2, conv3, dense1, dense2 = params
    x, batch = jnp.moveaxis(x, 2, -1), x.shape[1]
    images = [neuron["threshold"].shape for neuron in neurons[:3]]
    start = [jnp.zeros((batch, *shape)) for shape in (*images, dense1["bias"].shape, dense2["bias"].shape)]

    def first(x: Array) -> Array:
        y = convolve(conv1, x.reshape(-1, *x.shape[-3:]), 2)
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    def step(vs: list[Array], drive: Array) -> tuple[list[Array], Array]:
        v1, z = lif(neurons[0], vs[0], drive)
        v2, z = lif(neurons[1], vs[1], convolve(conv2, z))
        v3, z = lif(neurons[2], vs[2], convolve(conv3, pool(z)))
        z = pool(z).transpose(0, 3, 1, 2).reshape(batch, -1)
        v4, z = lif(neurons[3], vs[3], affine(dense1, z))
        v5, z = lif(neurons[4], vs[4], affine(dense2, z))
        return [v1, v2, v3, v4, v5], z

    return over_time(first, step, start, x, rows=8 * batch)


def layer(params: Any, neurons: Any, x: Array) -> Array:
    """One layer of LIF."""
    (neuron,) = neurons
    return lax.scan(lambda v, drive: lif(neuron, v, drive), jnp.zeros(x.shape[1:]), x)[1]


NETWORKS: dict[str, Callable[[Any, Any, Array], Array]] = {
    "stream": feedforward,
    "batch": feedforward,
    "small": feedforward,
    "long": feedforward,
    "recurrent": recurrent,
    "braille": braille,
    "conv": convolutional,
    "wide": layer,
}
PLACES = {
    "recurrent": (("fc1", "w_rec", "fc2"), ("lif1", "lif2")),
    "braille": (("fc1", "lif1.w_rec", "fc2"), ("lif1.lif", "lif2")),
    "conv": (("0", "2", "5", "9", "11"), ("1", "3", "6", "10", "12")),
}
"""The graph's names of products and of neurons, in the order of the network; other graphs have them in order."""


# ---------------------------------------------------------------------------------------------- from NIR's numbers


def build(task: Task) -> Job:
    """The network with the numbers of the task's graph."""
    family = task.workload.partition("-")[0]
    nodes = inline(nirjax.read(task.graph)).nodes
    weights = tuple(name for name in nodes if hasattr(nodes[name], "weight"))
    spiking = tuple(name for name in nodes if hasattr(nodes[name], "v_threshold"))
    weights, spiking = PLACES.get(family, (weights, spiking))
    params = [weights_of(nodes[name]) for name in weights]
    neurons = [constants_of(nodes[name], task.dt) for name in spiking]
    network = NETWORKS[family]
    x, target = jnp.asarray(task.x()), jnp.asarray(task.target())
    forward = jax.jit(network)

    def output() -> Array:
        return forward(params, neurons, x)

    if not task.training:
        return compiled.job(network, (params, neurons, x), output)

    def train(params: Any, neurons: Any, x: Array, target: Array) -> tuple[Array, Any]:
        value, gradient = jax.value_and_grad(lambda p: compiled.loss(network(p, neurons, x), target))(params)
        return value, compiled.updated(params, gradient)

    def train_input(neurons: Any, x: Array, target: Array) -> tuple[Array, Array]:
        value, gradient = jax.value_and_grad(lambda x: compiled.loss(network([], neurons, x), target))(x)
        return value, compiled.updated(x, gradient)

    if not params:
        return compiled.job(train_input, (neurons, x, target), output)
    return compiled.job(train, (params, neurons, x, target), output)


def weights_of(node: Any) -> Params:
    """Weights as (in, out), or (height, width, in, out)."""
    weight = jnp.asarray(node.weight, jnp.float32)
    return {
        "weight": weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T,
        "bias": jnp.asarray(node.bias, jnp.float32),
    }


def constants_of(node: Any, dt: float) -> Params:
    """Factors of a neuron's step; images channels last."""
    if hasattr(node, "tau_syn"):
        found = {"keep_current": 1 - dt / node.tau_syn, "gain_current": dt / node.tau_syn * node.w_in}
        found |= {"keep": 1 - dt / node.tau_mem, "gain": dt / node.tau_mem * node.r}
    elif hasattr(node, "tau"):
        found = {"keep": 1 - dt / node.tau, "gain": dt / node.tau * node.r}
    else:
        found = {"keep": 1 + 0 * node.r, "gain": dt * node.r}
    found["threshold"] = node.v_threshold
    if node.v_threshold.ndim == 3:
        found = {name: value.transpose(1, 2, 0) for name, value in found.items()}
    else:
        found = {
            name: value.reshape(-1)[0] if (value == value.reshape(-1)[0]).all() else value
            for name, value in found.items()
        }
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}
