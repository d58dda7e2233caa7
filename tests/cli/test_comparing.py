"""compare: where two behave otherwise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cli.graphs import GRAPH, TEST


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


@pytest.mark.parametrize("single", [False, True])
def test_compare_takes_what_run_wrote(here, nirjax_command, single):
    data = "data.npy"
    x = np.load(TEST)["x"][:7]
    np.save(data, x[0] if single else x)
    run = ("run", GRAPH, data, "--dt", "1e-4", "--record", "*.spikes", "--out", "run.npz")
    assert nirjax_command(*run)[0] == 0
    line = ("compare", GRAPH, "run.npz", "-x", data, "--dt", "1e-4")
    if single:
        assert nirjax_command(*line)[0] == 0
        return
    code, _, err = nirjax_command(*line)
    assert (code, "--sample-first" in err) == (2, True)
    assert nirjax_command(*line, "--sample-first")[0] == 0
    assert nirjax_command(*line, "--sample-first", "--dialect", "exact")[0] == 1
    np.savez("flat.npz", output=np.zeros(3))
    code, _, err = nirjax_command("compare", GRAPH, "flat.npz", "-x", data, "--dt", "1e-4", "--sample-first")
    assert (code, "not a recording" in err) == (2, True)


def test_a_dialect_of_both_and_of_one(here, nirjax_command):
    line = ("compare", GRAPH, GRAPH, "-x", TEST, "--dt", "1e-4", "--dialect", "exact")
    assert nirjax_command(*line)[0] == 0
    assert nirjax_command(*line, "--dialect-b", "nir")[0] == 1
