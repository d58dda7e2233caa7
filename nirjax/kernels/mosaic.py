"""The loop over time as one kernel for GPUs, through Pallas and Mosaic.

A warpgroup of 128 threads takes 128 elements, holds their state and constants in registers, and walks through time:
in every step each thread reads its element of x, computes the step and writes its element of y. So x is read once and
y written once, whatever the number of steps, and nothing else touches memory but what is kept for the way back. Reads
run AHEAD steps before their use, so that the walk does not wait for memory.

The last 128 elements overlap with those before them where their number is no multiple of 128: both warpgroups write the
same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.extend.core import ClosedJaxpr, Literal

if TYPE_CHECKING:
    from nirjax.kernels.time_loop import Loop

TILE = 128
"""Elements of one warpgroup, one a thread."""

AHEAD = 8
"""Steps by which reads precede their use, and that are written out in one turn of the loop."""

KNOWN = frozenset(
    (
        *("add", "sub", "mul", "div", "neg", "max", "min", "clamp", "abs", "sign", "round", "integer_pow", "square"),
        *("exp", "exp2", "log", "tanh", "erf", "rsqrt", "sin", "cos", "gt", "ge", "lt", "le", "eq", "ne"),
        *("and", "or", "not", "select_n", "convert_element_type", "broadcast_in_dim", "reshape", "squeeze"),
    )
)
"""Operations that Mosaic has for arrays in registers, of those that a step may consist of."""


def _floor(x: Array) -> Array:
    nearest = lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    return jnp.where(nearest > x, nearest - 1, nearest)


REWRITTEN: dict[str, Callable[..., Array]] = {
    "add_any": lax.add,
    "copy": lambda x: x,
    "stop_gradient": lambda x: x,
    "floor": _floor,
    "ceil": lambda x: -_floor(-x),
    "logistic": lambda x: 1 / (1 + jnp.exp(-x)),
}
"""Operations that it has not, in terms of those that it has."""

OLDEST = 9.0
"""The first compute capability that Mosaic writes kernels for."""

Body = Callable[..., None]


def can_run(loop: Loop, arrays: Sequence[Array]) -> bool:
    """Is there a GPU for which the kernel is written, and is the loop one that it can run?

    It wants a known number of float32 elements and steps, at least one of each, and a step and a way back that consist
    of known operations, without arrays of their own.
    """
    shape = arrays[loop.inputs - 1].shape
    if not all(isinstance(size, int) and size for size in shape) or any(a.dtype != jnp.float32 for a in arrays):
        return False
    traced = (_traced_step(loop), _traced_pull(loop, (True,) * loop.inputs))
    known = all(_operations(one) <= KNOWN | set(REWRITTEN) and not one.consts for one in traced)
    return known and _has_warpgroups()


def _has_warpgroups() -> bool:
    """Is this process's GPU of compute capability 9.0 (Hopper) or later?"""
    try:
        device = jax.devices("gpu")[0]
    except RuntimeError:
        return False
    capability = str(getattr(device, "compute_capability", "0"))
    return float(capability) >= OLDEST


def forward(*inputs: Array, loop: Loop, kept: tuple[bool, ...], interpret: bool = False) -> list[Array]:
    """`nirjax.kernels.time_loop.forward`, in one kernel."""
    steps, shape = inputs[-1].shape[0], inputs[-1].shape[1:]
    step = _traced_step(loop)

    def body(tile: Array, *refs: Any) -> None:
        columns = _columns(tile, shape)
        given, results = refs[: loop.inputs], refs[loop.inputs :]
        to_last, to_ys, to_before = results[: loop.states], results[loop.states], results[loop.states + 1 :]
        constants = [ref[columns] for ref in given[: loop.constants]]

        def advance(t: Array | int, states: Sequence[Array], now: Sequence[Array]) -> list[Array]:
            for ref, state in zip(to_before, _chosen(states, kept), strict=True):
                ref[t, columns] = state
            *states, y = _evaluated(step, [*constants, *states, *now])
            to_ys[t, columns] = y
            return states

        states = [ref[columns] for ref in given[loop.constants : -1]]
        states = _walk(steps, [given[-1]], columns, advance, states, backward=False)
        for ref, state in zip(to_last, states, strict=True):
            ref[columns] = state

    singles = [True] * (loop.inputs - 1) + [False]
    return _launched(body, inputs, singles, shape, [*[()] * loop.states, *[(steps,)] * (1 + sum(kept))], interpret)


