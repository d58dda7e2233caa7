"""The limit: the products and convolutions of a graph with nothing between them.

    python benchmarks/limit.py              asserts, for each workload, that the compiled flops equal the formula

Every product takes an array of its own and hands back what it computes; training also computes each product's two
gradients (the input of the graph needs none) and one SGD update. A product on a cycle, which has to wait for its own
result, runs in a bare scan. Convolutions are channels last. A graph without products (`wide`) is limited by one read
and one write of its arrays, in training one more of each.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[1]))

import nirjax
from benchmarks import compiled
from benchmarks.task import LEARNING_RATE, Job, Task
from nirjax import ir
from nirjax.ir.cycles import components
from nirjax.ir.inline import inline
from nirjax.ir.shapes import infer_shapes


@dataclass(frozen=True, eq=False)
class Product:
    """One product or convolution of a graph.

    Attributes:
        node: its Affine, Linear or Conv2d.
        x, y: the shapes that it takes and gives, of one step of one sample, as the graph has them.
        first: its input is the graph's, and needs no gradient.
        looped: it lies on a cycle.
    """

    node: Any
    x: tuple[int, ...]
    y: tuple[int, ...]
    first: bool
    looped: bool

    @property
    def convolution(self) -> bool:
        return isinstance(self.node, ir.Conv2d)

    def weight(self) -> Array:
        """As the products below are fastest: (in, out), or (height, width, in, out)."""
        weight = jnp.asarray(self.node.weight, jnp.float32)
        return weight.transpose(2, 3, 1, 0) if self.convolution else weight.T

    def arrays(self, time: int, batch: int) -> tuple[Array, Array]:
        """An input, and the cotangent of an output; a looped product has only its first input."""
        last = (lambda s: (*s[1:], s[0])) if self.convolution else tuple
        random = np.random.default_rng(math.prod(self.x))
        lead = (batch,) if self.looped else (time * batch,)
        x = random.random((*lead, *last(self.x)), np.float32)
        y = random.random((*((time, batch) if self.looped else lead), *last(self.y)), np.float32)
        return jnp.asarray(x), jnp.asarray(y)

    def apply(self, weight: Array, x: Array, time: int) -> Array:
        """All products of the run."""
        if self.convolution:
            return lax.conv_general_dilated(
                x,
                weight,
                window_strides=self.node.strides(),
                padding=self.node.pads(),
                rhs_dilation=self.node.dilations(),
                feature_group_count=self.node.group_count(),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        if self.looped:
            return lax.scan(lambda h, _: (h @ weight,) * 2, x, None, length=time)[1]
        return x @ weight

    def flops(self, time: int, batch: int, training: bool) -> int:
        """Multiplications and additions, padding not counted, the body of a loop counted once."""
        steps = 1 if self.looped else time
        if self.convolution:
            height, width = (taps(self.node, self.x, self.y, axis) for axis in (0, 1))
            channels = self.node.weight.shape[0] * self.node.weight.shape[1]
            one = 2 * batch * steps * channels * height * width
        else:
            one = 2 * batch * steps * self.node.weight.size
        if not training:
            return one
        update = 2 * self.node.weight.size
        # The loop adds to the gradients of weight and carry in each step.
        sums = self.node.weight.size + batch * self.y[0] if self.looped else 0
        return (2 if self.first else 3) * one + update + sums


def taps(node: ir.Conv2d, x: tuple[int, ...], y: tuple[int, ...], axis: int) -> int:
    """How many pairs of an output and a kernel position along one axis meet an input and not the padding."""
    stride, dilation, (before, _) = node.strides()[axis], node.dilations()[axis], node.pads()[axis]
    inside = range(x[1 + axis])
    kernel = range(node.weight.shape[2 + axis])
    return sum(o * stride + k * dilation - before in inside for o in range(y[1 + axis]) for k in kernel)


def products(graph: nirjax.NIRGraph) -> list[Product]:
    """The products of a graph, in file order."""
    flat = inline(graph)
    signals = infer_shapes(flat)
    looped = {name for part in components(list(flat.nodes), flat.edges) if len(part) > 1 for name in part}
    fed = {target for source, target in flat.edges if source in flat.inputs}
    return [
        Product(node, signals[name].input, signals[name].output, name in fed, name in looped)
        for name, node in flat.nodes.items()
        if isinstance(node, ir.Affine | ir.Linear | ir.Conv2d)
    ]


def flops(parts: Iterable[Product], time: int, batch: int, training: bool) -> int:
    """The formula."""
    return sum(part.flops(time, batch, training) for part in parts)


def function_of(parts: list[Product], time: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(weights, xs) -> products, and (weights, xs, cotangents) -> products, input gradients, new weights."""

    def forward(weights: list[Array], xs: list[Array]) -> list[Array]:
        return [part.apply(weight, x, time) for part, weight, x in zip(parts, weights, xs, strict=True)]

    def train(weights: list[Array], xs: list[Array], cotangents: list[Array]) -> Any:
        ys, inputs, new = [], [], []
        for part, weight, x, cotangent in zip(parts, weights, xs, cotangents, strict=True):
            if part.first:
                y, back = jax.vjp(lambda w, part=part, x=x: part.apply(w, x, time), weight)
                (gradient,) = back(cotangent)
            else:
                y, back = jax.vjp(lambda w, x, part=part: part.apply(w, x, time), weight, x)
                gradient, at_input = back(cotangent)
                inputs.append(at_input)
            ys.append(y)
            new.append(weight - LEARNING_RATE * gradient)
        return ys, inputs, new

    return forward, train


