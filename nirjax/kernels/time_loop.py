"""The loop over time of one elementwise node, as one operation of JAX.

    (s_t, y_t) = step(c, s_{t-1}, x_t)        for t = 1 ... T, in every element alike

`lax.scan` says the same, and on a GPU starts a handful of kernels in every step. Here the whole loop is one operation,
which a GPU runs as one kernel (`nirjax.kernels.gpu`) and a CPU as machine code (`nirjax.kernels.cpu`). So that forward
mode, reverse mode, their mixtures and vmap all work, there are three operations, each a walk through time
(`nirjax.kernels.walk`):

    forward     s_T, y_1 ... y_T, and where they are kept the states before each step, s_0 ... s_{T-1}
    tangent     the tangents of those, linear in the tangents of c, s_0 and x
    adjoint     its transpose: the cotangents of c, s_0 and x

The way back computes each step again from the state before it. Those states are kept; or, where the loop says so, they
are computed anew from the first one, and x is all that the way back needs.

Shapes: states are (*shape), x and y (T, *shape), constants of any shape that broadcasts to (*shape). A vmap puts its
axis in front of *shape.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from nirjax.kernels import cpu, cpu_rows, gpu, tpu
from nirjax.kernels.spreading import devices_of, wants_devices
from nirjax.kernels.walk import Ahead, Arrays, Walk, walk

Flags = tuple[bool, ...]

CONSTANT, STATE, SEQUENCE = "constant", "state", "sequence"


@dataclass(frozen=True)
class Loop:
    """A step, and how many arrays it takes. Static: what a compiled program is keyed by.

    Attributes:
        step: (*constants, *states, *xs) -> (*states, *ys), elementwise; steps that are equal must compute the same.
        constants, states, sequences, outputs: how many arrays there are of each.
        rows: the step is not elementwise, but treats the elements of this many leading axes alike: what lies behind
            them is a row. Its constants may be matrices then, which all rows are multiplied by.
        anew: derivatives compute the states anew; else they are kept.
        untried: kernels too that no device has run yet.
    """

    step: Callable[..., Sequence[Array]]
    constants: int
    states: int
    sequences: int = 1
    outputs: int = 1
    rows: int | None = None
    anew: bool = False
    untried: bool = False

    @property
    def inputs(self) -> int:
        """How many arrays there are of constants, states and xs together."""
        return self.constants + self.states + self.sequences

    def parted(self, arrays: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Constants, states, xs, and what follows them."""
        first, second = self.constants, self.constants + self.states
        return arrays[:first], arrays[first:second], arrays[second : self.inputs], arrays[self.inputs :]

    def pull(self, wanted: Flags, inputs: Arrays, cotangents: Arrays) -> list[Array]:
        """One step back: cotangents of the wanted inputs from those of (*state, y)."""

        def of_wanted(*given: Array) -> tuple[Array, ...]:
            rest = iter(given)
            return tuple(self.step(*(next(rest) if want else x for x, want in zip(inputs, wanted, strict=True))))

        return list(jax.vjp(of_wanted, *chosen(inputs, wanted))[1](tuple(cotangents)))


def time_loop(loop: Loop, inputs: Arrays, kept: Flags) -> tuple[Arrays, Arrays, Arrays]:
    """Run the loop.

    Args:
        inputs: constants, states, and xs.
        kept: for each state, whether its values before each step are wanted.

    Returns:
        the last states, ys, and the kept states before each step (T, *shape).
    """
    results = _forward.bind(*inputs, loop=loop, kept=kept)  # type: ignore[no-untyped-call]
    outputs = loop.states + loop.outputs
    return results[: loop.states], results[loop.states : outputs], results[outputs:]


def chosen(values: Iterable[Any], flags: Iterable[bool]) -> list[Any]:
    """The values whose flag is set."""
    return [value for value, flag in zip(values, flags, strict=True) if flag]


# ------------------------------------------------------------------------------------------------------- as walks


