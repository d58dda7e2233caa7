"""The commands that run a model: run, evaluate, finetune."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from evaluation.launching import free_port, launch

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


def test_finetune_with_a_rate_for_each_pattern_says_where_it_stands(here, nirjax_command):
    line = (
        "finetune", GRAPH, TRAIN, "--dt", "1e-4", "--steps", "1", "--batch-size", "80", "--trainable", "2.*",
        "--trainable", "3.tau_mem", "--learning-rate", "2.bias=0.5", "--learning-rate", "0.25", "--optimizer", "adam",
        "--truncation", "10", "--skip-nonfinite", "1", "--no-provenance", "--out", "tuned.nir",
    )  # fmt: skip
    code, out, err = nirjax_command(*line)
    assert code == 0
    assert re.fullmatch(r"epoch 1  step 1/1  loss [\d.]+  accuracy [\d.]+  rate [\d.]+", err.strip())
    assert "1 step, the best after 1" in out
    before, after = nirjax.read(GRAPH).nodes["2"], nirjax.read("tuned.nir").nodes["2"]
    # Adam's first step is its learning rate wherever the gradient is large
    for field, rate in {"bias": 0.5, "weight": 0.25}.items():
        moved = np.abs(getattr(after, field) - getattr(before, field))
        assert moved.max() == pytest.approx(rate, rel=1e-2)
    assert "nirjax" not in nirjax.read("tuned.nir").metadata


RATES = [
    (["--learning-rate", "*.tua=1"], "--learning-rate"),
    (["--learning-rate", "1", "--learning-rate", "2"], "two learning rates"),
    (["--learning-rate", "*.bias=fast"], "not a positive number"),
    (["--learning-rate", "*.bias=1", "--learning-rate", "2.*=1"], "two optimizers"),
    (["--truncation", "0"], "--truncation"),
    (["--skip-nonfinite", "-1"], "--skip-nonfinite"),
]


@pytest.mark.parametrize(("options", "reason"), RATES, ids=lambda value: value if isinstance(value, str) else "")
def test_finetune_with_rates_that_make_no_sense_is_one_line(here, nirjax_command, options, reason):
    code, _, err = nirjax_command("finetune", GRAPH, TRAIN, "--dt", "1e-4", "--out", "t.nir", *options)
    assert code == 2
    assert reason in err
    assert len(err.strip().splitlines()) == 1


BAD_DATA = {
    "a label too large": (lambda x, y: (x, y + 9), "field 'y': a label is out of range"),
    "a negative label": (lambda x, y: (x, y - 9), "field 'y': a label is out of range"),
    "labels that are floats": (lambda x, y: (x, y + 0.5), "labels are integers"),
    "another shape": (lambda x, y: (x[..., 1:], y), "x is (sample, time, *shape)"),
    "another number of samples": (lambda x, y: (x, y[1:]), "differ in the number of samples"),
    "no samples": (lambda x, y: (x[:0], y[:0]), "no recordings"),
    "no time steps": (lambda x, y: (x[:, :0], y), "0 time steps"),
    "NaN": (lambda x, y: (np.where(x, np.nan, 0.0), y), "not finite"),
    "words": (lambda x, y: (x, y.astype(str)), "not made of real numbers"),
}


@pytest.mark.parametrize("kind", BAD_DATA)
@pytest.mark.parametrize("part", ["train", "valid"])
def test_finetune_on_bad_data_is_one_line_that_names_the_file(here, nirjax_command, kind, part):
    change, reason = BAD_DATA[kind]
    known = np.load(TRAIN)
    x, y = change(known["x"][:8], known["y"][:8])
    np.savez("bad.npz", x=x, y=y)
    files = ("bad.npz",) if part == "train" else (TRAIN, "--valid", "bad.npz")
    code, out, err = nirjax_command("finetune", GRAPH, *files, "--dt", "1e-4", "--out", "t.nir")
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.strip().splitlines()) == 1
    if kind != "labels that are floats" or part == "train":
        assert "file 'bad.npz'" in err


def test_finetune_without_weights_is_one_line(here, nirjax_command):
    full = {name: np.ones(8, np.float32) for name in ("tau", "r", "v_leak", "v_threshold")}
    parts = {"in": nodes.Input((8,)), "lif": nodes.LIF(**full), "out": nodes.Output((8,))}
    nirjax.write("bare.nir", nirjax.NIRGraph(parts, [("in", "lif"), ("lif", "out")]))
    code, _, err = nirjax_command("finetune", "bare.nir", TRAIN, "--dt", "1e-4", "--out", "t.nir")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "neither weights nor biases" in err


def test_a_tuned_file_run_otherwise_is_warned_of(here, nirjax_command):
    model = nirjax.from_nir(GRAPH, dt=1e-4)
    nirjax.write("tuned.nir", nirjax.to_nir(model, provenance=True))
    code, _, err = nirjax_command("inspect", "tuned.nir", "--dt", "1e-4", "--dialect", "exact")
    assert code == 0
    assert err.startswith("warning: this graph was tuned under dialect 'nir()', not 'exact()'")
    assert nirjax_command("inspect", "tuned.nir", "--dt", "1e-4")[2] == ""


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
    line = ("-x", TEST, "--dt", "1e-4", "--plot", "parted.png", "--json")
    code, out, _ = nirjax_command("compare", GRAPH, "nirjax-demo/tuned.nir", *line)
    found = json.loads(out)
    assert code == 1
    assert (here / "parted.png").read_bytes().startswith(b"\x89PNG")
    assert found["trace"] == "3.spikes"
    assert "sides" not in found
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


def test_finetune_for_a_chip_writes_what_the_chip_stores(here, nirjax_command):
    code, _, err = nirjax_command(
        "finetune", GRAPH, TRAIN, "--dt", "1e-4", "--valid-share", "0.25", "--steps", "1", "--target", "spinnaker2",
        "--bits", "4", "--out", "tuned.nir",
    )  # fmt: skip
    assert code == 0, err
    tuned = nirjax.read("tuned.nir")
    assert str(tuned.metadata["nirjax"]["dialect"]) == "spinnaker2()"
    for name in ("0", "1.w_rec", "2"):
        entry = tuned.nodes[name].metadata["quantization"]["weight"]
        numbers = np.float64(tuned.nodes[name].weight) / np.float64(entry["scale"])
        np.testing.assert_array_equal(numbers, np.round(numbers))
        assert np.abs(numbers).max() <= 7
    line = ("evaluate", "tuned.nir", TEST, "--dt", "1e-4", "--json")
    code, first, _ = nirjax_command(*line, "--dialect", "spinnaker2()")
    assert code == 0
    _, again, _ = nirjax_command(*line, "--target", "spinnaker2", "--bits", "4")
    assert json.loads(first)["metrics"] == json.loads(again)["metrics"]


def test_a_graph_that_a_chip_cannot_hold_is_refused_in_one_line(here, nirjax_command):
    line = ("finetune", GRAPH, TRAIN, "--dt", "1e-4", "--steps", "1", "--out", "t.nir", "--target", "speck")
    code, _, err = nirjax_command(*line)
    assert code == 2
    assert "speck: it cannot hold a LIF" in err
    assert len(err.splitlines()) == 1
    assert not (here / "t.nir").exists()
    code, _, err = nirjax_command(*line[:-1], "spek")
    assert code == 2
    assert "no such target" in err
