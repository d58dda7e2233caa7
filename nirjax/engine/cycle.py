"""A cycle: members that depend on each other, in one loop over time steps with all of them inside.

Only what has to wait for the step before is in the loop; gradients of weights do not (`nirjax.kernels.late_weights`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from nirjax.engine.lowering import Plan, Stage
from nirjax.engine.schedule import Schedule
from nirjax.engine.states import REGISTER, States, register_name
from nirjax.ir.nodes import Shape
from nirjax.kernels.late_weights import shifted, with_late_weights
from nirjax.kernels.loops import kept_loop, loop
from nirjax.kernels.node_loop import BIAS
from nirjax.kernels.tree_loop import tree_loop
from nirjax.primitives.base import Constants

Values = dict[str, Array]
AllConstants = Mapping[str, Constants]


@dataclass(frozen=True, eq=False)
class Cycle:
    """A cycle and what is wanted of it. Static.

    Attributes:
        plan, stage: where it lies.
        lead: the batch axes.
        seen: members whose outputs are wanted.
        traced: (member, state variable) pairs that are wanted.
        schedule: how the block's loops are to run.
    """

    plan: Plan
    stage: Stage
    lead: Shape
    seen: tuple[str, ...]
    traced: tuple[tuple[str, str], ...]
    schedule: Schedule

    def of_rows(self, carry: States, entering: Values) -> bool:
        """Is the step one of elementwise functions and products of rows, which a kernel may know?"""
        sites, primitives = self.plan.sites, self.plan.primitives
        known = all(
            len(sites[name].input_shape) == len(sites[name].output_shape) == 1
            and (primitives[name].elementwise or name in self.weighted)
            for name in self.stage.members
        )
        rows = all(one.ndim == len(self.lead) + 1 for one in jax.tree.leaves(carry))
        return self.schedule.fused != "never" and known and rows and "" not in entering

    @property
    def weighted(self) -> tuple[str, ...]:
        """Members that are functions of their constants and input alone: products, scales."""
        return tuple(name for name in self.stage.members if self.plan.primitives[name].apply is not None)


def run_cycle(
    cycle: Cycle, constants: AllConstants, carry: States, entering: Values
) -> tuple[States, tuple[Values, Values]]:
    """All steps of a block: the last carry; and outputs and traces, each (steps, *batch, *shape).

    Args:
        constants: of the members; a BIAS is added to what comes from outside, its gradient is not in the loop.
        carry: the members' states, and the registers of the feedback edges among them.
        entering: (steps, *batch, *shape), what comes from outside to each member that something comes to; or, where
            nothing does, anything that has the block's length.
    """
    late = {name: own[BIAS] for name, own in constants.items() if BIAS in own}
    entering = {name: shifted(x, late[name]) if name in late else x for name, x in entering.items()}
    constants = dict(constants) | {n: {**constants[n], BIAS: lax.stop_gradient(late[n])} for n in late}
    weights = {name: dict(constants[name]) for name in cycle.weighted if constants[name]}
    rest = {name: dict(own) for name, own in constants.items() if name not in weights}

    def run(weights: Any, others: Any, shifts: Values, taken: tuple[str, ...]) -> tuple[Any, Values]:
        rest, carry, entering = others
        return _steps(cycle, {**weights, **rest}, carry, entering, shifts, taken)

    def apply(name: str, weights: Any, x: Array) -> Array:
        own = cycle.plan.primitives[name].apply
        assert own is not None
        return own(cycle.plan.sites[name], weights, x)

    found: tuple[States, tuple[Values, Values]] = with_late_weights(run, apply, weights, (rest, carry, entering))
    return found


# ------------------------------------------------------------------------------------------------------------- steps


@dataclass(frozen=True)
class _Advance:
    """One time step: the states after it; what is wanted of it; and what the members of `taken` take.

    Two are equal if they are of the same cycle, asked for the same.
    """

    cycle: Cycle
    taken: tuple[str, ...]

    def __call__(self, constants: AllConstants, before: States, rows: tuple[Values, Values]) -> tuple[States, Any]:
        cycle = self.cycle
        after, emitted, took = _step(cycle, constants, before, *rows)
        kept = {f"{name}.{variable}": after[name][variable] for name, variable in cycle.traced}
        seen = {name: emitted[name] for name in cycle.seen}
        return after, ((seen, kept), {name: took[name] for name in self.taken})


def _steps(
    cycle: Cycle, constants: AllConstants, carry: States, entering: Values, shifts: Values, taken: tuple[str, ...]
) -> tuple[Any, Values]:
    """The loop; and what the members of `taken` took in each step, whose outputs are shifted where there are shifts."""
    advance, rows = _Advance(cycle, taken), (entering, shifts)
    if cycle.of_rows(carry, entering):
        carry, (found, took) = tree_loop(advance, constants, carry, rows, len(cycle.lead))
    else:
        # what is recomputed as a whole keeps its own steps
        run = kept_loop if cycle.schedule.recompute else loop
        carry, (found, took) = run(functools.partial(advance, constants), carry, rows)
    return (carry, found), took


def _step(
    cycle: Cycle, constants: AllConstants, before: States, entering: Values, shifts: Values
) -> tuple[States, Values, Values]:
    """One time step: the states after it, what every member emits, and what it takes.

    Nodes that wait for no input emit first, then the others in order; then the waiting ones take their input.
    """
    plan, members = cycle.plan, cycle.stage.members
    after, emitted, took = dict(before), Values(), Values()
    late = [name for name in members if name in plan.waiting]
    for name in late:
        site, step = plan.sites[name], plan.primitives[name].step
        assert step is not None
        alike = plan.primitives[name].elementwise
        lead = jax.tree.leaves(before[name])[0].shape[: len(cycle.lead)] if alike else cycle.lead
        nothing = jnp.zeros((*lead, *site.input_shape), site.dtype)
        emitted[name] = step(site, constants[name], before[name], nothing)[1]
    for name in [name for name in members if name not in plan.waiting] + late:
        site, primitive = plan.sites[name], plan.primitives[name]
        took[name] = x = _arriving(cycle, name, constants[name], before, emitted, entering)
        if primitive.apply is not None:
            y = primitive.apply(site, constants[name], x)
            emitted[name] = shifted(y, shifts[name]) if name in shifts else y
        else:
            assert primitive.step is not None
            after[name], y = primitive.step(site, constants[name], before[name], x)
            emitted.setdefault(name, y)
    for edge in plan.registers:
        if edge[0] in emitted and register_name(edge) in before:
            after[register_name(edge)] = {REGISTER: emitted[edge[0]]}
    return after, emitted, took


def _arriving(
    cycle: Cycle, name: str, constants: Constants, before: States, emitted: Values, entering: Values
) -> Array:
    """The sum of what enters a member in one step: from outside, from registers, and from members before it."""
    arriving = [entering[name] + constants.get(BIAS, 0)] if name in entering else []
    for edge in ((source, name) for source in cycle.plan.sources[name] if source in cycle.stage.members):
        late = edge in cycle.plan.registers
        arriving.append(before[register_name(edge)][REGISTER] if late else emitted[edge[0]])
    return functools.reduce(jnp.add, arriving)
