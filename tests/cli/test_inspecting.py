"""inspect: what is in a graph, and what will surprise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nirjax
from cli.graphs import GRAPH, lif
from nirjax.cli.inspecting import facts_of
from nirjax.ir import nodes


def ring(delay: float) -> nirjax.NIRGraph:
    """A neuron that hears itself through a Delay."""
    parts = {
        "in": nodes.Input((3,)),
        "lif": lif(3),
        "wait": nodes.Delay(np.full(3, delay, np.float32)),
        "out": nodes.Output((3,)),
    }
    return nirjax.NIRGraph(parts, (("in", "lif"), ("lif", "wait"), ("wait", "lif"), ("lif", "out")))


def test_inspect_shows_nodes_parameters_cycles_and_hints(here, nirjax_command):
    code, out, err = nirjax_command("inspect", "nirjax-demo/digits.nir")
    assert (code, err) == (0, "")
    for text in ("7 nodes", "CubaLIF", "v_threshold", "0.0004 to 0.0032", "1.w_rec -> 1.lif", "dt = 0.0001", "float64"):
        assert text in out


def test_inspect_with_dt_gives_time_constants_in_steps(here, nirjax_command):
    code, out, _ = nirjax_command("inspect", "nirjax-demo/digits.nir", "--dt", "1e-4", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["nodes"]["1.lif"]["parameters"]["tau"]["steps"] == pytest.approx([4, 32])
    assert facts["nodes"]["3"]["parameters"]["tau_mem"]["steps"] == pytest.approx([8, 8])
    assert facts["parameters"] == 96 * 8 + 96 + 96 * 96 + 96 + 960 + 10 + 5 * 96 + 7 * 10
    assert facts["cycles"] == [{"nodes": ["1.lif", "1.w_rec"], "delayed": [["1.w_rec", "1.lif"]]}]
    assert facts["nodes"]["input"]["output"] == [8]
    assert facts["hints"][0]["dt"] == 1e-4


def test_inspect_warns_in_one_line_of_time_constants_below_dt(here, nirjax_command):
    code, _, err = nirjax_command("inspect", "nirjax-demo/digits.nir", "--dt", "0.01")
    assert code == 0
    assert len(err.splitlines()) == 3
    assert all(line.startswith("warning: node ") for line in err.splitlines())


def test_a_delay_on_a_cycle_takes_the_register_away_once_dt_says_that_it_lasts_a_step(tmp_path):
    assert facts_of(ring(0.002))["cycles"][0]["delayed"] == [("wait", "lif")]
    assert facts_of(ring(0.002), dt=1e-3)["cycles"][0]["delayed"] == []


def test_inspect_draws_the_graph(here, nirjax_command):
    code, out, _ = nirjax_command("inspect", "nirjax-demo/digits.nir", "--plot", "graph.png")
    assert code == 0
    assert "graph.png" in out
    assert (here / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_inspect_writes_the_graph_in_graphviz_s_language(here, nirjax_command):
    from nirjax.plot import to_dot

    line = ("inspect", "nirjax-demo/digits.nir", "--dot", "graph.dot")
    code, out, _ = nirjax_command(*line)
    assert code == 0
    assert "written to graph.dot" in out
    text = Path("graph.dot").read_text()
    assert text == to_dot("nirjax-demo/digits.nir", parameters=True, title="nirjax-demo/digits.nir")
    assert "-1 step" in text
    assert nirjax_command(*line, "--dt", "1e-4")[0] == 0
    model = nirjax.from_nir("nirjax-demo/digits.nir", dt=1e-4, dialect="spyx")
    assert nirjax_command(*line, "--dt", "1e-4", "--dialect", "spyx")[0] == 0
    assert Path("graph.dot").read_text().count("-1 step") == len(model.feedback)
    code, _, err = nirjax_command("inspect", "nirjax-demo/digits.nir", "--dot", "nirjax-demo/digits.nir")
    assert code == 2
    assert "replace what is read" in err


def test_inspect_prints_names_that_are_not_printable(here, nirjax_command):
    name = "a\x1b[31m\nb"
    graph = nirjax.NIRGraph(
        {"in": nodes.Input((2,)), name: lif(2), "[red]": nodes.Output((2,))}, (("in", name), (name, "[red]"))
    )
    nirjax.write(here / "odd.nir", graph)
    code, out, _ = nirjax_command("inspect", "odd.nir")
    assert code == 0
    assert "\x1b" not in out
    assert "a\\x1b[31m\\nb" in out
    assert "[red]" in out


def test_inspect_a_graph_whose_shapes_nothing_tells(here, nirjax_command):
    graph = nirjax.NIRGraph({"pool": nodes.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))}, ())
    nirjax.write(here / "open.nir", graph)
    code, out, _ = nirjax_command("inspect", "open.nir")
    assert code == 0
    assert "?" in out
    assert "kernel_size" in out


def test_inspect_tells_what_will_surprise_and_rewires_on_request(here, nirjax_command):
    file = str(Path(__file__).parents[1] / "data" / "golden" / "spyx" / "rlif_mlp" / "graph.nir")
    _, out, _ = nirjax_command("inspect", file)
    assert "enters the recurrent weights and not the neuron" in out
    assert "--rewire leads it there" in out
    code, out, _ = nirjax_command("convert", file, "rewired.nir", "--rewire")
    assert code == 0
    assert "no longer its recurrent weights" in out
    assert "recurrent weights" not in nirjax_command("inspect", "rewired.nir")[1]


def test_inspect_tells_what_a_chip_cannot_hold(here, nirjax_command):
    code, out, _ = nirjax_command("inspect", "nirjax-demo/digits.nir", "--target", "speck")
    assert code == 0
    assert "error: 1.lif: speck: it cannot hold a LIF: its neurons do not leak" in out
    code, out, _ = nirjax_command("inspect", "nirjax-demo/digits.nir", "--target", "spinnaker2", "--json")
    found = json.loads(out)
    assert found["target"] == "spinnaker2"
    assert not [one for one in found["findings"] if one["severity"] == "error"]
    _, out, _ = nirjax_command("inspect", "nirjax-demo/digits.nir", "--target", "spinnaker2")
    assert "spinnaker2: nothing is refused" in out
    code, _, err = nirjax_command("inspect", "nirjax-demo/digits.nir", "--target", "akida")
    assert code == 2
    assert "no such target" in err


def test_a_tuned_file_run_otherwise_is_warned_of(here, nirjax_command):
    model = nirjax.from_nir(GRAPH, dt=1e-4)
    nirjax.write("tuned.nir", nirjax.to_nir(model, provenance=True))
    code, _, err = nirjax_command("inspect", "tuned.nir", "--dt", "1e-4", "--dialect", "exact")
    assert code == 0
    assert err.startswith("warning: this graph was tuned under dialect 'nir()', not 'exact()'")
    assert nirjax_command("inspect", "tuned.nir", "--dt", "1e-4")[2] == ""
