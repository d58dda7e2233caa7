"""Running a plan: pure functions of parameters, state and input.

A run is a scan over blocks of time steps. Each block goes through the stages: a stateless node is applied to the
whole block at once (time folds into its leading axes), a lone stateful node loops over its own update, and only the
members of a cycle share one loop over single steps. Whatever enters a cycle from outside is there before its loop.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from nirjax.engine.cycle import Cycle, run_cycle
from nirjax.engine.lowering import Plan, Stage
from nirjax.engine.schedule import Schedule
from nirjax.engine.states import Params, States, initial_state, register_name, taken
from nirjax.ir.nodes import Shape
from nirjax.kernels.loops import loop
from nirjax.kernels.node_loop import BIAS, node_loop
from nirjax.primitives.base import Constants, Primitive, Site, State

Values = dict[str, Array]
Record = tuple[tuple[str, str], ...]
Carry = TypeVar("Carry")

# --------------------------------------------------------------------------------------------------------- blocks


def prepare(plan: Plan, params: Params) -> Mapping[str, Constants]:
    """The constants of every node, computed once for all steps."""
    constants = {name: p.prepare(plan.sites[name], taken(plan, params, name)) for name, p in plan.primitives.items()}
    return in_blocks(plan, constants)


def in_blocks(plan: Plan, states: Mapping[str, Mapping[str, Array]], *, back: bool = False) -> States:
    """States or constants as blocks have them: those of `plan.flat` with their node's axes as one; and `back`."""
    turn, laid = _as_shape if back else _as_vector, {name: dict(own) for name, own in states.items()}
    for name in plan.flat & laid.keys():
        one = functools.partial(turn, plan.sites[name].output_shape, name in plan.channels_last)
        laid[name] = jax.tree.map(one, laid[name])
    return laid


def run_block(
    plan: Plan,
    constants: Mapping[str, Constants],
    states: States,
    inputs: Values,
    record: Record,
    schedule: Schedule,
) -> tuple[States, Values, Values]:
    """One block of time steps through all stages.

    Args:
        constants: from `prepare`.
        states: from `initial_state` or the block before.
        inputs: Input node to its values, (steps, *batch, *shape), any dtype.
        record: (node, variable) pairs to trace.
        schedule: how the block's loops are to run; its length is that of the inputs.

    Returns:
        the new states, Output node to values, and "node.variable" to traces, each (steps, *batch, *shape).
    """
    states, values, traces = dict(states), Values(), Values()
    late = _late_biases(plan, record) if schedule.fused != "never" else {}
    for stage in plan.stages:
        if stage.cyclic:
            biases = {name: {BIAS: constants[late[name]]["bias"]} for name in stage.members if name in late}
            each = {name: {**constants[name], **biases.get(name, {})} for name in stage.members}
            _run_cycle(plan, stage, each, states, values, traces, record, inputs, schedule)
        else:
            name = stage.members[0]
            xs = _arriving(plan, name, plan.sources[name], values, inputs)
            own, bias = dict(constants[name]), constants[late[name]]["bias"] if name in late else None
            if name in late.values():
                del own["bias"]
            values[name] = _run_alone(plan, name, own, states, xs, traces, record, schedule.fused, bias)
    for name, variable in record:
        if variable in ("output", "spikes"):
            traces[f"{name}.{variable}"] = _in_layout(plan, name, values[name], last=False)
    return states, {name: values[name] for name in plan.outputs}, traces


def _late_biases(plan: Plan, record: Record) -> dict[str, str]:
    """Neurons whose loop adds the bias of a node: the only one that they read outside of it, and nobody else reads."""
    read = [source for sources in plan.sources.values() for source in sources]
    shown = {*plan.outputs, *(name for name, _ in record)}
    lone = {stage.members[0] for stage in plan.stages if not stage.cyclic}
    pairs = {}
    for stage in plan.stages:
        for name in stage.members:
            outside = [source for source in plan.sources[name] if not stage.cyclic or source not in stage.members]
            fits = plan.primitives[name].elementwise and (name in lone or len(plan.sites[name].input_shape) == 1)
            if fits and len(outside) == 1 and plan.primitives[outside[0]].late_bias:
                pairs[name] = outside[0]
    return {name: at for name, at in pairs.items() if read.count(at) == 1 and at in lone - shown}


