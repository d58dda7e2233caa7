"""Single steps of a walk, taken apart into operations, for kernels that know only some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Literal

from nirjax.kernels.walk import Arrays, Step

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


@dataclass(frozen=True)
class TracedStep:
    """A step for arrays of one shape, as a list of operations.

    Attributes:
        traced: (*constants, *carry, *rows) -> (*carry, *results).
        carried: how many of what it gives are the carry.
    """

    traced: ClosedJaxpr
    carried: int

    def __call__(self, *arrays: Array) -> tuple[list[Array], list[Array]]:
        """The carry and the results, with every call written out."""
        found = _evaluated(self.traced, arrays)
        return found[: self.carried], found[self.carried :]

    @property
    def results(self) -> int:
        """How many results a step has."""
        return len(self.traced.jaxpr.outvars) - self.carried

    @property
    def known(self) -> bool:
        """Does it consist of known operations, without arrays of its own?"""
        return not self.traced.consts and _operations(self.traced) <= KNOWN | set(REWRITTEN)


def traced(step: Step, counts: tuple[int, int, int], shape: tuple[int, ...], dtype: Any = jnp.float32) -> TracedStep:
    """The step for arrays of one shape and dtype; counts: of constants, carry and rows."""
    first, second = counts[0], counts[0] + counts[1]

    def flat(*arrays: Array) -> list[Array]:
        carry, results = step(arrays[:first], arrays[first:second], arrays[second:])
        return [*carry, *results]

    one: Any = jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]
    return TracedStep(jax.make_jaxpr(flat)(*[one] * sum(counts)), counts[1])


def fits(step: Step, constants: Arrays, carry: Arrays, sequences: Arrays) -> bool:
    """Can a kernel do this walk?

    It wants a known number of float32 elements and steps, at least one of each, and a step of known operations.
    """
    arrays = [*constants, *carry, *sequences]
    sizes = sequences[0].shape
    if not all(isinstance(size, int) and size for size in sizes) or any(a.dtype != jnp.float32 for a in arrays):
        return False
    return traced(step, (len(constants), len(carry), len(sequences)), (8,)).known


def called(parameters: dict[str, Any]) -> ClosedJaxpr | None:
    """The function that an operation calls: of a jit, or of a custom derivative, which is not needed any more."""
    return parameters.get("call_jaxpr") or parameters.get("jaxpr")


def _operations(traced: ClosedJaxpr) -> set[str]:
    """The names of all operations, without calls."""
    found = set[str]()
    for equation in traced.jaxpr.eqns:
        within = called(equation.params)
        found |= {equation.primitive.name} if within is None else _operations(within)
    return found


def _evaluated(traced: ClosedJaxpr, arguments: Iterable[Array]) -> list[Array]:
    known = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    known |= dict(zip(traced.jaxpr.invars, arguments, strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in traced.jaxpr.eqns:
        values = [value(atom) for atom in equation.invars]
        known |= dict(zip(equation.outvars, _results(equation, values), strict=True))
    return [value(atom) for atom in traced.jaxpr.outvars]


def _results(equation: Any, values: Sequence[Any]) -> Sequence[Any]:
    within = called(equation.params)
    if within is not None:
        return _evaluated(within, values)
    if equation.primitive.name in REWRITTEN:
        return [REWRITTEN[equation.primitive.name](*values)]
    results = equation.primitive.bind(*values, **equation.params)
    return results if equation.primitive.multiple_results else [results]