def forward(*inputs: Array, loop: Loop, kept: Flags, walk: Walk = walk) -> list[Array]:
    """(*constants, *states, *xs) -> (*last states, *ys, *kept states before each step)."""

    def step(constants: Arrays, state: Arrays, rows: Arrays) -> tuple[list[Array], list[Array]]:
        found = loop.step(*constants, *state, *rows)
        return list(found[: loop.states]), [*found[loop.states :], *chosen(state, kept)]

    last, results = walk(step, *loop.parted(inputs)[:3])
    return [*last, *results]


def tangent(*arrays: Array, loop: Loop, kept: Flags, moved: Flags, walk: Walk = walk) -> list[Array]:
    """(*constants, *states, *xs, *moves of the moved inputs) -> how what `forward` gives moves.

    The states are those before each step, or the first ones where the loop computes them anew.
    """
    constants, states, xs, given = loop.parted(arrays)
    rest = iter(given)
    primals = (*constants, *_first(loop, states), *xs)
    moves = [next(rest) if move else jnp.zeros_like(x) for x, move in zip(primals, moved, strict=True)]
    to_constants, to_states, to_xs, _ = loop.parted(moves)
    carried, shown = (states, ()) if loop.anew else ((), states)
    rows_now = len(shown) + loop.sequences

    def step(fixed: Arrays, carry: Arrays, rows: Arrays) -> tuple[list[Array], list[Array]]:
        now, to_x, to_state = (*carry[: len(carried)], *rows[:rows_now]), rows[rows_now:], carry[len(carried) :]
        directions = (*fixed[loop.constants :], *to_state, *to_x)
        at = (*fixed[: loop.constants], *now)
        found, to_found = jax.jvp(lambda *now: list(loop.step(*now)), at, directions)
        after = [*found[: len(carried)], *to_found[: loop.states]]
        return after, [*to_found[loop.states :], *chosen(to_state, kept)]

    last, results = walk(step, [*constants, *to_constants], [*carried, *to_states], [*shown, *xs, *to_xs])
    return [*last[len(carried) :], *results]


def adjoint(
    *arrays: Array, loop: Loop, kept: Flags, moved: Flags, pushed: Flags | None = None, walk: Walk = walk
) -> list[Array]:
    """(*constants, *states, *xs, *cotangents of what `forward` gives) -> those of the moved inputs.

    The states are as for `tangent`. Cotangents that are zero are left out, as `pushed` says: of each, whether it is
    given.
    """
    constants, states, xs, given = loop.parted(arrays)
    outputs = loop.states + loop.outputs
    pushed = (True,) * (outputs + sum(kept)) if pushed is None else pushed
    rest = iter(given)
    last = [next(rest) if push else jnp.zeros_like(s) for s, push in zip(_first(loop, states), pushed, strict=False)]
    of_now = pushed[loop.states :]
    of_constants, of_states, of_xs, _ = loop.parted(moved)
    wanted = (*of_constants, *[True] * loop.states, *of_xs)
    sums = sum(of_constants)

    def step(constants: Arrays, carry: Arrays, rows: Arrays) -> tuple[list[Array], list[Array]]:
        now = rows[: loop.states + loop.sequences]
        rest = iter(rows[loop.states + loop.sequences :])
        shapes = jax.eval_shape(lambda *now: list(loop.step(*now)), *constants, *now)[loop.states :]
        shapes += chosen(now[: loop.states], kept)
        to_now = [next(rest) if push else jnp.zeros(s.shape, s.dtype) for s, push in zip(shapes, of_now, strict=True)]
        to_y, to_kept = to_now[: loop.outputs], to_now[loop.outputs :]
        found = loop.pull(wanted, (*constants, *now), (*carry[sums:], *to_y))
        totals = [total + one for total, one in zip(carry[:sums], found[:sums], strict=True)]
        rest = iter(to_kept)
        to_state = found[sums : sums + loop.states]
        to_state = [s + next(rest) if keep else s for s, keep in zip(to_state, kept, strict=True)]
        return [*totals, *to_state], found[sums + loop.states :]

    def ahead(constants: Arrays, states: Arrays, rows: Arrays) -> tuple[list[Array], list[Array]]:
        return list(loop.step(*constants, *states, *rows)[: loop.states]), []

    zeros = [jnp.zeros_like(constant) for constant in chosen(constants, of_constants)]
    if loop.anew:
        first = Ahead(ahead, states, loop.sequences)
        carry, to_xs = walk(step, constants, [*zeros, *last], [*xs, *rest], backward=True, ahead=first)
    else:
        carry, to_xs = walk(step, constants, [*zeros, *last], [*states, *xs, *rest], backward=True)
    return [*carry[:sums], *chosen(carry[sums:], of_states), *to_xs]