def _arriving(plan: Plan, name: str, sources: tuple[str, ...], values: Values, inputs: Values) -> Array:
    """The sum of what enters a node over the block, in the node's layout; zero where nothing does."""
    site = plan.sites[name]
    if name in inputs:
        return inputs[name].astype(site.dtype)
    if sources:
        arriving = [_in_layout(plan, source, values[source], name in plan.channels_last) for source in sources]
        return functools.reduce(jnp.add, arriving)
    port = plan.inputs[0]
    lead = inputs[port].shape[: inputs[port].ndim - len(plan.sites[port].input_shape)]
    shape = site.input_shape
    return jnp.zeros((*lead, *((*shape[1:], shape[0]) if name in plan.channels_last else shape)), site.dtype)


def _in_layout(plan: Plan, name: str, value: Array, last: bool) -> Array:
    """What a node emits, with its channels as the last axis or as the first of its shape."""
    if last == (name in plan.channels_last):
        return value
    first = value.ndim - len(plan.sites[name].output_shape)
    return jnp.moveaxis(value, first, -1) if last else jnp.moveaxis(value, -1, first)


def _run_alone(
    plan: Plan,
    name: str,
    constants: Constants,
    states: States,
    xs: Array,
    traces: Values,
    record: Record,
    fused: str,
    bias: Array | None = None,
) -> Array:
    """A node that lies on no cycle, over the whole block."""
    site, primitive = plan.sites[name], plan.primitives[name]
    last = name in plan.channels_last
    apply = primitive.channels_last if last else primitive.apply
    if apply is not None:
        return apply(site, constants, xs)
    wanted = tuple(v for node, v in record if node == name and v in primitive.variables)
    if primitive.block is not None and not wanted:
        states[name], ys = primitive.block(site, constants, states[name], xs)
        return ys
    flat, shape = name in plan.flat, site.output_shape
    given = _as_vector(shape, False, xs) if flat else xs
    if primitive.elementwise and fused != "never":
        if bias is not None:
            bias = jnp.broadcast_to(bias.reshape(*bias.shape, *[1] * (len(shape) - bias.ndim)), shape)
            bias = _as_vector(shape, last, bias) if flat else bias
        own = constants if bias is None else {**constants, BIAS: bias}
        untried = fused == "always"
        states[name], ys, kept = node_loop(site, primitive, own, states[name], given, wanted, untried)
    else:
        states[name], ys, kept = _node_steps(site, primitive, constants, states[name], given, wanted)
    if flat:
        kept = {variable: _as_shape(shape, last, trace) for variable, trace in kept.items()}
    traces.update({f"{name}.{variable}": trace for variable, trace in kept.items()})
    return ys.reshape(xs.shape) if flat else ys


def _node_steps(
    site: Site, primitive: Primitive, constants: Constants, state: State, xs: Array, wanted: tuple[str, ...]
) -> tuple[State, Array, Values]:
    """The steps of a node, one after the other: the last state, the output, and traces of the wanted variables."""
    step = primitive.step
    assert step is not None

    def advance(state: State, x: Array) -> tuple[State, tuple[Array, Values]]:
        state, y = step(site, constants, state, x)
        return state, (y, {variable: state[variable] for variable in wanted})

    state, (ys, kept) = loop(advance, state, xs)
    return state, ys, kept


def _as_vector(shape: Shape, last: bool, array: Array) -> Array:
    """An array with a node's axes as one, the first behind the others if `last`; a single number stays one."""
    if not array.ndim:
        return array
    first = array.ndim - len(shape)
    array = jnp.moveaxis(array, first, -1) if last else array
    return array.reshape(*array.shape[:first], math.prod(shape))


def _as_shape(shape: Shape, last: bool, array: Array) -> Array:
    """The inverse of `_as_vector`."""
    if last:
        return jnp.moveaxis(array.reshape(*array.shape[:-1], *shape[1:], shape[0]), -1, array.ndim - 1)
    return array.reshape(*array.shape[:-1], *shape)


