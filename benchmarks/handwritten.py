"""What a good JAX user would type in an hour: one jit, one scan over time, the first product hoisted out of it where
that is faster, and steps recomputed on the way back where that is.

Nothing here knows of NIR but `build`, which takes the numbers out of the graph. The semantics are nirjax's default
dialect: forward Euler, a spike where v > threshold, then a reset to zero. `fast_sigmoid(25)` is the surrogate.
"""

from __future__ import annotations

import functools
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


@functools.partial(jax.checkpoint, prevent_cse=False)
def fire(threshold: Array, v: Array) -> tuple[Array, Array]:
    """The membrane after the reset, and the spikes. For the way back only the membrane before it is kept."""
    z = spike(v - threshold)
    return v * (1 - z), z


def lif(neuron: Params, v: Array, drive: Array) -> tuple[Array, Array]:
    """One step of LIF: the membrane after the reset, and the spikes."""
    return fire(neuron["threshold"], neuron["keep"] * v + neuron["gain"] * drive)


@functools.partial(jax.checkpoint, prevent_cse=False)
def fire_into(layer: Params, threshold: Array, v: Array) -> tuple[Array, Array]:
    """The membrane after the reset, and what a layer makes of the spikes; they are computed again on the way back."""
    v, z = fire(threshold, v)
    return v, affine(layer, z)


def late_reset(neuron: Params, v: Array, drive: Array) -> tuple[Array, Array]:
    """The same (or IF, without `keep`) with a membrane that is carried before its reset: what is fastest forward, since
    XLA reads the drive once then, and not for v and for z."""
    v = fire(neuron["threshold"], v)[0]
    v = neuron.get("keep", 1) * v + neuron["gain"] * drive
    return v, spike(v - neuron["threshold"])


def cubalif(neuron: Params, state: tuple[Array, Array], drive: Array) -> tuple[tuple[Array, Array], Array]:
    """One step of CubaLIF."""
    i, v = charge(neuron, state, drive)
    v, z = fire(neuron["threshold"], v)
    return (i, v), z


def charge(neuron: Params, state: tuple[Array, Array], drive: Array) -> tuple[Array, Array]:
    """The current of CubaLIF, and its membrane before the reset."""
    i, v = state
    i = neuron["keep_current"] * i + neuron["gain_current"] * drive
    return i, neuron["keep"] * v + neuron["gain"] * i


def affine(layer: Params, x: Array) -> Array:
    return x @ layer["weight"] + layer["bias"]


def over_time(first: Any, step: Any, start: Any, x: Array, rows: int = 0, turn: int = 1) -> Array:
    """The scan, with the first product before it, or in it where its own rows are enough to make it fast; where they
    are many, with several steps in a `turn`, if those are faster."""
    rows = rows or x.shape[1]
    inside = rows >= ROWS

    def advance(state: Any, x: Array) -> Any:
        return step(state, first(x) if inside else x)

    return lax.scan(advance, start, x if inside else first(x), unroll=turn if rows > ROWS else 1)[1]


# ------------------------------------------------------------------------------------------------------- networks


def feedforward(params: Any, neurons: Any, x: Array) -> Array:
    """Affine and LIF, layer by layer: the spikes of the last, (time, batch, n)."""
    first, *others = params
    start = [jnp.zeros((x.shape[1], layer["bias"].size)) for layer in params]

    def step(vs: list[Array], drive: Array) -> tuple[list[Array], Array]:
        new = []
        for layer, neuron, v in zip(others, neurons, vs, strict=False):
            v, drive = fire_into(layer, neuron["threshold"], neuron["keep"] * v + neuron["gain"] * drive)
            new.append(v)
        v, z = lif(neurons[-1], vs[-1], drive)
        return [*new, v], z

    return over_time(lambda x: affine(first, x), step, start, x)


def side_by_side(one: Params, other: Params) -> Params:
    """Two products of the same spikes as one."""
    return {name: jnp.concatenate([one[name], other[name]], -1) for name in ("weight", "bias")}


def recurrent(params: Any, neurons: Any, x: Array) -> Array:
    """A recurrent CubaLIF layer and a LIF layer behind it."""
    first, back, last = params
    return with_recurrence(first, back, last, neurons, lif, jnp.zeros((x.shape[1], last["bias"].size)), x)


def braille(params: Any, neurons: Any, x: Array) -> Array:
    """A recurrent CubaLIF layer and a CubaLIF layer behind it."""
    first, back, last = params
    nothing = jnp.zeros((x.shape[1], last["bias"].size))
    return with_recurrence(first, back, last, neurons, cubalif, (nothing, nothing), x)


