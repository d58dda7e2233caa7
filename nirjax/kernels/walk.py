"""A walk: a carry that goes through time, elementwise.

    (carry_t, results_t) = step(constants, carry_{t-1}, rows_t)        for t = 1 ... T, or from T down to 1

Here it is `lax.scan`. `nirjax.kernels.gpu` and `nirjax.kernels.tpu` have it as one kernel each. All three are called
alike, and give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jax import Array, lax

Arrays = Sequence[Array]
Step = Callable[[Arrays, Arrays, Arrays], tuple[list[Array], list[Array]]]
Walk = Callable[..., tuple[list[Array], list[Array]]]


def walk(
    step: Step, constants: Arrays, carry: Arrays, sequences: Arrays, *, backward: bool = False
) -> tuple[list[Array], list[Array]]:
    """Walk through time.

    Args:
        step: (constants, carry, rows) -> (carry, results), elementwise: it may be given any part of the elements.
        constants: of any shapes that broadcast to (*shape).
        carry: (*shape). One of a smaller shape has to be zero at the start; the step adds to it what all the elements
            add up to along the axes that it lacks.
        sequences: (T, *shape), one row of each for a step.
        backward: from the last row to the first.

    Returns:
        the last carry, and the results of all steps (T, *shape), each in its row's place.
    """

    def advance(carry: list[Array], rows: list[Array]) -> tuple[list[Array], list[Array]]:
        return step(constants, carry, rows)

    return lax.scan(advance, list(carry), list(sequences), reverse=backward)
