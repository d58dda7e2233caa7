"""A cycle: members that depend on each other, in one loop over time steps with all of them inside.

Only what has to wait for the step before is in the loop. In the derivative that is less than in the value: how the
outputs move with a product's weights,

    d(W z_t + b) = W dz_t + (dW z_t + db)

is a part that has to wait, and a part that does not: z_t is known when the loop has run. So the second part is
computed for the whole block at once and enters the tangents' loop from outside, like any input; in reverse mode the
gradient of W is then one product over all steps, after the loop, and not a small one in every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

from nirjax.engine.loops import Loop as OverSteps
from nirjax.engine.lowering import Plan, Stage
from nirjax.engine.states import REGISTER, States, register_name
from nirjax.ir.nodes import Shape
from nirjax.kernels.time_loop import Loop, time_loop
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
        loop: over the steps.
        fused: the loop may be a kernel.
    """

    plan: Plan
    stage: Stage
    lead: Shape
    seen: tuple[str, ...]
    traced: tuple[tuple[str, str], ...]
    loop: OverSteps
    fused: bool

    def of_rows(self, carry: States, entering: Values) -> bool:
        """Is the step one of elementwise functions and products of rows, which a kernel may know?"""
        sites, primitives = self.plan.sites, self.plan.primitives
        known = all(
            len(sites[name].input_shape) == len(sites[name].output_shape) == 1
            and (primitives[name].elementwise or name in self.weighted)
            for name in self.stage.members
        )
        rows = all(one.ndim == len(self.lead) + 1 for one in jax.tree.leaves(carry))
        return self.fused and known and rows and "" not in entering

    @property
    def weighted(self) -> tuple[str, ...]:
        """Members that are functions of their constants and input alone: products, scales."""
        return tuple(name for name in self.stage.members if self.plan.primitives[name].apply is not None)


def run_cycle(
    cycle: Cycle, constants: AllConstants, carry: States, entering: Values
) -> tuple[States, tuple[Values, Values]]:
    """All steps of a block.

    Args:
        constants: of the members.
        carry: the members' states, and the registers of the feedback edges among them.
        entering: (steps, *batch, *shape), what comes from outside to each member that something comes to; or, where
            nothing does, anything that has the block's length.

    Returns:
        the last carry; and the outputs of `seen` and the traces of `traced`, each (steps, *batch, *shape).
    """
    weights = {name: constants[name] for name in cycle.weighted if constants[name]}
    rest = {name: own for name, own in constants.items() if name not in weights}

    @jax.custom_jvp
    def run(weights: AllConstants, rest: AllConstants, carry: States, entering: Values) -> Any:
        return _steps(cycle, {**weights, **rest}, carry, entering, {}, ())[0]

    def derivative(primals: Any, tangents: Any) -> Any:
        return _derivative(cycle, primals, tangents)

    run.defjvp(derivative, symbolic_zeros=True)
    found: tuple[States, tuple[Values, Values]] = run(weights, rest, carry, entering)
    return found


def _derivative(cycle: Cycle, primals: Any, tangents: Any) -> Any:
    """What `run` gives, and how it moves: a loop that is linear in the moves of all but the weights, which enter it."""
    weights, *others = primals
    to_weights, *to_others = tangents
    moved_weights = [name for name in weights if not all(map(_still, jax.tree.leaves(to_weights[name])))]
    places, tree = jax.tree.flatten(tuple(others))
    moves = jax.tree.leaves(tuple(to_others), is_leaf=_still)
    moving = [not _still(move) for move in moves]

    def run(moved: list[Array], shifts: Values) -> Any:
        given = iter(moved)
        leaves = [next(given) if moves else place for place, moves in zip(places, moving, strict=True)]
        rest, carry, entering = jax.tree.unflatten(tree, leaves)
        return _steps(cycle, {**weights, **rest}, carry, entering, shifts, moved_weights)

    steps = jax.tree.leaves(others[-1])[0].shape[0]
    shifts = {name: _nothing(cycle, name, steps) for name in moved_weights}
    moved = [place for place, moves in zip(places, moving, strict=True) if moves]
    (found, taken), push = jax.linearize(run, moved, shifts)
    shifts = {name: _shift(cycle, name, weights[name], to_weights[name], taken[name]) for name in moved_weights}
    to_found, _ = push([move for move, moves in zip(moves, moving, strict=True) if moves], shifts)
    return found, to_found


def _still(move: Any) -> bool:
    return isinstance(move, SymbolicZero)


def _nothing(cycle: Cycle, name: str, steps: int) -> Array:
    site = cycle.plan.sites[name]
    return jnp.zeros((steps, *cycle.lead, *site.output_shape), site.dtype)


def _shift(cycle: Cycle, name: str, weights: Constants, to_weights: Any, taken: Array) -> Array:
    """How a member's outputs move with its weights, its inputs as they are: for all steps at once."""
    apply, site = cycle.plan.primitives[name].apply, cycle.plan.sites[name]
    assert apply is not None
    move = {key: jnp.zeros_like(weights[key]) if _still(to) else to for key, to in to_weights.items()}
    shift: Array = jax.jvp(lambda own: apply(site, own, taken), (dict(weights),), (move,))[1]
    return shift