def with_recurrence(
    first: Params, back: Params, last: Params, neurons: Any, output: Any, outputs: Any, x: Array
) -> Array:
    """A recurrent CubaLIF layer and a layer of `output` neurons, which start as `outputs`, behind it."""
    hidden, both = back["bias"].size, side_by_side(back, last)
    nothing = jnp.zeros((x.shape[1], hidden))
    start = (nothing, nothing), affine(back, nothing), outputs

    def step(state: Any, drive: Array) -> tuple[Any, Array]:
        (i, v), fed_back, out = state
        i, v = charge(neurons[0], (i, v), drive + fed_back)
        v, made = fire_into(both, neurons[0]["threshold"], v)
        out, y = output(neurons[1], out, made[:, hidden:])
        return ((i, v), made[:, :hidden], out), y

    return over_time(lambda x: affine(first, x), step, start, x, turn=5)


def convolve(layer: Params, x: Array, stride: int = 1) -> Array:
    return convolved(layer["weight"], x, stride) + layer["bias"]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolved(weight: Array, x: Array, stride: int) -> Array:
    """XLA's convolution. Its gradients are slow in a loop: they are taken of `by_patches`."""
    return lax.conv_general_dilated(
        x, weight, (stride, stride), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def by_patches(weight: Array, x: Array, stride: int) -> Array:
    """The same as one product with what lies in the window, side by side."""
    high, wide = weight.shape[:2]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = x.shape[1] - high + 1, x.shape[2] - wide + 1
    patches = [x[:, i : i + rows : stride, j : j + columns : stride] for i in range(high) for j in range(wide)]
    return jnp.concatenate(patches, -1) @ weight.reshape(-1, weight.shape[-1])


convolved.defvjp(
    lambda weight, x, stride: (convolved(weight, x, stride), (weight, x)),
    lambda stride, saved, g: jax.vjp(lambda weight, x: by_patches(weight, x, stride), *saved)[1](g),
)


def pool(x: Array) -> Array:
    """Sums of two by two: of slices, which XLA does in one pass together with what comes before."""
    rows = x[:, ::2] + x[:, 1::2]
    return rows[:, :, ::2] + rows[:, :, 1::2]


def convolutional(params: Any, neurons: Any, x: Array) -> Array:
    """The paper's network: three convolutions with two pools, two products; IF behind each. Channels are last."""
    conv1, conv2, conv3, dense1, dense2 = params
    batch = x.shape[1]
    one = jax.eval_shape(lambda x: convolve(conv1, x, 2), x[0])
    two = jax.eval_shape(lambda x: convolve(conv2, x), one)
    three = jax.eval_shape(lambda x: convolve(conv3, pool(x)), two)
    start = [jnp.zeros(image.shape) for image in (one, two, three)]
    start += [jnp.zeros((batch, dense["bias"].size)) for dense in (dense1, dense2)]

    def first(x: Array) -> Array:
        y = convolve(conv1, x.reshape(-1, *x.shape[-3:]), 2)
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    def step(vs: list[Array], drive: Array) -> tuple[list[Array], Array]:
        v1, z = late_reset(neurons[0], vs[0], drive)
        v2, z = late_reset(neurons[1], vs[1], convolve(conv2, z))
        v3, z = late_reset(neurons[2], vs[2], convolve(conv3, pool(z)))
        v4, z = late_reset(neurons[3], vs[3], affine(dense1, pool(z).reshape(batch, -1)))
        v5, z = late_reset(neurons[4], vs[4], affine(dense2, z))
        return [v1, v2, v3, v4, v5], z

    return over_time(first, step, start, x, rows=8 * batch, turn=5)


def layer(params: Any, neurons: Any, x: Array) -> Array:
    """One layer of LIF."""
    step = jax.checkpoint(functools.partial(late_reset, neurons[0]), prevent_cse=False)
    return lax.scan(step, jnp.zeros(x.shape[1:]), x)[1]


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
    if family == "conv":
        x, params[3] = jnp.moveaxis(x, 2, -1), behind_channels_last(params[3], params[2]["bias"].size)
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


def behind_channels_last(layer: Params, channels: int) -> Params:
    """A product of what was an image, channels first, for one that has them last."""
    weight = layer["weight"]
    turned = weight.reshape(channels, -1, weight.shape[1]).transpose(1, 0, 2)
    return {**layer, "weight": turned.reshape(weight.shape)}


def constants_of(node: Any, dt: float) -> Params:
    """Factors of a neuron's step; images channels last."""
    if hasattr(node, "tau_syn"):
        found = {"keep_current": 1 - dt / node.tau_syn, "gain_current": dt / node.tau_syn * node.w_in}
        found |= {"keep": 1 - dt / node.tau_mem, "gain": dt / node.tau_mem * node.r}
    elif hasattr(node, "tau"):
        found = {"keep": 1 - dt / node.tau, "gain": dt / node.tau * node.r}
    else:
        found = {"gain": dt * node.r}
    found["threshold"] = node.v_threshold
    if node.v_threshold.ndim == 3:
        found = {name: value.transpose(1, 2, 0) for name, value in found.items()}
    alike = {name: (value == value.flat[0]).all() for name, value in found.items()}
    return {name: jnp.asarray(value.flat[0] if alike[name] else value, jnp.float32) for name, value in found.items()}