def _first(loop: Loop, states: Arrays) -> Sequence[Any]:
    """What has the shape of a state, of what derivatives are given."""
    return states if loop.anew else [jax.ShapeDtypeStruct(one.shape[1:], one.dtype) for one in states]  # type: ignore[no-untyped-call]


# ------------------------------------------------------------------------------------------------- as operations


def _roles(loop: Loop, **choices: Flags) -> dict[str, list[str]]:
    """What each array stands for that an operation takes or gives."""
    states, kept = [STATE] * loop.states, [SEQUENCE] * sum(choices["kept"])
    inputs = [*[CONSTANT] * loop.constants, *states, *[SEQUENCE] * loop.sequences]
    results = [*states, *[SEQUENCE] * loop.outputs, *kept]
    return {
        "inputs": inputs,
        "residuals": inputs if loop.anew else [*inputs[: loop.constants], *[SEQUENCE] * (loop.states + loop.sequences)],
        "moved": chosen(inputs, choices.get("moved", [True] * loop.inputs)),
        "results": results,
        "pushed": chosen(results, choices.get("pushed", [True] * len(results))),
    }


WALKS: dict[str | None, Callable[[Loop], Walk]] = {
    None: lambda loop: walk,
    "cpu": lambda loop: cpu.walk if loop.rows is None else functools.partial(cpu_rows.walk, lead=loop.rows),
    "cuda": lambda loop: gpu.walk,
    "tpu": lambda loop: tpu.walk if loop.untried else walk,
}
"""How a device walks through time; None stands for all others."""


def _walk_in(program: Any, platform: str | None, loop: Loop) -> Walk:
    """How a program that is being written walks through time; the program as JAX's lowering rules are told of it."""
    # machine code is for this machine, and an exported program runs on others
    elsewhere = platform == "cpu" and program.lowering_parameters.for_export
    found: Walk = walk if elsewhere or (platform != "cpu" and loop.rows is not None) else WALKS[platform](loop)
    devices = devices_of(program)
    return walk if found is walk or devices is None else functools.partial(found, several=devices > 1)


