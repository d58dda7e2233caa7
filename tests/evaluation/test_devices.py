"""Eight devices give what one gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nirjax
from evaluation import scenarios
from evaluation.launching import RUNNING, launch


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> scenarios.Found:
    """What eight virtual devices give."""
    results = tmp_path_factory.mktemp("eight") / "results.npz"
    (ended,) = launch([[RUNNING, "everything+spread", str(results)]], devices=8)
    assert ended.code == 0, ended.errors
    with np.load(results) as found:
        return dict(found)


def test_eight_devices_give_what_one_gives(eight: scenarios.Found, expected: scenarios.Found) -> None:
    scenarios.same(eight, expected)


def test_no_spike_of_a_golden_recording_differs(eight: scenarios.Found) -> None:
    for name in scenarios.GOLDEN:
        np.testing.assert_array_equal(eight[f"golden {name}"], 0)


def test_any_mesh_gives_the_same(eight: scenarios.Found) -> None:
    expected = nirjax.evaluate(scenarios.on_grid(), scenarios.ragged(5)).per_sample["spike_rate"]
    found = scenarios.of("meshes", eight)
    assert len(found) == 5
    for name, rates in found.items():
        np.testing.assert_array_equal(rates, expected, err_msg=name)


def test_a_misfit_is_refused_with_what_would_fit(eight: scenarios.Found) -> None:
    told = {name: str(message) for name, message in scenarios.of("misfits", eight).items()}
    for name in ("batch", "training batch"):
        assert "ArgumentError" in told[name]
        assert "found 30; expected a multiple of 8: 24 or 32 would fit" in told[name]
    assert "found 3; expected a multiple of 8: 8 would fit" in told["small batch"]
    assert "found 16 = 4 (data) x 4 (model); expected 1 to 8" in told["axes"]
    assert "{'batch': 8} would fit" in told["devices"]
    assert "the mesh has no devices; found 0 devices; expected 1 to 8: {'batch': 8} would fit" in told["no devices"]
    assert "a device is in the mesh twice; found 2 devices" in told["twice"]
    assert told["filled up"] == "nothing"


def test_devices_exchange_nothing_but_sums_of_gradients(eight: scenarios.Found) -> None:
    found = scenarios.of("traffic", eight)
    assert found["evaluation"].tolist() == []
    assert found["training"].tolist() == ["all-reduce"]


@pytest.mark.slow
def test_no_spike_of_any_golden_recording_differs(tmp_path: Path) -> None:
    (ended,) = launch([[RUNNING, "every_golden", str(tmp_path / "results.npz")]], devices=8)
    assert ended.code == 0, ended.errors
    scenarios.no_spike_differs(tmp_path / "results.npz")
