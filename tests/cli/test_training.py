"""finetune: what is trained, on which data, written how."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import nirjax
from cli.graphs import GRAPH, TEST, TRAIN
from nirjax.ir import nodes


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
