"""Steps on rows, taken apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from nirjax.kernels.rows import SAMPLES, Matrix, Program, taken_apart
from nirjax.kernels.walk import NotKnownError

N, M = 5, 7


def apart(step: Callable[..., Any], *shapes: tuple[int, ...], constants: int) -> Program:
    return taken_apart(jax.make_jaxpr(step)(*(jnp.zeros(shape) for shape in shapes)), constants)


def names(program: Program) -> list[str]:
    return [one.equation.primitive.name for one in program.operations]


def test_what_waits_for_a_product_is_one_level_higher() -> None:
    step = lambda w, bias, x: [jnp.maximum(jnp.minimum(x, 1) @ w + bias, 0)]  # noqa: E731
    program = apart(step, (N, M), (M,), (SAMPLES, N), constants=2)
    levels = {one.equation.primitive.name: program.levels[one.given[0]] for one in program.operations}
    assert levels["min"] == 0
    assert levels["add"] == levels["max"] == 1
    assert [(level, matrix) for level, matrix, _, _ in program.products] == [(0, Matrix(0, turned=False))]


def test_a_transpose_is_the_same_matrix_turned() -> None:
    program = apart(lambda w, x: [x @ w, x @ w.T], (N, N), (SAMPLES, N), constants=1)
    assert program.matrices == [Matrix(0, turned=False), Matrix(0, turned=True)]
    assert names(program) == []


def test_what_nothing_needs_is_left_out() -> None:
    def step(w: Any, x: Any) -> list[Any]:
        jnp.exp(x @ w)
        return [x + 1]

    program = apart(step, (N, M), (SAMPLES, N), constants=1)
    assert (names(program), program.products, program.matrices) == (["add"], [], [])


@pytest.mark.parametrize(
    "step",
    [
        lambda w, x: [x @ (w + 1)],  # a matrix that is computed
        lambda w, x: [x.sum(0) @ w],  # over samples
        lambda w, x: [x[:, :2]],
        lambda w, x: [jnp.concatenate([x, x], 1)],
    ],
)
def test_what_is_neither_elementwise_nor_such_a_product_is_refused(step: Callable[..., Any]) -> None:
    with pytest.raises(NotKnownError):
        apart(step, (N, M), (SAMPLES, N), constants=1)
