"""Two processes on one machine, joined over loopback, give what one gives; and if one dies, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nirjax
from evaluation import scenarios
from evaluation.launching import RUNNING, Ended, free_port, launch


def two(mode: str, folder: Path) -> list[Ended]:
    """Two joined processes."""
    port = str(free_port())
    return launch([[RUNNING, mode, str(folder / f"results{k}.npz"), port, str(k), "2"] for k in range(2)])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[scenarios.Found]:
    """What each of two processes gives."""
    folder = tmp_path_factory.mktemp("two")
    for ended in two("everything+together", folder):
        assert ended.code == 0, ended.errors
    found = []
    for k in range(2):
        with np.load(folder / f"results{k}.npz") as results:
            found.append(dict(results))
    return found


def test_two_processes_give_what_one_gives(both: list[scenarios.Found], expected: scenarios.Found) -> None:
    for found in both:
        scenarios.same(found, expected)


def test_each_process_can_have_its_own_part(both: list[scenarios.Found]) -> None:
    whole = nirjax.evaluate(scenarios.on_grid(), scenarios.ragged(11))
    one, other = (scenarios.of("parts", found) for found in both)
    for found in (one, other):
        np.testing.assert_array_equal(found["grid rate"], whole.per_sample["spike_rate"])
        np.testing.assert_array_equal(found["prediction"], whole.per_sample["prediction"])
    scenarios.same(one, other)
    assert (one["trained fc1"] != scenarios.on_grid().params["fc1"]["weight"]).any()


def test_processes_run_one_program_though_one_has_more_events(both: list[scenarios.Found]) -> None:
    one, other = (str(scenarios.of("programs", found)["shapes"]) for found in both)
    assert one == other != "[]"


def test_a_signal_to_one_stops_both_after_the_same_step(both: list[scenarios.Found], expected: scenarios.Found) -> None:
    one, other = (scenarios.of("interrupted", found) for found in both)
    assert one["saved"].tolist() == ["step_0000000002.json"]
    for found in (one, other):
        np.testing.assert_allclose(found["trained fc1"], expected["(uninterrupted)"], rtol=1e-5, atol=1e-6)


def test_what_cannot_work_is_an_error_on_both(both: list[scenarios.Found]) -> None:
    one, other = ({name: str(told) for name, told in scenarios.of("refused", found).items()} for found in both)
    for told in (one, other):
        for name in ("different", "different to validate"):
            assert told[name].startswith("DataError: the processes do not have the same data")
        assert told["same"].startswith("DataError: two processes have the same data")
        assert "per_process=True" in told["different"]
        assert "a stream cannot be divided" in told["stream"]
        assert "devices by process: {0: 1, 1: 0}; expected mesh=2, 1 of each" in told["mesh"]
        assert told["fitting mesh"] == "nothing"
        assert "process 0: x uint8 (6,), y int32 (); process 1: x float32 (6,), y int32 ()" in told["kinds"]
        assert told["unshared"].startswith("DistributedError: file")
    assert other["broken"].startswith("DataError: field 'x': recording 6")
    assert one["broken"].startswith("DistributedError: process 1 has failed")
    assert "recording 6" in one["broken"]


def test_if_one_dies_the_other_ends_and_the_rest_is_scored_later(tmp_path: Path) -> None:
    survivor, dead = two("dying", tmp_path)
    assert dead.code == -9
    assert survivor.code != 0
    assert "the processes have lost each other" in survivor.errors
    folder = tmp_path / "dying"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("samples_*.npz")}
    written = np.concatenate([np.load(path)["number"] for path in before])
    assert 10 + 4 <= len(written) < 21
    resumed = nirjax.evaluate(
        scenarios.on_grid(), scenarios.ragged(21), metrics=scenarios.metrics(), record=["lif*"], output=folder
    )
    assert resumed.samples_moved == 21 - len(written)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    straight = nirjax.evaluate(scenarios.on_grid(), scenarios.ragged(21), metrics=scenarios.metrics(), record=["lif*"])
    for name, values in straight.per_sample.items():
        np.testing.assert_allclose(resumed.per_sample[name], values, rtol=1e-6, err_msg=name)


@pytest.mark.slow
def test_no_spike_of_any_golden_recording_differs(tmp_path: Path) -> None:
    for ended in two("every_golden", tmp_path):
        assert ended.code == 0, ended.errors
    for k in range(2):
        scenarios.no_spike_differs(tmp_path / f"results{k}.npz")
