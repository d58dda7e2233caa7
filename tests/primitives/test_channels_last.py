"""The channels-last convolution against JAX's general one, which derives its gradients in another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from jax import Array, lax

from nirjax.primitives.channels_last import convolve

WINDOWS: list[dict[str, Any]] = [
    {"strides": (1, 1), "pads": ((1, 1), (1, 1)), "dilations": (1, 1)},
    {"strides": (2, 3), "pads": ((1, 2), (0, 3)), "dilations": (2, 1)},
    {"strides": (3,), "pads": ((0, 2),), "dilations": (2,)},
]


def general(x: Array, weight: Array, *, strides: Any, pads: Any, dilations: Any) -> Array:
    space = "HW"[: len(strides)]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, weight, strides, pads, rhs_dilation=dilations, dimension_numbers=numbers)


def arrays(axes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(3, *(11, 10)[:axes], 2)), rng.normal(size=(*(3, 2)[:axes], 2, 4))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("window", WINDOWS, ids=["plain", "strided", "one axis"])
def test_values_and_derivatives_of_every_mode(window: dict[str, Any]) -> None:
    x, weight = arrays(len(window["strides"]))

    def everything(kind: Callable[..., Array]) -> list[Any]:
        def one(x: Array, weight: Array) -> Array:
            return kind(x, weight, **window)

        y, back = jax.vjp(one, x, weight)
        cubed = jax.grad(lambda x, weight: (one(x, weight) ** 3).sum(), (0, 1))
        return [
            y,
            back(np.cos(y)),
            jax.jvp(one, (x, weight), (np.sin(x), np.sin(weight))),
            jax.jvp(cubed, (x, weight), (np.sin(x), np.sin(weight))),
            jax.vmap(one, (0, None))(np.stack([x, 2 * x]), weight),
            jax.vmap(one, (None, 1))(x, np.stack([weight, -weight], 1)),
        ]

    for found, expected in zip(
        map(jax.tree.leaves, everything(convolve)), map(jax.tree.leaves, everything(general)), strict=True
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_no_samples() -> None:
    x, weight = arrays(2)
    y, back = jax.vjp(lambda x, w: convolve(x, w, **WINDOWS[1]), x[:0].astype("f4"), weight.astype("f4"))
    assert y.shape == (0, 5, 4, 4)
    assert not np.any(back(y)[1])
