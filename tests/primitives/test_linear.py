"""Pointwise linear maps against NumPy, over any leading axes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nirjax.ir import nodes as ir
from primitives.sites import apply

RANDOM = np.random.default_rng(0)
LEADS = [(), (5,), (5, 2, 3), (0,)]


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("lead", LEADS)
def test_matrices(lead: ir.Shape) -> None:
    weight, bias, x = normal(4, 3), normal(4), normal(*lead, 3)
    np.testing.assert_allclose(apply(ir.Linear(weight), x, (3,)), x @ weight.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(apply(ir.Affine(weight, bias), x, (3,)), x @ weight.T + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lead", LEADS)
def test_a_matrix_for_each_leading_index_of_the_signal(lead: ir.Shape) -> None:
    weight, bias, x = normal(2, 5, 4, 3), normal(2, 5, 4), normal(*lead, 2, 5, 3)
    expected = np.zeros((*lead, 2, 5, 4))
    for i, j in np.ndindex(2, 5):
        expected[..., i, j, :] = x[..., i, j, :] @ weight[i, j].T
    np.testing.assert_allclose(apply(ir.Linear(weight), x, (2, 5, 3)), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(apply(ir.Affine(weight, bias), x, (2, 5, 3)), expected + bias, rtol=1e-5, atol=1e-5)


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    return x.astype(jnp.dtype(dtype)).astype(np.float64)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_factors_are_rounded_and_sums_are_not(dtype: str) -> None:
    """To about 1e-6, where rounding the sums as well, or not rounding at all, would be off by 1e-3 and more."""
    weight, bias, x = normal(2, 5, 40), normal(2, 5), normal(6, 2, 40)
    expected = np.einsum("tai,aoi->tao", rounded(x, dtype), rounded(weight, dtype))
    jitted = jax.jit(lambda x: apply(ir.Affine(weight, bias), x, (2, 40), product_dtype=dtype))
    np.testing.assert_allclose(jitted(x), expected + bias, rtol=0, atol=1e-5)
    x, weight, expected = x[:, 0], weight[0], expected[:, 0]
    jitted = jax.jit(lambda x: apply(ir.Linear(weight[:5]), x, (40,), product_dtype=dtype))
    found = jitted(x)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert np.abs(x @ weight.T - expected).max() > 1e-3


def test_scale_is_elementwise_or_one_number() -> None:
    scale, x = normal(2, 3), normal(4, 2, 3)
    np.testing.assert_array_equal(apply(ir.Scale(scale), x, (2, 3)), x * scale)
    np.testing.assert_array_equal(apply(ir.Scale(np.float32(0.25)), x, (2, 3)), x * np.float32(0.25))


def test_threshold_is_strict_unless_the_dialect_says_otherwise() -> None:
    node = ir.Threshold(np.float32([1, 0.1, -1]))
    x = np.float32([[1, 0.1, -1], [1.1, 0.2, -0.9], [0.9, 0, -1.1]])
    np.testing.assert_array_equal(apply(node, x, (3,)), [[0, 0, 0], [1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(apply(node, x, (3,), rule={"comparison": ">="}), [[1, 1, 1], [1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        *(((0, -1), (24,)), ((1, -1), (2, 12)), ((0, 1), (6, 4))),
        *(((1, 1), (2, 3, 4)), ((-2, -1), (2, 12)), ((-1, 2), (2, 3, 4))),
    ],
)
def test_flatten_joins_axes_of_the_signal_alone(lead: ir.Shape, dims: tuple[int, int], shape: ir.Shape) -> None:
    x = normal(*lead, 2, 3, 4)
    np.testing.assert_array_equal(apply(ir.Flatten((2, 3, 4), *dims), x, (2, 3, 4)), x.reshape(*lead, *shape))


def test_flatten_with_channels_last() -> None:
    """Height, width, channels, as frameworks with that layout count: only where all three axes become one."""
    x = normal(5, 2, 3, 4)
    flat = apply(ir.Flatten(None, 0, -1), x, (2, 3, 4), flatten="channels_last")
    np.testing.assert_array_equal(flat, x.transpose(0, 2, 3, 1).reshape(5, 24))
    np.testing.assert_array_equal(
        apply(ir.Flatten(None, 1, -1), x, (2, 3, 4), flatten="channels_last"), x.reshape(5, 2, 12)
    )
    np.testing.assert_array_equal(
        apply(ir.Flatten(None, 0, -1), x[..., 0], (2, 3), flatten="channels_last"), x[..., 0].reshape(5, 6)
    )


def test_ports_are_identities() -> None:
    x = normal(5, 3)
    np.testing.assert_array_equal(apply(ir.Input((3,)), x, (3,)), x)
    np.testing.assert_array_equal(apply(ir.Output((3,)), x, (3,)), x)
