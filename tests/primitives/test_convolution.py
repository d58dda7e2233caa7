"""Convolutions and pooling against loops over the definition."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from nirjax.ir import nodes as ir
from primitives.sites import apply


def pairs(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def windows(size: tuple[int, ...], kernel: tuple[int, ...], stride: Any, pads: Any, dilation: Any) -> Any:
    """For each place of the output the pairs (offset in the kernel, place in the input), padding left out."""
    axes = len(size)
    stride, dilation = pairs(stride, axes), pairs(dilation, axes)
    before, after = np.transpose(pads)
    counts = (np.array(size) + before + after - np.multiply(dilation, np.subtract(kernel, 1)) - 1) // stride + 1
    for place in np.ndindex(*counts):
        reached = []
        for offset in np.ndindex(*kernel):
            at = np.multiply(place, stride) + np.multiply(offset, dilation) - before
            if np.all(at >= 0) and np.all(at < size):
                reached.append((offset, tuple(at)))
        yield place, reached


def convolved(node: ir.Conv1d | ir.Conv2d, x: np.ndarray, pads: Any) -> np.ndarray:
    """PyTorch's definition, one output element after the other. x (channels, *space)."""
    groups, weight = int(node.groups), np.asarray(node.weight, np.float64)
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    found = {}
    stride, dilation = (np.ravel(field).tolist() for field in (node.stride, node.dilation))
    stride, dilation = (values[0] if len(values) == 1 else values for values in (stride, dilation))
    for place, reached in windows(x.shape[1:], weight.shape[2:], stride, pads, dilation):
        for o in range(len(weight)):
            terms = [
                weight[(o, c, *offset)] * x[(o // outputs * inputs + c, *at)]
                for c in range(inputs)
                for offset, at in reached
            ]
            found[(o, *place)] = node.bias[o] + sum(terms)
    y = np.zeros(np.max(list(found), axis=0) + 1)
    for place, value in found.items():
        y[place] = value
    return y


CASES: list[tuple[dict[str, Any], tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]] = [
    # fields that are not 1, 0 or 1; kernel; image; padding before and after
    ({}, (3, 3), (5, 6), ((0, 0), (0, 0))),
    ({"padding": 1}, (3, 3), (4, 4), ((1, 1), (1, 1))),
    ({"padding": (2, 1), "stride": (2, 3)}, (3, 2), (7, 6), ((2, 2), (1, 1))),
    ({"dilation": (1, 2), "padding": "valid"}, (2, 3), (5, 7), ((0, 0), (0, 0))),
    ({"padding": "same"}, (2, 3), (4, 5), ((0, 1), (1, 1))),
    ({"padding": "same", "dilation": (3, 1)}, (2, 4), (6, 5), ((1, 2), (1, 2))),
    ({"padding": "same", "stride": 2}, (4, 2), (5, 6), ((1, 2), (0, 1))),
    ({"groups": 2, "padding": 1}, (2, 2), (3, 3), ((1, 1), (1, 1))),
    ({"groups": 4, "stride": 2}, (1, 2), (3, 4), ((0, 0), (0, 0))),
    ({"padding": 2, "stride": 3, "dilation": 2}, (3,), (11,), ((2, 2),)),
    ({"padding": "same"}, (4,), (6,), ((1, 2),)),
    ({"groups": 2}, (2,), (5,), ((0, 0),)),
]


@pytest.mark.parametrize(("fields", "kernel", "image", "pads"), CASES)
def test_a_convolution_is_pytorch_s(fields: dict[str, Any], kernel: Any, image: Any, pads: Any) -> None:
    rng = np.random.default_rng(0)
    fields = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | fields
    weight, bias = rng.normal(size=(4, 4 // fields["groups"], *kernel)).astype(np.float32), rng.normal(size=4)
    x = rng.normal(size=(2, 3, 4, *image)).astype(np.float32)
    kind = ir.Conv1d if len(image) == 1 else ir.Conv2d
    for declared in (image if len(image) > 1 else image[0], None):
        node = kind(input_shape=declared, weight=weight, bias=bias.astype(np.float32), **fields)
        y = np.asarray(apply(node, x, (4, *image)))
        assert y.shape == (2, 3, *node.gives((4, *image)))
        for at in np.ndindex(2, 3):
            np.testing.assert_allclose(y[at], convolved(node, x[at], pads), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((2, 2), (2, 2), (0, 0)), ((2, 3), (1, 2), (1, 1)), ((3, 1), (3, 1), (1, 0)), (2, 2, 1), ((2, 2), (3, 1), (0, 1))],
)
def test_pooling_sums_windows_and_counts_the_padding(kernel: Any, stride: Any, padding: Any) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype(np.float32)
    window, pads = pairs(kernel, 2), [(p, p) for p in pairs(padding, 2)]
    totals = np.asarray(apply(ir.SumPool2d(kernel, stride, padding), x, (3, 5, 6)))
    means = np.asarray(apply(ir.AvgPool2d(kernel, stride, padding), x, (3, 5, 6)))
    for place, reached in windows((5, 6), window, stride, pads, 1):
        expected = sum((x[:, :, i, j] for _, (i, j) in reached), np.zeros((2, 3)))
        np.testing.assert_allclose(totals[..., *place], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(means[..., *place], expected / np.prod(window), rtol=1e-4, atol=1e-5)
    assert totals.shape[2:] == tuple(np.add(place, 1))


@pytest.mark.parametrize("lead", [(), (3,), (0,), (2, 0, 3)])
def test_any_leading_axes(lead: tuple[int, ...]) -> None:
    x = np.ones((*lead, 2, 4, 4))
    conv = ir.Conv2d((4, 4), np.ones((3, 2, 2, 2), np.float32), 1, 0, 1, 1, np.zeros(3, np.float32))
    np.testing.assert_array_equal(apply(conv, x, (2, 4, 4)), np.full((*lead, 3, 3, 3), 8))
    for node, value in ((ir.SumPool2d(2, 2, 0), 4), (ir.AvgPool2d(2, 2, 0), 1)):
        np.testing.assert_array_equal(apply(node, x, (2, 4, 4)), np.full((*lead, 2, 2, 2), value))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype: str) -> None:
    x = np.arange(32).reshape(2, 4, 4) % 5
    conv = ir.Conv2d((4, 4), np.ones((3, 2, 2, 2), np.float32), 1, 0, 1, 1, np.ones(3, np.float32))
    for node, shape in itertools.product([conv, ir.SumPool2d(2, 2, 1), ir.AvgPool2d(2, 2, 0)], [(2, 4, 4)]):
        y = apply(node, x, shape, dtype=jnp.dtype(dtype))
        assert y.dtype == jnp.dtype(dtype)
        np.testing.assert_array_equal(y, apply(node, x, shape))


@pytest.mark.parametrize("groups", [1, 2])
def test_factors_are_rounded_and_sums_are_not(groups: int) -> None:
    rng = np.random.default_rng(0)
    weight, x = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 2 // groups, 3, 3), (2, 4, 5)))

    def node(weight: np.ndarray) -> ir.Conv2d:
        return ir.Conv2d((4, 5), weight, 1, 1, 1, groups, np.zeros(4, np.float32))

    weight_, x_ = (np.asarray(jnp.asarray(one, jnp.bfloat16), np.float32) for one in (weight, x))
    found = jax.jit(lambda x: apply(node(weight), x, (2, 4, 5), product_dtype="bfloat16"))(x)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, convolved(node(weight_), x_, ((1, 1), (1, 1))), rtol=0, atol=1e-5)
    assert np.abs(apply(node(weight), x, (2, 4, 5)) - found).max() > 1e-3
