"""Grids: integers and what they stand for, in NumPy as in JAX, and their entries in metadata."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import linear

from nirjax.ir.grids import Format, Grid, grids_of, signed

GRIDS = {
    "bytes": signed(8).grid(np.float32(0.0078125)),
    "channels": signed(4).grid(np.float32([[0.5], [0.25]])),
    "even": Format(-256, 254, step=2).grid(np.float32(0.01)),
    "decay": Format(1, 4095, form="reciprocal", unit=4096).grid(np.float32(4.096)),
    "shift": Format(1, 7, form="power", unit=1).grid(np.float32(1e-3)),
    "shift without end": Format(1, None, form="power", unit=1).grid(np.float32(1e-3)),
}


def all_numbers(grid: Grid) -> np.ndarray:
    highest = 20 if grid.highest is None else grid.highest
    return np.arange(grid.lowest, highest + 1, grid.step, dtype=np.float32)


@pytest.mark.parametrize("name", GRIDS)
def test_every_integer_comes_back_from_its_value(name):
    grid = GRIDS[name]
    numbers = np.broadcast_to(all_numbers(grid), np.broadcast_shapes(np.shape(grid.scale), all_numbers(grid).shape))
    values = grid.values(numbers)
    np.testing.assert_array_equal(grid.numbers(values), numbers)
    assert grid.holds(values)
    assert not grid.holds(values * np.float32(1.001))


@pytest.mark.parametrize("name", GRIDS)
def test_jax_gives_what_numpy_gives(name):
    grid = GRIDS[name]
    values = np.abs(np.random.default_rng(0).normal(0, 0.05, (2, 6))).astype(np.float32) + np.float32(1e-4)
    np.testing.assert_array_equal(grid.nearest(jnp.asarray(values)), grid.nearest(values))


def test_the_nearest_is_the_nearest_and_the_ends_are_kept():
    grid = GRIDS["bytes"]
    values = np.linspace(-1.5, 1.5, 1001, dtype=np.float32)
    every = grid.values(all_numbers(grid))
    wanted = every[np.abs(values[:, None] - every).argmin(1)]
    np.testing.assert_allclose(np.abs(grid.nearest(values) - values), np.abs(wanted - values), atol=1e-9)
    np.testing.assert_array_equal(grid.nearest(np.float32([-9, 9])), [-1, 127 / 128])
    np.testing.assert_array_equal(GRIDS["shift"].nearest(np.float32([1e-9, 9])), np.float32([2e-3, 0.128]))
    np.testing.assert_allclose(GRIDS["decay"].nearest(np.float32([1e-9, 1e9])), [4.096 / 4095, 4.096], rtol=1e-6)


def test_an_entry_in_metadata_is_the_grid_again():
    for name in ("bytes", "even", "shift without end"):
        node = dataclasses.replace(linear(2, 3), metadata={"quantization": {"weight": GRIDS[name].as_metadata()}})
        found = grids_of(node)["weight"]
        assert dataclasses.replace(found, scale=0) == dataclasses.replace(GRIDS[name], scale=0)
        np.testing.assert_array_equal(found.scale, GRIDS[name].scale)


ENTRY = {"form": "multiple", "lowest": -8, "highest": 7, "step": 1, "scale": np.float32(0.5)}


@pytest.mark.parametrize(
    "entries",
    [
        None,
        "int8",
        {"weight": "int8"},
        {"weight": {"scale": 0.5}},
        {"weight": ENTRY | {"form": "code"}},
        {"weight": ENTRY | {"scale": -1.0}},
        {"weight": ENTRY | {"scale": "half"}},
        {"weight": ENTRY | {"step": 0}},
        {"weight": ENTRY | {"scale": np.ones((3, 1))}},
        {"height": ENTRY},
    ],
)
def test_what_is_no_grid_is_passed_over(entries):
    metadata = {} if entries is None else {"quantization": entries}
    assert grids_of(dataclasses.replace(linear(2, 3), metadata=metadata)) == {}


def test_formats_of_other_widths():
    assert signed(4) == Format(-8, 7)
    assert signed(4, symmetric=True) == Format(-7, 7)
    assert signed(8).narrowed(4) == Format(-8, 7)
    assert Format(-127, 127).narrowed(4) == Format(-7, 7)
    assert Format(-256, 254, step=2).narrowed(4) == Format(-16, 14, step=2)
    assert Format(0, 131_071, uniform=True).narrowed(4) == Format(0, 15, uniform=True)
    assert [Format(0, 0).bits, Format(0, 1).bits, signed(24).bits, Format(1, None).bits] == [0, 1, 24, None]
