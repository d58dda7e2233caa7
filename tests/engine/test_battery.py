"""The battery: one graph for each primitive and variant, with the answer of an independent interpreter."""

from pathlib import Path

import numpy as np
import pytest

import nirjax

BATTERY = sorted((Path(__file__).parents[1] / "data" / "battery").glob("*.nir"))


def test_the_battery_is_whole() -> None:
    assert len(BATTERY) == 33


@pytest.mark.parametrize("path", BATTERY, ids=lambda path: path.stem)
def test_battery(path: Path) -> None:
    with np.load(path.with_suffix(".npz")) as npz:
        data = dict(npz)
    model = nirjax.from_nir(nirjax.read(path, trusted=True), dt=float(data["dt"]))
    y, _ = model(data["x_x"])
    expected = data["y_output"]
    assert y.shape == expected.shape
    if any(name.endswith(".spikes") for name in model.variables):
        assert 0 < expected.mean() < 1
        np.testing.assert_array_equal(y, expected)
    else:
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)