@jax.custom_jvp
def _shifted(y: Array, shift: Array) -> Array:
    """y, whose tangent is shifted by that of a shift that is zero."""
    return y


@_shifted.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return primals[0], tangents[0] + tangents[1]


# ------------------------------------------------------------------------------------------------------------- steps


def _steps(
    cycle: Cycle, constants: AllConstants, carry: States, entering: Values, shifts: Values, taken: Any
) -> tuple[Any, Values]:
    """The loop; and what the members of `taken` took in each step, whose outputs are shifted."""

    if cycle.of_rows(carry, entering):
        return _as_rows(cycle, constants, carry, (entering, shifts), tuple(taken))

    def advance(before: States, rows: tuple[Values, Values]) -> tuple[States, Any]:
        return _advanced(cycle, tuple(taken), constants, before, rows)

    carry, (found, took) = cycle.loop(advance, carry, (entering, shifts))
    return (carry, found), took


def _advanced(
    cycle: Cycle, taken: tuple[str, ...], constants: AllConstants, before: States, rows: tuple[Values, Values]
) -> tuple[States, Any]:
    """One time step: the states after it; and what is wanted of it."""
    after, emitted, took = _step(cycle, constants, before, *rows)
    kept = {f"{name}.{variable}": after[name][variable] for name, variable in cycle.traced}
    return after, (({name: emitted[name] for name in cycle.seen}, kept), {name: took[name] for name in taken})


@dataclass(frozen=True)
class _Flat:
    """A cycle's step, with its arrays in a row. Two are equal if they are of the same cycle, asked for the same."""

    cycle: Cycle
    taken: tuple[str, ...]
    tree: Any

    def __call__(self, *arrays: Array) -> list[Array]:
        constants, before, rows = jax.tree.unflatten(self.tree, arrays)
        after, found = _advanced(self.cycle, self.taken, constants, before, rows)
        return [*jax.tree.leaves(after), *jax.tree.leaves(found)]


def _as_rows(
    cycle: Cycle, constants: AllConstants, carry: States, rows: tuple[Values, Values], taken: tuple[str, ...]
) -> tuple[Any, Values]:
    """The steps as one operation, `time_loop`."""
    leaves, tree = jax.tree.flatten((constants, carry, rows))
    constant_count, state_count, row_count = (len(jax.tree.leaves(part)) for part in (constants, carry, rows))
    one = jax.tree.map(lambda x: x[0], rows)
    after, found = jax.eval_shape(lambda *given: _advanced(cycle, taken, *given), constants, carry, one)
    output_count, lead = len(jax.tree.leaves(found)), len(cycle.lead)
    loop = Loop(_Flat(cycle, taken, tree), constant_count, state_count, row_count, output_count, lead)
    last, outputs, _ = time_loop(loop, leaves, (False,) * state_count)
    found, took = jax.tree.unflatten(jax.tree.structure(found), outputs)
    return (jax.tree.unflatten(jax.tree.structure(after), last), found), took


def _step(
    cycle: Cycle, constants: AllConstants, before: States, entering: Values, shifts: Values
) -> tuple[States, Values, Values]:
    """One time step: the states after it, what every member emits, and what it takes.

    Nodes that wait for no input emit first; then the others, in order; then the waiting ones take their input.
    """
    plan, members = cycle.plan, cycle.stage.members
    after, emitted, took = dict(before), Values(), Values()
    late = [name for name in members if name in plan.waiting]
    for name in late:
        site, step = plan.sites[name], plan.primitives[name].step
        assert step is not None
        state = jax.tree.leaves(before[name])[0]
        nothing = jnp.zeros((*state.shape[: len(cycle.lead)], *site.input_shape), site.dtype)
        emitted[name] = step(site, constants[name], before[name], nothing)[1]
    for name in [name for name in members if name not in plan.waiting] + late:
        site, primitive = plan.sites[name], plan.primitives[name]
        took[name] = x = _arriving(cycle, name, before, emitted, entering)
        if primitive.apply is not None:
            y = primitive.apply(site, constants[name], x)
            emitted[name] = _shifted(y, shifts[name]) if name in shifts else y
        else:
            assert primitive.step is not None
            after[name], y = primitive.step(site, constants[name], before[name], x)
            emitted.setdefault(name, y)
    for edge in plan.registers:
        if edge[0] in emitted and register_name(edge) in before:
            after[register_name(edge)] = {REGISTER: emitted[edge[0]]}
    return after, emitted, took


def _arriving(cycle: Cycle, name: str, before: States, emitted: Values, entering: Values) -> Array:
    """The sum of what enters a member in one step: from outside, from registers, and from members before it."""
    plan = cycle.plan
    x = entering.get(name)
    for source in plan.sources[name]:
        if source not in cycle.stage.members:
            continue
        edge = (source, name)
        arriving = before[register_name(edge)][REGISTER] if edge in plan.registers else emitted[source]
        x = arriving if x is None else x + arriving
    assert x is not None
    return x
