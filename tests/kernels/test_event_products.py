"""Products that skip zeros, against NumPy bit for bit where products are exact, and against JAX's own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, export

import nirjax
from benchmarks.workloads import DT, feedforward
from nirjax.kernels import event_operations, event_products, llvm_events, machine_code
from nirjax.kernels.event_products import event_product
from nirjax.kernels.walk import NotKnownError

pytestmark = pytest.mark.skipif(
    not machine_code.available(), reason="llvmlite is not installed, or jaxlib's interface unknown"
)

TARGET = "nirjax_walk_"
SHAPES = [
    (1, 1, 16),  # the least there is
    (3, 64, 16),  # noted in whole words of 64
    (5, 70, 33),  # the last vector of columns overlaps
    (llvm_events.TURN + 3, 65, 300),  # several turns, every width of columns
    (2 * llvm_events.ROWS + 7, 520, 260),  # several tiles, columns copied next to each other
]


def spikes(rows: int, inside: int, share: float, dtype: Any = np.float32) -> Array:
    """Of a share of elements ones and twos, of the others zeros."""
    random = np.random.default_rng(rows + inside)
    return jnp.asarray((random.random((rows, inside)) < share) * random.integers(1, 3, (rows, inside)), dtype)


def eighths(*shape: int, dtype: Any = np.float32) -> Array:
    """Numbers whose sums do not round."""
    return jnp.asarray(np.random.default_rng(shape).integers(-8, 8, shape) / 8, dtype)


@pytest.mark.parametrize(("rows", "inside", "outside"), SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_lines_are_added_up_as_numpy_multiplies(rows: int, inside: int, outside: int, share: float) -> None:
    x, weight, g = spikes(rows, inside, share), eighths(inside, outside), eighths(rows, outside)
    np.testing.assert_array_equal(jax.jit(event_products.gathered)(x, weight), np.asarray(x) @ np.asarray(weight))
    np.testing.assert_array_equal(jax.jit(event_products.scattered)(x, g), np.asarray(x).T @ np.asarray(g))


@pytest.mark.usefixtures("x64")
def test_in_float64() -> None:
    x, weight, g = spikes(9, 70, 0.1, np.float64), eighths(70, 50) / 3.0, eighths(9, 50) / 3.0
    weight, g = weight.astype(np.float64) / 3, g.astype(np.float64) / 3
    np.testing.assert_allclose(event_products.gathered(x, weight), x @ weight, rtol=1e-14)
    np.testing.assert_allclose(event_products.scattered(x, g), x.T @ g, rtol=1e-14)


def test_what_is_no_number_is_not_skipped() -> None:
    x = jnp.zeros((4, 20)).at[1, 3].set(jnp.nan).at[2, 5].set(jnp.inf).at[3, 7].set(-0.0)
    found = np.asarray(event_products.gathered(x, jnp.ones((20, 16))))
    np.testing.assert_array_equal(found[:, 0], [0, np.nan, np.inf, 0])


def test_rows_of_all_samples_are_looked_at() -> None:
    """Not those of one sample, whose turn comes again and again."""
    quiet_first = np.ones((256, 64, 40), np.float32)
    quiet_first[:, 0] = 0
    assert not event_operations.few(jnp.asarray(quiet_first.reshape(-1, 40)), 0.15)
    assert event_operations.few(jnp.asarray(1 - quiet_first.reshape(-1, 40)), 0.15)


# ------------------------------------------------------------------------------------------------- as an operation


@pytest.mark.parametrize(("rows", "inside", "outside"), [(1, 16, 16), (300, 38, 7), (70, 129, 127), (70, 130, 130)])
def test_small_matrices_and_large_ones_are_multiplied_alike(rows: int, inside: int, outside: int) -> None:
    x, weight, g = spikes(rows, inside, 0.1), eighths(inside, outside), eighths(rows, outside)
    found = jax.jit(event_products.multiplied_by_events)(x, weight)
    np.testing.assert_array_equal(found, np.asarray(x) @ np.asarray(weight))
    gradient = jax.jit(event_products.correlated_by_events)(x, g)
    np.testing.assert_array_equal(gradient, np.asarray(x).T @ np.asarray(g))


@pytest.fixture
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_products, "WORTH", 0)
    monkeypatch.setattr(event_products, "LARGE", 0)


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_it_is_the_product_whichever_way_is_taken(share: float) -> None:
    x, weight = spikes(24, 40, share), eighths(40, 20)
    run = jax.jit(event_product)
    assert TARGET in run.lower(x, weight).as_text()
    assert bool(event_operations.few(x, event_products.FEW)) == (share < 0.5)
    np.testing.assert_array_equal(run(x, weight), np.asarray(x) @ np.asarray(weight))
    shaped = x.reshape(4, 6, 40)
    np.testing.assert_array_equal(run(shaped, weight), np.asarray(shaped) @ np.asarray(weight))


def by(product: Any) -> Any:
    """A number that depends on a product in a way that has second derivatives."""
    return lambda x, weight: jnp.sum(jnp.sin(product(x, weight)) * jnp.arange(1.0, 17))


@pytest.mark.usefixtures("every_size", "x64")
def test_derivatives_are_those_of_the_product() -> None:
    x, weight = spikes(6, 12, 0.1, np.float64), eighths(12, 16).astype(np.float64)
    moves = jnp.cos(jnp.arange(72.0)).reshape(6, 12), jnp.sin(jnp.arange(192.0)).reshape(12, 16)
    mine, wanted = by(event_product), by(jnp.matmul)

    def along(function: Any) -> Any:
        return lambda *at: sum(
            jnp.sum(g * move) for g, move in zip(jax.grad(function, (0, 1))(*at), moves, strict=True)
        )

    def check(first: Any, second: Any) -> None:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), first, second)

    check(jax.grad(mine, (0, 1))(x, weight), jax.grad(wanted, (0, 1))(x, weight))
    check(jax.jvp(mine, (x, weight), moves), jax.jvp(wanted, (x, weight), moves))
    check(jax.grad(along(mine), (0, 1))(x, weight), jax.grad(along(wanted), (0, 1))(x, weight))
    check(jax.jvp(along(mine), (x, weight), moves), jax.jvp(along(wanted), (x, weight), moves))


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("axes", [(1, None), (None, 0), (0, 2)])
def test_a_vmap_is_one_product_after_the_other(axes: tuple[int | None, int | None]) -> None:
    x = spikes(30, 40, 0.1).reshape(3, 10, 40)
    weight = eighths(3, 40, 20)
    xs = x[0] if axes[0] is None else jnp.moveaxis(x, 0, axes[0])
    weights = weight[0] if axes[1] is None else jnp.moveaxis(weight, 0, axes[1])
    found = jax.jit(jax.vmap(event_product, axes))(xs, weights)
    for at in range(3):
        one, other = (a[0 if axis is None else at] for a, axis in zip((x, weight), axes, strict=True))
        np.testing.assert_array_equal(found[at], np.asarray(one) @ np.asarray(other))
    text = jax.jit(jax.vmap(event_product, axes)).lower(xs, weights).as_text()
    assert (TARGET in text) == (axes[1] is None)


# ------------------------------------------------------------------------------------------------- where it is used


def test_small_products_and_narrow_ones_are_left_to_xla() -> None:
    def worthwhile(rows: int, inside: int, outside: int, dtype: Any = np.float32) -> bool:
        arrays = (jax.ShapeDtypeStruct((rows, inside), dtype), jax.ShapeDtypeStruct((inside, outside), dtype))
        return event_products.worthwhile(*arrays)

    assert worthwhile(1000, 200, 30)
    assert worthwhile(1_000_000, 200, 4)
    assert not worthwhile(10, 200, 100)
    assert not worthwhile(1_000_000, 15, 15)
    assert not worthwhile(1_000_000, 200, 3)
    assert not worthwhile(1_000_000, 2000, 15)
    assert not worthwhile(1000, event_products.WIDEST + 1, 100)
    assert not worthwhile(1000, 200, 100, jnp.bfloat16)


@pytest.mark.usefixtures("every_size")
def test_where_llvm_cannot_xla_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> str:
        raise NotKnownError("no such processor")

    monkeypatch.setattr(event_products, "compiled", refuse)
    monkeypatch.setattr(event_products, "SMALL", 0)
    run = jax.jit(lambda x, weight: event_product(x, weight))
    x, weight = spikes(23, 41, 0.1), eighths(41, 21)  # no other test has traced these
    assert TARGET not in run.lower(x, weight).as_text()
    np.testing.assert_array_equal(run(x, weight), np.asarray(x) @ np.asarray(weight))


@pytest.mark.usefixtures("every_size")
def test_an_exported_program_has_none() -> None:
    program = export.export(jax.jit(event_product))(spikes(24, 40, 0.1), eighths(40, 20))
    assert TARGET not in program.mlir_module()


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("share", [0.05, 0.9])
def test_a_model_computes_the_same_with_and_without(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nirjax.from_nir(feedforward(30, 24, 20), dt=DT)
    x = spikes(14, 60, share).reshape(14, 2, 30)
    params, rest = nirjax.partition(model, ["*.weight"])

    def loss(params: Any) -> Array:
        return jnp.mean((nirjax.combine(params, rest)(x)[0].mean(0) - 0.5) ** 2)

    step = jax.jit(jax.value_and_grad(loss))
    assert TARGET in step.lower(params).as_text()
    found = step(params)
    monkeypatch.setattr(event_products, "WORTH", 1 << 60)
    wanted = jax.jit(jax.value_and_grad(lambda params: loss(params)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), found, wanted)