def adjoint(
    *arrays: Array, loop: Loop, kept: tuple[bool, ...], moved: tuple[bool, ...], interpret: bool = False
) -> list[Array]:
    """`nirjax.kernels.time_loop.adjoint`, in one kernel."""
    steps, shape = arrays[loop.inputs - 1].shape[0], arrays[loop.inputs - 1].shape[1:]
    of_constants, of_states, of_x = moved[: loop.constants], moved[loop.constants : -1], moved[-1]
    pull = _traced_pull(loop, (*of_constants, *[True] * loop.states, of_x))

    def body(tile: Array, *refs: Any) -> None:
        columns = _columns(tile, shape)
        given, results = refs[: len(arrays)], list(refs[len(arrays) :])
        last = given[loop.inputs : loop.inputs + loop.states]
        sequences = [*given[loop.constants : loop.inputs], *given[loop.inputs + loop.states :]]
        constants = [ref[columns] for ref in given[: loop.constants]]
        to_xs = results.pop() if of_x else None
        sums = sum(of_constants)

        def advance(t: Array | int, carry: Sequence[Array], now: Sequence[Array]) -> list[Array]:
            totals, to_states = carry[:sums], carry[sums:]
            own, (to_y, *to_kept) = now[: loop.states + 1], now[loop.states + 1 :]
            found = _evaluated(pull, [*constants, *own, *to_states, to_y])
            if to_xs is not None:
                to_xs[t, columns] = found.pop()
            rest = iter(to_kept)
            to_states = [s + next(rest) if keep else s for s, keep in zip(found[sums:], kept, strict=True)]
            return [*[total + one for total, one in zip(totals, found[:sums], strict=True)], *to_states]

        zeros = [jnp.zeros_like(c) for c in _chosen(constants, of_constants)]
        carry = [*zeros, *[ref[columns] for ref in last]]
        carry = _walk(steps, sequences, columns, advance, carry, backward=True)
        for ref, value in zip(results, [*carry[:sums], *_chosen(carry[sums:], of_states)], strict=True):
            ref[columns] = value

    last = range(loop.inputs, loop.inputs + loop.states)
    singles = [place < loop.constants or place in last for place in range(len(arrays))]
    leads = [*[()] * (sum(of_constants) + sum(of_states)), *([(steps,)] if of_x else [])]
    found = _launched(body, arrays, singles, shape, leads, interpret)
    sums = zip(found, _chosen(arrays[: loop.constants], of_constants), strict=False)
    return [*(_summed(total, constant.shape) for total, constant in sums), *found[sum(of_constants) :]]


def _walk(
    steps: int,
    sequences: Sequence[Any],
    columns: Any,
    advance: Callable[[Any, Sequence[Array], Sequence[Array]], list[Array]],
    carry: list[Array],
    backward: bool,
) -> list[Array]:
    """Carry through all steps, from the last to the first if `backward`, with reads ahead."""
    turns, left = divmod(steps, AHEAD)

    def place(turn: Any, k: int) -> Any:
        t = turn * AHEAD + k
        return steps - 1 - t if backward else t

    def read(turn: Any) -> list[list[Array]]:
        at = [jnp.clip(place(turn, k), 0, steps - 1) for k in range(AHEAD)]
        return [[ref[t, columns] for ref in sequences] for t in at]

    def one_turn(turn: Any, now: tuple[list[Array], list[list[Array]]]) -> tuple[list[Array], list[list[Array]]]:
        carry, rows = now
        coming = read(turn + 1)
        for k, row in enumerate(rows):
            carry = advance(place(turn, k), carry, row)
        return carry, coming

    carry, rows = lax.fori_loop(0, turns, one_turn, (carry, read(0)))
    for k in range(left):
        carry = advance(place(turns, k), carry, rows[k])
    return carry


def _columns(tile: Array, shape: tuple[int, ...]) -> Any:
    """The elements of a tile; those of the last end with the array."""
    return pl.ds(jnp.minimum(tile * TILE, max(math.prod(shape), TILE) - TILE), TILE)


