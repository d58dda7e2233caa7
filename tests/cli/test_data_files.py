"""The kinds of data files that commands read and write: the same numbers from each."""

from __future__ import annotations

import json

import h5py
import nir
import numpy as np
import pytest

import nirjax
from nirjax.data import NIRGraphData, NIRNodeData, TimeGriddedData

GRAPH, TEST = "nirjax-demo/digits.nir", "nirjax-demo/test.npz"
DT = ("--dt", "1e-4")


def observed(**signals) -> NIRGraphData:
    return NIRGraphData({name: NIRNodeData({"spikes": one}) for name, one in signals.items()})


@pytest.fixture
def recordings(here) -> tuple[np.ndarray, np.ndarray]:
    """Six recordings and their labels: as x.npz, x.npy, y.npy, y.npz, grid.nir (by the reference) and events.nir."""
    file = np.load(TEST)
    x, y = file["x"][:6].astype(bool), file["y"][:6]
    np.savez("x.npz", x=x, y=y)
    np.savez("y.npz", y=y)
    np.save("x.npy", x)
    np.save("y.npy", y)
    grid = TimeGriddedData(x, 1e-4)
    nir.write_data("grid.nir", observed(input=grid).to_reference())
    nirjax.data.write("events.nir", observed(input=grid.to_event(time_shift=5e-5)))
    return x, y


@pytest.mark.parametrize("data", ["x.npy", "grid.nir", "events.nir"])
def test_run_reads_each_kind(data, recordings, nirjax_command):
    for name in ("x.npz", data):
        code, _, err = nirjax_command("run", GRAPH, name, *DT, "--record", "3.v", "--out", f"{name}.out.npz")
        assert code == 0, err
    expected, found = np.load("x.npz.out.npz"), np.load(f"{data}.out.npz")
    assert expected["output"].any()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_run_writes_nir_data(recordings, nirjax_command):
    line = ("run", GRAPH, "x.npz", *DT, "--record", "*.spikes", "--record", "3.v", "--record", "input.output")
    assert nirjax_command(*line, "--out", "run.nir")[0] == 0
    assert nirjax_command(*line, "--out", "run.npz")[0] == 0
    arrays, data = np.load("run.npz"), nir.read_data("run.nir")
    assert set(data.nodes) == {"1.lif", "3", "input", "output"}
    hidden = data.nodes["1.lif"].observables["spikes"]
    assert (hidden.data.dtype, hidden.dt) == (bool, 1e-4)
    np.testing.assert_array_equal(hidden.data, arrays["1.lif.spikes"])
    np.testing.assert_array_equal(data.nodes["3"].observables["v"].data, arrays["3.v"])
    np.testing.assert_array_equal(data.nodes["output"].observables["spikes"].data, arrays["output"])
    np.testing.assert_array_equal(data.nodes["input"].observables["spikes"].data, recordings[0])


@pytest.mark.parametrize("data", ["x.npy", "grid.nir", "events.nir"])
@pytest.mark.parametrize("labels", ["y.npy", "y.npz"])
def test_evaluate_takes_labels_from_a_file_of_their_own(data, labels, recordings, nirjax_command):
    said = [nirjax_command("evaluate", GRAPH, "x.npz", *DT, "--json")]
    said.append(nirjax_command("evaluate", GRAPH, data, *DT, "--labels", labels, "--json"))
    expected, found = (json.loads(out)["metrics"] for _, out, _ in said)
    assert found == expected
    assert "accuracy" in found


def test_evaluate_without_labels(recordings, nirjax_command):
    code, out, _ = nirjax_command("evaluate", GRAPH, "grid.nir", *DT, "--json")
    assert code == 0
    assert set(json.loads(out)["metrics"]) == {"spike_rate"}


def test_finetune_takes_each_kind(recordings, nirjax_command):
    losses = []
    for data in (("x.npz",), ("x.npy", "--labels", "y.npy"), ("events.nir", "--labels", "y.npz")):
        line = ("finetune", GRAPH, *data, *DT, "--valid-share", "0.4", "--steps", "2", "--batch-size", "2")
        code, out, err = nirjax_command(*line, "--out", "t.nir", "--json")
        assert code == 0, err
        losses.append(json.loads(out)["history"]["loss"])
    assert losses[0] == losses[1] == losses[2]


