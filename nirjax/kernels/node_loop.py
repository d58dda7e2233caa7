"""A node's loop over time as a `time_loop`: its named constants and states in a row, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.kernels import machine_code
from nirjax.kernels.time_loop import Loop, chosen, time_loop
from nirjax.primitives.base import Constants, Primitive, Site, State

BIAS = "bias of the input"
"""The constant that is added to the input, where there is one."""


@dataclass(frozen=True)
class _Step:
    """A primitive's step, with its named arrays in a row. Two are equal if site and primitive are the same objects."""

    site: Site
    primitive: Primitive
    constants: tuple[str, ...]
    states: tuple[str, ...]

    def __call__(self, *arrays: Array) -> list[Array]:
        constants = dict(zip(self.constants, arrays, strict=False))
        state = dict(zip(self.states, arrays[len(self.constants) :], strict=False))
        assert self.primitive.step is not None
        x = arrays[-1] + constants.pop(BIAS) if BIAS in constants else arrays[-1]
        after, y = self.primitive.step(self.site, constants, state, x)
        return [*(after[name] for name in self.states), y]


def node_loop(
    site: Site,
    primitive: Primitive,
    constants: Constants,
    state: State,
    xs: Array,
    wanted: Sequence[str],
    untried: bool = False,
) -> tuple[State, Array, dict[str, Array]]:
    """All steps of an elementwise node.

    Args:
        site: of the node; primitive: its meaning.
        constants: each of a shape that broadcasts to one of `xs` behind the time; and BIAS, if there is one.
        state, xs: (*batch, *shape) and (time, *batch, *shape); the shape may have its axes as one.
        wanted: names of state variables to trace.
        untried: kernels too that no device has run yet.

    Returns:
        the last state, the output (time, *batch, *shape), and the traces, each state after its step.
    """
    step = _Step(site, primitive, tuple(sorted(constants)), tuple(sorted(state)))
    kept = tuple(name in wanted for name in step.states)
    inputs = [*(constants[name] for name in step.constants), *(state[name] for name in step.states), xs]
    anew = jax.default_backend() == "cpu" and machine_code.available()
    loop = Loop(step, len(step.constants), len(step.states), anew=anew, untried=untried)
    last, (ys,), before = time_loop(loop, inputs, kept)
    after = dict(zip(step.states, last, strict=True))
    traced = zip(chosen(step.states, kept), before, strict=True)
    return after, ys, {name: jnp.concatenate([one[1:], after[name][None]]) for name, one in traced}
