"""A loop whose weights' gradients are computed behind it, against JAX's own derivatives of the same loop."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from nirjax.kernels.late_weights import shifted, with_late_weights

STEPS, SAMPLES, N = 6, 3, 4


def apply(name: str, weights: Any, x: Array) -> Array:
    return jnp.tanh(x @ weights["w"] + weights["b"]) if name == "first" else x @ weights["w"]


def loop(weights: Any, others: Any, shifts: Any, names: tuple[str, ...]) -> tuple[Any, Any]:
    keep, start, xs = others

    def advance(h: Array, rows: Any) -> Any:
        x, shift = rows
        taken = {"first": h, "second": h + x}
        y = {name: apply(name, weights[name], taken[name]) for name in weights}
        y = {name: shifted(one, shift[name]) if name in shift else one for name, one in y.items()}
        h = keep * y["first"] + y["second"]
        return h, (h, {name: taken[name] for name in names})

    last, (ys, taken) = lax.scan(advance, start, (xs, shifts))
    return (last, ys), taken


def given() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(random.normal(size=shape) / 2)  # noqa: E731
    weights = {"first": {"w": draw(N, N), "b": draw(N)}, "second": {"w": draw(N, N)}}
    return weights, (draw(N), draw(SAMPLES, N), draw(STEPS, SAMPLES, N))


def late(weights: Any, others: Any) -> Array:
    _, ys = with_late_weights(loop, apply, weights, others)
    return jnp.sum(jnp.sin(ys))


def plain(weights: Any, others: Any) -> Array:
    (_, ys), _ = loop(weights, others, {}, ())
    return jnp.sum(jnp.sin(ys))


def assert_same(found: Any, wanted: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-10, 1e-12), found, wanted)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("by", [0, 1, (0, 1)], ids=["weights", "others", "both"])
def test_reverse_mode_is_that_of_the_loop(by: Any) -> None:
    assert_same(jax.jit(jax.grad(late, by))(*given()), jax.grad(plain, by)(*given()))


@pytest.mark.usefixtures("x64")
def test_forward_mode_and_the_second_derivative_too() -> None:
    weights, others = given()
    along = jax.tree.map(lambda one: jnp.cos(jnp.arange(one.size, dtype=one.dtype)).reshape(one.shape), weights)
    slope = lambda loss: lambda weights: jax.jvp(lambda w: loss(w, others), (weights,), (along,))[1]  # noqa: E731
    assert_same(jax.jit(slope(late))(weights), slope(plain)(weights))
    assert_same(jax.jit(jax.grad(slope(late)))(weights), jax.grad(slope(plain))(weights))


@pytest.mark.usefixtures("x64")
def test_second_derivatives_where_what_enters_moves_too() -> None:
    given_ = given()
    along = jax.tree.map(lambda one: jnp.cos(jnp.arange(one.size, dtype=one.dtype)).reshape(one.shape), given_)
    for outer in (
        lambda loss: lambda *a: jax.jvp(jax.grad(loss, (0, 1)), a, along)[1],
        lambda loss: jax.grad(lambda *a: jax.jvp(loss, a, along)[1], (0, 1)),
    ):
        assert_same(jax.jit(outer(late))(*given_), outer(plain)(*given_))


@pytest.mark.usefixtures("x64")
def test_one_member_of_several_may_move_alone() -> None:
    weights, others = given()

    def of_second(loss: Any, second: Any) -> Array:
        return loss({**weights, "second": second}, others)

    found = jax.grad(lambda second: of_second(late, second))(weights["second"])
    assert_same(found, jax.grad(lambda second: of_second(plain, second))(weights["second"]))


def test_the_way_back_multiplies_once_for_all_steps() -> None:
    """Of each weight's gradient there is one product, outside the loop, over all steps and samples."""
    found = jax.make_jaxpr(jax.grad(late))(*given())
    outside = [e for e in found.jaxpr.eqns if e.primitive.name == "dot_general"]
    shapes = [tuple(v.aval.shape for v in e.invars) for e in outside]
    assert sum(all(STEPS in shape for shape in pair) for pair in shapes) == 2