def _launched(
    body: Body,
    arrays: Sequence[Array],
    singles: Sequence[bool],
    shape: tuple[int, ...],
    leads: Sequence[tuple[int, ...]],
    interpret: bool,
) -> list[Array]:
    """The kernel, one program a tile. Fewer elements than a tile are filled up, and cut off again.

    Args:
        singles: which arrays are constants or states, without an axis of time.
        shape: of one step.
        leads: of each result, what comes before `shape`: () or (steps,).
    """
    elements = math.prod(shape)
    missing = max(TILE - elements, 0)
    flat = []
    for array, single in zip(arrays, singles, strict=True):
        array = jnp.broadcast_to(array, shape).ravel() if single else array.reshape(len(array), elements)
        flat.append(jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)], mode="edge") if missing else array)
    results = [jax.ShapeDtypeStruct((*lead, elements + missing), jnp.float32) for lead in leads]  # type: ignore[no-untyped-call]
    grid = (pl.cdiv(elements, TILE),)
    if interpret:
        kernel = pl.pallas_call(
            lambda *refs: body(pl.program_id(0), *refs), out_shape=results, grid=grid, interpret=True
        )
    else:
        from jax.experimental.pallas import mosaic_gpu

        # Every element is read and written by one thread alone (or by two that write the same): no barriers.
        kernel = mosaic_gpu.kernel(
            lambda *refs: body(lax.axis_index("tile"), *refs),
            out_type=results,
            grid=grid,
            grid_names=("tile",),
            compiler_params=mosaic_gpu.CompilerParams(
                unsafe_no_auto_barriers=True, lowering_semantics=mosaic_gpu.LoweringSemantics.Warpgroup
            ),
        )
    found = zip(kernel(*flat), leads, strict=True)
    return [one[..., :elements].reshape(*lead, *shape) for one, lead in found]


def _summed(total: Array, shape: tuple[int, ...]) -> Array:
    """Summed over the axes along which an array of `shape` was broadcast."""
    lead = total.ndim - len(shape)
    ones = [lead + axis for axis, size in enumerate(shape) if size == 1]
    return total.sum((*range(lead), *ones)).reshape(shape)


# --------------------------------------------------------------------------------------------------- single steps


def _traced_step(loop: Loop) -> ClosedJaxpr:
    return jax.make_jaxpr(lambda *inputs: list(loop.step(*inputs)))(*_tiles(loop.inputs))


def _traced_pull(loop: Loop, wanted: tuple[bool, ...]) -> ClosedJaxpr:
    def pull(*arrays: Array) -> list[Array]:
        return loop.pull(wanted, arrays[: loop.inputs], arrays[loop.inputs :])

    return jax.make_jaxpr(pull)(*_tiles(loop.inputs + loop.states + 1))


def _tiles(number: int) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct((TILE,), jnp.float32)] * number  # type: ignore[no-untyped-call]


def _inner(parameters: dict[str, Any]) -> ClosedJaxpr | None:
    """The function that an operation calls: of a jit, or of a custom derivative, which is not needed any more."""
    return parameters.get("call_jaxpr") or parameters.get("jaxpr")


def _operations(traced: ClosedJaxpr) -> set[str]:
    """The names of all operations, without calls."""
    found = set[str]()
    for equation in traced.jaxpr.eqns:
        inner = _inner(equation.params)
        found |= {equation.primitive.name} if inner is None else _operations(inner)
    return found


def _evaluated(traced: ClosedJaxpr, arguments: Iterable[Array]) -> list[Array]:
    """What the function gives, with every call written out."""
    known = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    known |= dict(zip(traced.jaxpr.invars, arguments, strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in traced.jaxpr.eqns:
        values = [value(atom) for atom in equation.invars]
        inner = _inner(equation.params)
        if inner is not None:
            results = _evaluated(inner, values)
        elif equation.primitive.name in REWRITTEN:
            results = [REWRITTEN[equation.primitive.name](*values)]
        else:
            results = equation.primitive.bind(*values, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
        known |= dict(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in traced.jaxpr.outvars]


def _chosen(values: Iterable[Array], chosen: Iterable[bool]) -> list[Array]:
    return [value for value, choose in zip(values, chosen, strict=True) if choose]
