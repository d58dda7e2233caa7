"""A loop over time of a step on trees of arrays, as a `time_loop` of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax import Array

from nirjax.kernels.machine_code import struct
from nirjax.kernels.time_loop import Loop, time_loop

TreeStep = Callable[[Any, Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class _Flat:
    """A step with its arrays in a row. Two are equal if the steps and the trees are."""

    step: TreeStep
    tree: Any

    def __call__(self, *arrays: Array) -> list[Array]:
        after, found = self.step(*jax.tree.unflatten(self.tree, arrays))
        return [*jax.tree.leaves(after), *jax.tree.leaves(found)]


def tree_loop(step: TreeStep, constants: Any, carry: Any, rows: Any, lead: int) -> tuple[Any, Any]:
    """All steps: the last carry, and what each step gave, stacked over time.

    Args:
        step: (constants, carry, rows) -> (carry, results), which treats the elements of the leading axes alike.
        constants: rows, single numbers, or matrices that rows are multiplied by.
        carry, rows: (*lead, n) and (time, *lead, n).
        lead: how many axes are treated alike.
    """
    leaves, tree = jax.tree.flatten((constants, carry, rows))
    counts = [len(jax.tree.leaves(part)) for part in (constants, carry, rows)]
    row = jax.tree.map(lambda x: struct(x.dtype, *x.shape[1:]), rows)
    after, found = jax.eval_shape(step, constants, carry, row)
    loop = Loop(_Flat(step, tree), counts[0], counts[1], counts[2], len(jax.tree.leaves(found)), lead)
    last, outputs, _ = time_loop(loop, leaves, (False,) * counts[1])
    return jax.tree.unflatten(jax.tree.structure(after), last), jax.tree.unflatten(jax.tree.structure(found), outputs)
