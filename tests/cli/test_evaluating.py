"""evaluate: measures, results on disk, costs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation.launching import free_port, launch

import nirjax
from cli.graphs import GRAPH, TEST


def test_evaluate_counts_right_decisions(here, nirjax_command, expected):
    labels = np.load(TEST)["y"]
    prediction = expected.sum(axis=1).argmax(axis=1)
    code, out, _ = nirjax_command("evaluate", GRAPH, TEST, "--dt", "1e-4", "--json", "--out", "each.npz")
    found = json.loads(out)
    assert code == 0
    assert found["samples"] == 40
    assert found["metrics"]["accuracy"] == pytest.approx((prediction == labels).mean())
    np.testing.assert_array_equal(np.load("each.npz")["prediction"], prediction)
    code, out, _ = nirjax_command("evaluate", GRAPH, TEST, "--dt", "1e-4", "--batch-size", "16")
    assert code == 0
    assert f"{100 * (prediction == labels).mean():.1f} %" in out


def test_evaluate_writes_as_it_goes_and_goes_on(here, nirjax_command):
    line = ("evaluate", GRAPH, TEST, "--dt", "1e-4", "--output", "results", "--record", "*.spikes", "--devices", "1")
    code, out, _ = nirjax_command(*line)
    assert (code, "written to results" in out) == (0, True)
    (shard,) = (here / "results").glob("samples_*.npz")
    with np.load(shard) as found:
        assert found["number"].tolist() == list(range(40))
        assert {name for name in found.files if name.startswith("traces/")} == {
            "traces/1.lif.spikes",
            "traces/3.spikes",
        }
    code, out, _ = nirjax_command(*line, "--json")
    found = json.loads(out)
    assert (code, found["samples"], found["bytes_per_sample"]) == (0, 40, None)
    code, _, err = nirjax_command("evaluate", GRAPH, TEST, "--dt", "2e-4", *line[5:])
    assert (code, "another model" in err) == (2, True)


def test_one_process_can_be_several(here, nirjax_command, expected):
    """Of one process, and in a process of its own: joining is for good."""
    line = ["evaluate", GRAPH, TEST, "--dt", "1e-4", "--json", "--distributed", f"127.0.0.1:{free_port()},0,1"]
    (ended,) = launch([["-m", "nirjax", *line, "--out", "each.npz"]])
    assert ended.code == 0, ended.errors
    np.testing.assert_array_equal(np.load("each.npz")["prediction"], expected.sum(axis=1).argmax(axis=1))


def test_evaluate_tells_what_a_recording_costs(here, nirjax_command):
    from nirjax import metrics

    np.savez("few.npz", x=np.load(TEST)["x"][:5], y=np.load(TEST)["y"][:5])
    code, out, _ = nirjax_command("evaluate", GRAPH, "few.npz", "--dt", "1e-4", "--costs", "--json")
    assert code == 0
    found, model = json.loads(out), nirjax.from_nir(GRAPH, dt=1e-4)
    expected = nirjax.evaluate(
        model, "few.npz", metrics=metrics.workload(model), record=metrics.workload_traces(model)
    ).metrics
    assert found["workload"] == expected
    by_node = found["workload_by_node"]
    assert sum(by_node[f"{node}.dense"] for node in ("0", "1.w_rec", "2")) == expected["dense"]
    assert found["parameters"] == sum(found["parameters_by_node"].values()) == metrics.parameter_count(model)
    assert "accuracy" in found["metrics"]
    code, out, _ = nirjax_command("evaluate", GRAPH, "few.npz", "--dt", "1e-4", "--costs")
    assert code == 0
    assert "effective acs" in out
    assert "1.w_rec" in out
