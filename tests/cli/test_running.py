"""run: outputs and traces in files."""

from __future__ import annotations

import json

import numpy as np

import nirjax
from cli.graphs import GRAPH, TEST
from nirjax.ir import nodes


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