def _run_cycle(
    plan: Plan,
    stage: Stage,
    constants: Mapping[str, Constants],
    states: States,
    values: Values,
    traces: Values,
    record: Record,
    inputs: Values,
    schedule: Schedule,
) -> None:
    """The members of a cycle, step by step; adds their values and traces to what is given."""
    members = set(stage.members)
    edges = [edge for edge in plan.registers if edge[1] in members]
    entering = {
        name: _arriving(plan, name, outside, values, inputs)
        for name in stage.members
        if (outside := tuple(source for source in plan.sources[name] if source not in members))
    }
    steps, lead = _block_lead(plan, inputs)
    own = {name: states[name] for name in stage.members if plan.primitives[name].stateful}
    carry = own | {register_name(edge): states[register_name(edge)] for edge in edges}
    read = {source for name, sources in plan.sources.items() if name not in members for source in sources}
    read |= {name for name, variable in record if variable in ("output", "spikes")} | set(plan.outputs)
    seen = [name for name in stage.members if name in read]
    wanted = [(name, v) for name, v in record if name in members and v in plan.primitives[name].variables]
    # A cycle that nothing enters still needs the block's length.
    xs = entering or {"": jnp.zeros((steps, 0))}
    cycle = Cycle(plan, stage, lead, tuple(seen), tuple(wanted), schedule)
    carry, (emitted, kept) = run_cycle(cycle, {name: constants[name] for name in stage.members}, carry, xs)
    states.update(carry)
    values.update(emitted)
    traces.update(kept)


def _block_lead(plan: Plan, inputs: Values) -> tuple[int, Shape]:
    """Steps in the block, and its batch axes."""
    port = plan.inputs[0]
    lead = inputs[port].shape[: inputs[port].ndim - len(plan.sites[port].input_shape)]
    return lead[0], lead[1:]


# ----------------------------------------------------------------------------------------------------------- runs


def fold_blocks(
    plan: Plan,
    params: Params,
    states: States,
    inputs: Values,
    schedule: Schedule,
    f: Callable[[Carry, Values, Values], tuple[Carry, Any]],
    init: Carry,
    record: Record = (),
) -> tuple[States, Carry, Any]:
    """Run all time steps in blocks: (carry, kept) = f(carry, outputs, traces) after each block.

    Returns:
        the last states, the last carry, and what `f` kept of each block, concatenated over time.
    """
    constants = prepare(plan, params)
    time, batch = _block_lead(plan, inputs)
    given = states = in_blocks(plan, states)
    single = batch if plan.channels_last and all(isinstance(n, int) and n == 1 for n in batch) else ()
    if single:
        # Channels last, an axis of one sample has several layouts that mean the same, and XLA copies between them.
        alone = jax.eval_shape(lambda p: in_blocks(plan, initial_state(plan, p, ())), params)
        states = jax.tree.map(lambda state, one: state.reshape(one.shape), states, alone)
        inputs = {name: x.reshape(time, *plan.sites[name].input_shape) for name, x in inputs.items()}
    length = min(schedule.block or max(time, 1), max(time, 1))
    whole, rest = divmod(time, length)

    def one_block(carry: tuple[States, Carry], block: tuple[Any, Values]) -> tuple[tuple[States, Carry], Any]:
        (states, folded), (number, xs) = carry, block
        if schedule.truncate:
            states = jax.tree.map(lambda s: jnp.where(number == 0, s, lax.stop_gradient(s)), states)
        states, outputs, traces = run_block(plan, constants, states, xs, record, schedule)
        outputs, traces = jax.tree.map(lambda y: y.reshape(y.shape[0], *single, *y.shape[1:]), (outputs, traces))
        folded, kept = f(folded, outputs, traces)
        return (states, folded), kept

    if schedule.recompute:
        one_block = jax.checkpoint(one_block, prevent_cse=False)
    carry, parts = (states, init), []
    if whole == 1:
        carry, kept = one_block(carry, (0, {name: x[:length] for name, x in inputs.items()}))
        parts.append(kept)
    elif whole != 1 and (whole or not rest):
        blocks = {name: x[: whole * length].reshape(whole, length, *x.shape[1:]) for name, x in inputs.items()}
        numbers = jnp.arange(whole) if schedule.truncate else None
        carry, kept = lax.scan(one_block, carry, (numbers, blocks))
        parts.append(jax.tree.map(lambda y: y.reshape(whole * length, *y.shape[2:]), kept))
    if rest:
        carry, kept = one_block(carry, (whole, {name: x[whole * length :] for name, x in inputs.items()}))
        parts.append(kept)
    kept = parts[0] if len(parts) == 1 else jax.tree.map(lambda *ys: jnp.concatenate(ys), *parts)
    states = jax.tree.map(lambda state, shaped: state.reshape(shaped.shape), carry[0], given)
    return in_blocks(plan, states, back=True), carry[1], kept
