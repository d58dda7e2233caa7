"""The commands that run a model: run, evaluate, finetune."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nirjax
from nirjax.ir import nodes

GRAPH, TEST, TRAIN = "nirjax-demo/digits.nir", "nirjax-demo/test.npz", "nirjax-demo/train.npz"


@pytest.fixture
def expected(here) -> np.ndarray:
    """What the library itself gives on the test recordings, (sample, time, class)."""
    x = np.load(TEST)["x"]
    output, _ = nirjax.from_nir(GRAPH, dt=1e-4)(x.swapaxes(0, 1))
    return np.asarray(output).swapaxes(0, 1)


def test_run_gives_what_the_library_gives(here, nirjax_command, expected):
    code, out, _ = nirjax_command(
        "run", GRAPH, TEST, "--dt", "1e-4", "--batch-size", "16", "--record", "*.spikes", "--record", "3.v",
        "--out", "run.npz", "--json",
    )  # fmt: skip
    found = np.load("run.npz")
    assert code == 0
    assert json.loads(out)["samples"] == 40
    assert set(found) == {"output", "1.lif.spikes", "3.spikes", "3.v"} == set(json.loads(out)["arrays"])
    assert found["1.lif.spikes"].shape == (40, 40, 96)
    np.testing.assert_array_equal(found["output"], expected)
    np.testing.assert_array_equal(found["3.spikes"], expected)


def test_run_takes_one_recording_and_time_first(here, nirjax_command, expected):
    x = np.load(TEST)["x"]
    np.save("one.npy", x[3])
    np.save("first.npy", x[:5].swapaxes(0, 1))
    assert nirjax_command("run", GRAPH, "one.npy", "--dt", "1e-4", "--out", "out.npy")[0] == 0
    np.testing.assert_array_equal(np.load("out.npy"), expected[3])
    line = ("run", GRAPH, "first.npy", "--dt", "1e-4", "--time-first", "--batch-size", "2", "--out", "out.npy")
    assert nirjax_command(*line)[0] == 0
    np.testing.assert_array_equal(np.load("out.npy"), expected[:5].swapaxes(0, 1))


def test_run_leaves_nothing_beyond_a_length(here, nirjax_command, expected):
    np.savez("ragged.npz", x=np.load(TEST)["x"][:3], length=np.array([40, 25, 7]))
    assert nirjax_command("run", GRAPH, "ragged.npz", "--dt", "1e-4", "--out", "out.npz")[0] == 0
    found = np.load("out.npz")
    np.testing.assert_array_equal(found["length"], [40, 25, 7])
    np.testing.assert_array_equal(found["output"][1, :25], expected[1, :25])
    assert not found["output"][1, 25:].any()
    assert not found["output"][2, 7:].any()


def test_run_with_several_inputs_and_outputs(here, nirjax_command):
    parts = {
        "a": nodes.Input((2,)),
        "b": nodes.Input((2,)),
        "sum": nodes.Scale(np.ones(2, np.float32)),
        "y": nodes.Output((2,)),
        "z": nodes.Output((2,)),
    }
    edges = (("a", "sum"), ("b", "sum"), ("sum", "y"), ("a", "z"))
    nirjax.write("two.nir", nirjax.NIRGraph(parts, edges))
    a, b = np.random.default_rng(0).normal(size=(2, 3, 5, 2)).astype(np.float32)
    np.savez("two.npz", a=a, b=b)
    assert nirjax_command("run", "two.nir", "two.npz", "--dt", "1", "--out", "out.npz")[0] == 0
    found = np.load("out.npz")
    np.testing.assert_allclose(found["y"], a + b, rtol=1e-6)
    np.testing.assert_array_equal(found["z"], a)
    np.savez("one.npz", a=a)
    code, _, err = nirjax_command("run", "two.nir", "one.npz", "--dt", "1")
    assert code == 2
    assert "'b'" in err
    assert "one array for each Input: a, b" in err
    code, _, err = nirjax_command("run", "two.nir", "two.npz", "--dt", "1", "--out", "out.npy")
    assert (code, "holds one array" in err) == (2, True)


def test_a_dialect_changes_what_a_model_does(here, nirjax_command, expected):
    line = ("run", GRAPH, TEST, "--dt", "1e-4", "--out", "out.npy", "--dialect")
    assert nirjax_command(*line, "snntorch(reset_mechanism='zero', reset_delay=False)")[0] == 0
    np.testing.assert_array_equal(np.load("out.npy"), expected)
    assert nirjax_command(*line, "exact")[0] == 0
    assert (np.load("out.npy") != expected).any()


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


def test_finetune_trains_what_it_is_told_and_nothing_else(here, nirjax_command):
    code, out, _ = nirjax_command(
        "finetune", GRAPH, TRAIN, "--dt", "1e-4", "--valid-share", "0.25", "--steps", "2", "--trainable", "2.*",
        "--learning-rate", "0.05", "--surrogate", "fast_sigmoid(5)", "--loss", "spike_count_cross_entropy",
        "--optimizer", "sgd", "--plot", "curves.png", "--out", "tuned.nir", "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert code == 0
    assert found["steps"] == 2
    assert "valid_loss" in found["metrics"]
    assert (here / "curves.png").read_bytes().startswith(b"\x89PNG")
    changed = {(one.node, one.field) for one in nirjax.diff(GRAPH, "tuned.nir") if one.kind == "value"}
    assert changed <= {("2", "weight"), ("2", "bias")}
    metadata = nirjax.read("tuned.nir").metadata["nirjax"]
    assert float(metadata["dt"]) == 1e-4


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


def test_held_back_samples_are_drawn_by_the_seed_and_never_trained_on(here):
    from nirjax.cli.data_files import read_arrays
    from nirjax.cli.training import split

    train, valid = split(read_arrays(TRAIN), TRAIN, 0.25, seed=3)
    again, _ = split(read_arrays(TRAIN), TRAIN, 0.25, seed=3)
    other, _ = split(read_arrays(TRAIN), TRAIN, 0.25, seed=4)
    whole = np.load(TRAIN)
    assert len(valid["x"]) == 20
    assert len(train["x"]) == 60
    np.testing.assert_array_equal(train["x"], again["x"])
    assert (train["y"] != other["y"]).any()
    assert sorted(np.concatenate([train["y"], valid["y"]])) == sorted(whole["y"])


def test_too_few_samples_to_hold_back(here, nirjax_command):
    np.savez("two.npz", x=np.zeros((2, 40, 8), np.uint8), y=np.zeros(2, np.int32))
    line = ("finetune", GRAPH, "two.npz", "--dt", "1e-4", "--valid-share", "0.1", "--out", "t.nir")
    code, _, err = nirjax_command(*line)
    assert code == 2
    assert "too few samples" in err


def test_compare_says_where_two_graphs_part(here, nirjax_command, expected):
    code, out, _ = nirjax_command("compare", GRAPH, "nirjax-demo/tuned.nir", "-x", TEST, "--dt", "1e-4", "--json")
    found = json.loads(out)
    assert code == 1
    assert not found["equal"]
    assert found["node"] == "3"
    by_trace = {one["trace"]: one for one in found["traces"]}
    assert by_trace["1.lif.spikes"]["count"] == 0
    assert by_trace["3.spikes"]["count"] > 0


def test_compare_holds_a_graph_against_a_recording(here, nirjax_command, expected):
    np.savez("recording.npz", output=expected.swapaxes(0, 1))
    code, out, _ = nirjax_command("compare", GRAPH, "recording.npz", "-x", TEST, "--dt", "1e-4", "--record", "output")
    assert code == 0, out
    assert out.startswith("equal")


@pytest.mark.parametrize("line", [["--dt", "1e-4"], ["-x", TEST], ["-x", TEST, "--dt", "1e-4", "--dialect-b", "nest"]])
def test_compare_with_wrong_input_is_one_line(here, nirjax_command, line):
    code, _, err = nirjax_command("compare", GRAPH, GRAPH, *line)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
