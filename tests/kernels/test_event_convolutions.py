"""Convolutions that skip zeros, against XLA's: bit for bit where sums are exact, and their derivatives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, export, lax

import nirjax
from nirjax import ir
from nirjax.kernels import event_convolutions, machine_code
from nirjax.kernels.event_convolutions import event_convolution
from nirjax.primitives import channels_last

pytestmark = pytest.mark.skipif(
    not machine_code.available(), reason="llvmlite is not installed, or jaxlib's interface unknown"
)

TARGET = "nirjax_walk_"


def window(strides: Any, pads: Any, dilations: Any) -> dict[str, Any]:
    return {"strides": strides, "pads": pads, "dilations": dilations}


PLAIN = window((1, 1), ((1, 1), (1, 1)), (1, 1))
CASES = {  # shapes of x and W, and a window
    "plain": ((5, 7, 9, 3), (3, 3, 3, 16), PLAIN),
    "strided": ((5, 34, 34, 2), (5, 5, 2, 16), window((2, 2), ((1, 1), (1, 1)), (1, 1))),
    "half a vector": ((21, 8, 8, 16), (3, 3, 16, 8), PLAIN),
    "vectors not full": ((3, 11, 13, 5), (4, 3, 5, 10), window((3, 2), ((2, 0), (0, 3)), (1, 2))),
    "padded far": ((3, 11, 13, 5), (4, 3, 5, 40), window((1, 2), ((5, 6), (4, 3)), (2, 1))),
    "pixels that no tap meets": ((2, 9, 9, 4), (1, 1, 4, 16), window((2, 2), ((0, 0), (0, 0)), (1, 1))),
    "rows that no window reaches": ((2, 9, 10, 4), (3, 3, 4, 24), window((3, 4), ((1, 2), (0, 0)), (1, 1))),
    "a point": ((70, 1, 1, 12), (1, 1, 12, 38), window((1, 1), ((0, 0), (0, 0)), (1, 1))),
    "one axis": ((40, 30, 6), (5, 6, 20), window((2,), ((1, 2),), (2,))),
}


def spikes(*shape: int, share: float = 0.1, dtype: Any = np.float32) -> Array:
    """Of a share of elements ones and twos, of the others zeros."""
    random = np.random.default_rng(shape)
    return jnp.asarray((random.random(shape) < share) * random.integers(1, 3, shape), dtype)


def eighths(*shape: int, dtype: Any = np.float32) -> Array:
    """Numbers whose sums do not round."""
    return jnp.asarray(np.random.default_rng(shape).integers(-8, 8, shape) / 8, dtype)


def general(x: Array, weight: Array, *, strides: Any, pads: Any, dilations: Any) -> Array:
    """XLA's convolution, whose gradients JAX derives."""
    space = "HW"[: len(strides)]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, weight, strides, pads, rhs_dilation=dilations, dimension_numbers=numbers)


@pytest.fixture
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_convolutions, "WORTH", 0)


# -------------------------------------------------------------------------------------------------- as machine code


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_values_and_gradients_of_weights_are_those_of_xla(case: Any, share: float) -> None:
    of_x, of_weight, at = case
    x, weight = spikes(*of_x, share=share), eighths(*of_weight)
    wanted, back = jax.vjp(lambda weight: general(x, weight, **at), weight)
    g = eighths(*wanted.shape)
    found = jax.jit(lambda x, weight: event_convolutions.convolved(x, weight, **at))(x, weight)
    np.testing.assert_array_equal(found, wanted)
    gradient = jax.jit(lambda x, g: event_convolutions.correlated(x, g, window=of_weight[:-2], **at))(x, g)
    np.testing.assert_array_equal(gradient, back(g)[0])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_no_tap_falls_beside_the_margins(case: Any) -> None:
    of_x, of_weight, at = case
    found = event_convolutions.window_of(of_x, of_weight, **at)
    image = found.padded[0] * found.padded[1] * found.lanes
    weight = np.prod(found.window) * found.taken * found.lanes
    taps = {kind: found.taps(kind) for kind, _ in found.pixels()}
    assert all(0 <= first + y <= image - found.lanes for kind, first in found.pixels() for _, y in taps[kind])
    assert all(0 <= w <= weight - found.taken * found.lanes for kind in taps for w, _ in taps[kind])