def _operation(name: str, meaning: Callable[..., list[Array]], takes: Sequence[str], gives: str) -> Primitive:
    """An operation of JAX: a scan, and where there is one a kernel. `takes` and `gives` are keys of `_roles`."""
    operation = Primitive(name)
    operation.multiple_results = True
    wants_devices(operation)

    @functools.partial(jax.jit, static_argnames=("loop", "kept", "moved", "pushed"))
    def run(*arrays: Array, **choices: Any) -> list[Array]:
        return operation.bind(*arrays, **choices)  # type: ignore[no-any-return,no-untyped-call]

    def shapes(*arrays: Any, **choices: Any) -> list[ShapedArray]:
        found = jax.eval_shape(functools.partial(meaning, **choices), *arrays)
        return [ShapedArray(one.shape, one.dtype) for one in found]

    def batched(arrays: Arrays, axes: Sequence[Any], **choices: Any) -> tuple[list[Array], list[int]]:
        if choices["loop"].rows is not None:
            found = jax.vmap(functools.partial(meaning, **choices), in_axes=tuple(axes))(*arrays)
            return found, [0] * len(found)
        size = next(array.shape[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None)
        roles = _roles(**choices)
        taken = [role for word in takes for role in roles[word]]
        sequence = taken.index(SEQUENCE)
        ndim = arrays[sequence].ndim - (1 if axes[sequence] is None else 2)
        given = zip(arrays, axes, taken, strict=True)
        results = operation.bind(*(_batched(*one, size, ndim) for one in given), **choices)  # type: ignore[no-untyped-call]
        if gives == "moved":
            # a constant's cotangents have the constant's own axes behind that of the vmap
            own = _own_shapes(arrays, axes, choices["loop"], choices["moved"])
            results[: len(own)] = [one.reshape(size, *shape) for one, shape in zip(results, own, strict=False)]
        return results, [1 if role == SEQUENCE else 0 for role in roles[gives]]

    def derivative(primals: Arrays, tangents: Sequence[Any], **choices: Any) -> tuple[Any, Any]:
        moves = [ad.instantiate_zeros(move) for move in tangents]  # type: ignore[no-untyped-call]
        return jax.jvp(functools.partial(meaning, **choices), tuple(primals), tuple(moves))

    operation.def_impl(run)  # type: ignore[no-untyped-call]
    operation.def_abstract_eval(shapes)  # type: ignore[no-untyped-call]
    batching.primitive_batchers[operation] = batched
    ad.primitive_jvps[operation] = derivative
    for platform in WALKS:
        mlir.register_lowering(operation, functools.partial(_lowered, meaning, platform), platform=platform)
    return operation


def _lowered(
    meaning: Callable[..., list[Array]], platform: str | None, context: Any, *arrays: Any, loop: Loop, **choices: Any
) -> Any:
    """An operation in a program for a platform: its meaning, with the walk that is right there."""
    run = functools.partial(meaning, loop=loop, walk=_walk_in(context.module_context, platform, loop), **choices)
    return mlir.lower_fun(run, multiple_results=True)(context, *arrays)


def _batched(array: Array, axis: int | None, role: str, size: int, ndim: int) -> Array:
    """An array with the axis of a vmap where its role has it; constants have as many axes as states then."""
    array = array[None] if axis is None else jnp.moveaxis(array, axis, 0)
    if role == CONSTANT:
        array = array.reshape(len(array), *[1] * (ndim - array.ndim + 1), *array.shape[1:])
    array = jnp.broadcast_to(array, (size, *array.shape[1:]))
    return jnp.moveaxis(array, 0, 1) if role == SEQUENCE else array


def _own_shapes(arrays: Arrays, axes: Sequence[int | None], loop: Loop, moved: Flags) -> list[tuple[int, ...]]:
    """The shapes of the moved constants, without the axis of a vmap."""
    constants = zip(arrays[: loop.constants], axes[: loop.constants], strict=True)
    shapes = [one.shape if axis is None else one.shape[:axis] + one.shape[axis + 1 :] for one, axis in constants]
    return chosen(shapes, moved[: loop.constants])


_forward = _operation("time_loop", forward, ("inputs",), "results")
_tangent = _operation("time_loop_tangent", tangent, ("residuals", "moved"), "results")
_adjoint = _operation("time_loop_adjoint", adjoint, ("residuals", "pushed"), "moved")


def _derivative(primals: Arrays, tangents: Sequence[Any], *, loop: Loop, kept: Flags) -> tuple[Any, Any]:
    moved = tuple(not isinstance(move, ad.Zero) for move in tangents)
    constants, first, xs, _ = loop.parted(primals)
    last, ys, before = time_loop(loop, primals, kept if loop.anew else (True,) * loop.states)
    residuals = (*constants, *(first if loop.anew else before), *xs)
    moves = chosen(tangents, moved)
    found = _tangent.bind(*residuals, *moves, loop=loop, kept=kept, moved=moved)  # type: ignore[no-untyped-call]
    return [*last, *ys, *(before if loop.anew else chosen(before, kept))], found


def _transposed(cotangents: Sequence[Any], *arrays: Any, loop: Loop, kept: Flags, moved: Flags) -> list[Any]:
    linear = [ad.is_undefined_primal(one) for one in arrays[loop.inputs :]]  # type: ignore[no-untyped-call]
    rest = iter(linear)
    wanted = tuple(move and next(rest) for move in moved)
    pushed = tuple(not isinstance(one, ad.Zero) for one in cotangents)
    arrays = (*arrays[: loop.inputs], *chosen(cotangents, pushed))
    found = _adjoint.bind(*arrays, loop=loop, kept=kept, moved=wanted, pushed=pushed)  # type: ignore[no-untyped-call]
    rest = iter(found)
    return [None] * loop.inputs + [next(rest) if one else None for one in linear]


ad.primitive_jvps[_forward] = _derivative
ad.primitive_transposes[_tangent] = _transposed