def build(task: Task) -> Job:
    """The bare products of the task's graph."""
    shape = np.load(Path(task.folder, "x.npy"), mmap_mode="r").shape
    parts = products(nirjax.read(task.graph))
    if not parts:
        return copying(task)
    forward, train = function_of(parts, shape[0])
    weights = [part.weight() for part in parts]
    xs, cotangents = zip(*(part.arrays(*shape[:2]) for part in parts), strict=True)
    if task.training:
        return compiled.job(train, (weights, list(xs), list(cotangents)), None)
    return compiled.job(forward, (weights, list(xs)), None)


def copying(task: Task) -> Job:
    """One read and one write of the arrays; in training one more of each, for the gradient of the input."""
    x = jnp.asarray(task.x())
    if not task.training:
        return compiled.job(lambda x: 0.5 * x, (x,), None)

    def train(x: Array, scale: Array) -> tuple[Array, Array]:
        y, back = jax.vjp(lambda x: scale * x, x)
        # The barrier keeps the way back from being computed along with the way forth, in one pass.
        y = lax.optimization_barrier(y)
        return y, x - LEARNING_RATE * back(y)[0]

    return compiled.job(train, (x, jnp.float32(0.5)), None)


def main() -> None:
    from benchmarks import workloads

    for workload in workloads.WORKLOADS:
        try:
            parts = products(workload.graph())
        except workloads.AbsentError as absent:
            print(f"{workload.name:14} skipped: {absent}")
            continue
        if not parts:
            print(f"{workload.name:14} has no products")
        for training in (False, True) if parts else ():
            expected = flops(parts, workload.time, workload.batch, training)
            found = compiled_flops(parts, workload.time, workload.batch, training)
            print(f"{workload.name:14} {'training' if training else 'forward':9} {expected:>16,} {found:>18,.0f}")
            assert math.isclose(found, expected, rel_tol=1e-6), (workload.name, expected, found)


def compiled_flops(parts: list[Product], time: int, batch: int, training: bool) -> float:
    """Flops of the compiled limit. (The compiler counts in single precision.)"""
    forward, train = function_of(parts, time)
    weights = [part.weight() for part in parts]
    arrays = [part.arrays(time, batch) for part in parts]
    xs, cotangents = [x for x, _ in arrays], [y for _, y in arrays]
    arguments = (weights, xs, cotangents) if training else (weights, xs)
    program = jax.jit(train if training else forward).lower(*arguments).compile()
    return compiled.facts(program)["flops"]


if __name__ == "__main__":
    main()