def test_finetune_towards_what_another_platform_emitted(recordings, nirjax_command):
    line = ("run", GRAPH, "x.npz", *DT, "--dialect", "snntorch(reset_delay=False)", "--record", "input.output")
    assert nirjax_command(*line, "--out", "home.nir")[0] == 0
    line = ("finetune", GRAPH, "home.nir", *DT, "--loss", "membrane_mse", "--steps", "1", "--valid", "home.nir")
    code, out, err = nirjax_command(*line, "--out", "t.nir", "--json")
    assert code == 0, err
    assert json.loads(out)["history"]["valid_loss"][0] > 0


def test_compare_reads_recordings_of_each_kind(recordings, nirjax_command):
    for name in ("run.nir", "run.npz"):
        line = ("run", GRAPH, "x.npz", *DT, "--record", "*.spikes", "--record", "input.output", "--out", name)
        assert nirjax_command(*line)[0] == 0
    assert nirjax_command("compare", GRAPH, "run.nir", *DT)[0] == 0
    assert nirjax_command("compare", "run.nir", GRAPH, *DT, "-x", "events.nir")[0] == 0
    assert nirjax_command("compare", "run.nir", "run.nir")[0] == 0
    code, out, _ = nirjax_command(
        "compare", GRAPH, "run.nir", *DT, "--dialect-a", "snntorch(reset_delay=False)", "--json"
    )
    assert code == 1
    assert not json.loads(out)["equal"]


def spoil_digest():
    nirjax.data.write("bad.nir", observed(input=TimeGriddedData(np.zeros((1, 4, 8), bool), 1e-4)))
    with h5py.File("bad.nir", "r+") as file:
        file["nodes/input/observables/spikes"].attrs["dt"] = 2e-4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("run", GRAPH, "grid.nir", "--dt", "1e-3"), "another time step"),
        (("run", GRAPH, GRAPH, *DT), "not a file of NIR data"),
        (("run", "grid.nir", "x.npy", *DT), "a file of NIR data, not of a graph"),
        (("run", GRAPH, "x.npz", *DT, "--out", GRAPH), "replace what is read"),
        (("run", GRAPH, "x.npz", *DT, "--out", "x.npz"), "replace what is read"),
        (("run", GRAPH, "x.npz", *DT, "--out", "x.txt"), ".npz, .npy or .nir"),
        (("run", GRAPH, "other.nir", *DT), "nothing at this node"),
        (("run", GRAPH, "wide.nir", *DT), "number of neurons"),
        (("run", GRAPH, "none.nir", *DT), "no recordings"),
        (("run", GRAPH, "bad.nir", *DT), "not what was written"),
        (("run", GRAPH, "text.nir", *DT), "another kind of file"),
        (("evaluate", GRAPH, "x.npy", *DT, "--labels", "two.npz"), "no targets"),
        (("evaluate", GRAPH, "x.npy", *DT, "--labels", "missing.npy"), "cannot be read"),
        (("evaluate", GRAPH, "grid.nir", *DT, "--labels", "few.npy"), "number of samples"),
        (("evaluate", GRAPH, "grid.nir", "--dt", "1e-3"), "another time step"),
        (("evaluate", GRAPH, "text.nir", *DT), "no NPZ archive"),
        (("compare", GRAPH, "y.npy", *DT, "-x", "x.npy"), "not a sound HDF5 file"),
        (("compare", GRAPH, "silent.nir", *DT), "nothing at this node"),
        (("compare", "events.nir", "events.nir"), "no time step to compare"),
    ],
)
def test_mistakes_are_one_line(line, words, recordings, nirjax_command):
    x, y = recordings
    grid = TimeGriddedData(x, 1e-4)
    nirjax.data.write("other.nir", observed(inputs=grid))
    nirjax.data.write("silent.nir", observed(output=TimeGriddedData(np.zeros((6, 40, 10), bool), 1e-4)))
    nirjax.data.write("wide.nir", observed(input=TimeGriddedData(x[:, :, :3], 1e-4)))
    nirjax.data.write("none.nir", observed(input=TimeGriddedData(x[:0], 1e-4)))
    spoil_digest()
    np.savez("two.npz", a=x, b=y)
    np.save("few.npy", y[:3])
    with open("text.nir", "w") as file:
        file.write("no data")
    code, _, err = nirjax_command(*line)
    assert code == 2
    assert words in err.replace("\n", " ")
    assert "Traceback" not in err
