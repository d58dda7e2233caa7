"""The derivative of a loop over time by weights that are in it, without their gradients in the loop.

How the outputs of a product in a loop move with its weights,

    d(W z_t + b) = W dz_t + (dW z_t + db)

is a part that has to wait for the step before, and a part that does not: z_t is known when the loop has run. So the
second part, the *shift*, is computed for all steps at once and enters the tangents' loop from outside, like any input.
In reverse mode the gradient of W is then one product over all steps, behind the loop, not a small one in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

Values = dict[str, Array]
Run = Callable[[Mapping[str, Any], Any, Values, tuple[str, ...]], tuple[Any, Values]]


def with_late_weights(
    run: Run, apply: Callable[[str, Any, Array], Array], weights: Mapping[str, Any], others: Any
) -> Any:
    """What `run` gives for weights and others; see above for its derivative.

    Args:
        run: (weights, others, shifts, names) -> (results, what the members of these names take in each step). To each
            output of a member of `names` it applies `shifted`, with the shift of that step.
        apply: (name, weights, what the member takes) -> what it gives, for any leading axes.
        weights: of each member.
        others: all arrays that `run` depends on beside those.
    """

    @jax.custom_jvp
    def of_all(weights: Mapping[str, Any], others: Any) -> Any:
        return run(weights, others, {}, ())[0]

    def derivative(primals: Any, tangents: Any) -> Any:
        (weights, others), (to_weights, to_others) = primals, tangents
        names = tuple(name for name in weights if not all(map(_still, jax.tree.leaves(to_weights[name]))))
        places, tree = jax.tree.flatten(others)
        moves = jax.tree.leaves(to_others, is_leaf=_still)
        moving = [not _still(move) for move in moves]

        def of_moved(moved: list[Array], shifts: Values) -> Any:
            given = iter(moved)
            leaves = [next(given) if moves else place for place, moves in zip(places, moving, strict=True)]
            return run(weights, jax.tree.unflatten(tree, leaves), shifts, names)

        taken = jax.eval_shape(lambda: run(weights, others, {}, names)[1])
        shifts = {name: _nothing(apply, name, weights[name], taken[name], places) for name in names}
        moved = [place for place, moves in zip(places, moving, strict=True) if moves]
        (found, taken), push = jax.linearize(of_moved, moved, shifts)
        shifts = {name: _shift(apply, name, weights[name], to_weights[name], taken[name]) for name in names}
        return found, push([move for move, moves in zip(moves, moving, strict=True) if moves], shifts)[0]

    of_all.defjvp(derivative, symbolic_zeros=True)
    return of_all(weights, others)


@jax.custom_jvp
def shifted(y: Array, shift: Array) -> Array:
    """y, whose tangent is shifted by that of a shift, which broadcasts to it."""
    return y


@shifted.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return primals[0], tangents[0] + tangents[1]


def _still(move: Any) -> bool:
    return isinstance(move, SymbolicZero)


def _nothing(apply: Callable[..., Array], name: str, weights: Any, taken: Any, others: list[Array]) -> Array:
    """A shift that nobody looks at: any array of its shape, for which no memory has to be filled; or zeros."""
    given = jax.eval_shape(lambda weights, taken: apply(name, weights, taken), weights, taken)
    alike = [one for one in others if one.shape == given.shape and one.dtype == given.dtype]
    return lax.stop_gradient(alike[0]) if alike else jnp.zeros(given.shape, given.dtype)


def _shift(apply: Callable[..., Array], name: str, weights: Any, to_weights: Any, taken: Array) -> Array:
    """How a member's outputs move with its weights, what it takes being as it is: for all steps at once."""
    move = jax.tree.map(lambda w, to: jnp.zeros_like(w) if _still(to) else to, weights, to_weights)
    shift: Array = jax.jvp(lambda own: apply(name, own, taken), (weights,), (move,))[1]
    return shift