@pytest.mark.parametrize("samples", [1, 3, 16, 37])
def test_parts_hold_every_sample_once(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many samples and parts there are."""
    monkeypatch.setattr(event_convolutions, "PART", 1)
    x, g = spikes(samples, 4, 4, 2, share=0.5), eighths(samples, 4, 4, 5)
    found = event_convolutions.correlated(x, g, window=(3, 3), **PLAIN)
    wanted = jax.vjp(lambda weight: general(x, weight, **PLAIN), jnp.zeros((3, 3, 2, 5)))[1](g)[0]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.usefixtures("x64")
def test_in_float64() -> None:
    of_x, of_weight, at = CASES["strided"]
    x, weight = spikes(*of_x, dtype=np.float64), eighths(*of_weight, dtype=np.float64) / 3
    np.testing.assert_allclose(
        event_convolutions.convolved(x, weight, **at), general(x, weight, **at), rtol=1e-13, atol=1e-13
    )


def test_what_is_no_number_is_not_skipped() -> None:
    x = jnp.zeros((3, 4, 4, 2)).at[1, 1, 1, 0].set(jnp.nan).at[2, 1, 1, 0].set(-0.0)
    found = np.asarray(event_convolutions.convolved(x, jnp.ones((3, 3, 2, 8)), **PLAIN))
    assert np.isnan(found[1, :3, :3]).all()
    assert (found[1, 3] == 0).all()
    assert (found[[0, 2]] == 0).all()


# ------------------------------------------------------------------------------------------------- as an operation


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_it_is_the_convolution_whichever_way_is_taken(share: float) -> None:
    x, weight = spikes(6, 7, 7, 3, share=share), eighths(3, 3, 3, 16)
    run = jax.jit(lambda x, weight: event_convolution(x, weight, **PLAIN))
    assert TARGET in run.lower(x, weight).as_text()
    np.testing.assert_array_equal(run(x, weight), general(x, weight, **PLAIN))


@pytest.mark.usefixtures("every_size", "x64")
@pytest.mark.parametrize("case", ["vectors not full", "one axis"])
def test_derivatives_of_every_mode(case: str) -> None:
    of_x, of_weight, at = CASES[case]
    x, weight = spikes(*of_x, dtype=np.float64), eighths(*of_weight, dtype=np.float64)

    def everything(kind: Any) -> list[Any]:
        def one(x: Array, weight: Array) -> Array:
            y: Array = kind(x, weight, **at)
            return y

        y, back = jax.vjp(one, x, weight)
        cubed = jax.grad(lambda x, weight: (one(x, weight) ** 3).sum(), (0, 1))
        moves = (jnp.sin(x + 1), jnp.sin(weight))
        mixed = jax.grad(lambda x, weight: sum((g * m).sum() for g, m in zip(cubed(x, weight), moves, strict=True)))
        return [
            y,
            back(jnp.cos(y)),
            jax.jvp(one, (x, weight), moves),
            jax.jvp(cubed, (x, weight), moves),
            mixed(x, weight),
        ]

    for one, other in zip(
        *map(jax.tree.leaves, (everything(event_convolution), everything(channels_last.convolve))), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("axes", [(1, None), (None, 0), (0, 2)])
def test_a_vmap_is_one_convolution_after_the_other(axes: tuple[int | None, int | None]) -> None:
    x, weight = spikes(3, 5, 6, 6, 4), eighths(3, 3, 3, 4, 8)
    xs = x[0] if axes[0] is None else jnp.moveaxis(x, 0, axes[0])
    weights = weight[0] if axes[1] is None else jnp.moveaxis(weight, 0, axes[1])
    each = jax.jit(jax.vmap(lambda x, weight: event_convolution(x, weight, **PLAIN), axes))
    found = each(xs, weights)
    for at in range(3):
        one, other = (a[0 if axis is None else at] for a, axis in zip((x, weight), axes, strict=True))
        np.testing.assert_array_equal(found[at], general(one, other, **PLAIN))
    assert (TARGET in each.lower(xs, weights).as_text()) == (axes[1] is None)


# ------------------------------------------------------------------------------------------------- where it is used


def test_small_ones_and_wide_ones_are_left_to_xla() -> None:
    def worthwhile(x: Any, weight: Any, dtype: Any = np.float32, **at: Any) -> bool:
        return event_convolutions.worthwhile(
            *(jax.ShapeDtypeStruct(shape, dtype) for shape in (x, weight)), **{**PLAIN, **at}
        )

    assert worthwhile((80, 16, 16, 16), (3, 3, 16, 16))
    assert not worthwhile((1, 6, 6, 4), (3, 3, 4, 8))
    assert not worthwhile((80, 16, 16, 16), (3, 3, 16, 3))
    assert not worthwhile((80, 16, 16, 16), (12, 12, 16, 16), pads=((6, 6), (6, 6)))
    assert not worthwhile((80, 400, 400, 2), (3, 3, 2, 16))
    assert not worthwhile((80, 16, 16, 256), (3, 3, 256, 256))
    assert not worthwhile((80, 16, 16, 16), (3, 3, 16, 16), jnp.bfloat16)
    assert not worthwhile((0, 16, 16, 16), (3, 3, 16, 16))
    assert not worthwhile((80, 2, 2, 16), (5, 5, 16, 16), pads=((0, 0), (0, 0)))


@pytest.mark.usefixtures("every_size")
def test_an_exported_program_has_none() -> None:
    run = jax.jit(lambda x, weight: event_convolution(x, weight, **PLAIN))
    assert TARGET not in export.export(run)(spikes(6, 7, 7, 3), eighths(3, 3, 3, 16)).mlir_module()


def network(channels: int) -> nirjax.NIRGraph:
    """Two convolutions, the first strided, with neurons behind each."""
    ones = np.ones((8, 5, 5), np.float32)
    first, second = np.asarray(eighths(8, 2, 3, 3)), np.asarray(eighths(channels, 8, 3, 3))
    return nirjax.NIRGraph(
        {
            "input": ir.Input({"input": np.array([2, 10, 10])}),
            "conv1": ir.Conv2d((10, 10), first, 2, 1, 1, 1, np.zeros(8, np.float32)),
            "if1": ir.IF(ones, ones, 0 * ones),
            "conv2": ir.Conv2d((5, 5), second, 1, 1, 1, 1, np.ones(channels, np.float32) / 8),
            "if2": ir.IF(*(np.full((channels, 5, 5), n, np.float32) for n in (1, 1, 0))),
            "output": ir.Output({"output": np.array([channels, 5, 5])}),
        },
        [("input", "conv1"), ("conv1", "if1"), ("if1", "conv2"), ("conv2", "if2"), ("if2", "output")],
    )


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("share", [0.05, 0.9])
def test_a_model_computes_the_same_with_and_without(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nirjax.from_nir(network(6), dt=1.0)
    x = spikes(12, 3, 2, 10, 10, share=share)
    params, rest = nirjax.partition(model, ["*.weight", "*.bias"])

    def loss(params: Any) -> tuple[Array, Array]:
        y = nirjax.combine(params, rest)(x)[0]
        return jnp.mean((y.mean(0) - 0.5) ** 2), y

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    assert TARGET in step.lower(params).as_text()
    (value, y), gradient = step(params)
    monkeypatch.setattr(event_convolutions, "WORTH", 1 << 60)
    (other, without), wanted = jax.jit(jax.value_and_grad(lambda params: loss(params), has_aux=True))(params)
    np.testing.assert_array_equal(y, without)
    assert y.any()
    np.testing.assert_allclose(value, other, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradient, wanted)
