"""The commands that look at files: inspect, diff, validate, convert."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import nirjax
from nirjax.cli.inspecting import facts_of
from nirjax.ir import nodes


def lif(size: int, **fields: object) -> nodes.LIF:
    values = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **fields}
    return nodes.LIF(**{name: np.full(size, value, np.float32) for name, value in values.items()})


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


def test_diff_names_what_changed(here, nirjax_command):
    code, out, _ = nirjax_command("diff", "nirjax-demo/digits.nir", "nirjax-demo/tuned.nir")
    assert code == 1
    assert "'2', bias" in out
    assert "1 difference" in out
    code, out, _ = nirjax_command("diff", "nirjax-demo/digits.nir", "nirjax-demo/tuned.nir", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["identical"] is False
    assert [(one["kind"], one["node"], one["field"]) for one in found["differences"]] == [("value", "2", "bias")]


def test_diff_of_equal_files(here, nirjax_command):
    assert nirjax_command("diff", "nirjax-demo/digits.nir", "nirjax-demo/digits.nir")[0] == 0
    code, out, _ = nirjax_command("diff", "nirjax-demo/digits.nir", "nirjax-demo/digits.nir", "--json")
    assert (code, json.loads(out)["identical"]) == (0, True)


@pytest.fixture
def odd_files(here):
    """A graph with an Output of another shape than its source, written around nirjax's own checks."""
    import h5py

    nirjax.write(here / "good.nir", nirjax.NIRGraph.from_list(nodes.Input((2,)), lif(2)))
    nirjax.write(here / "mendable.nir", nirjax.NIRGraph.from_list(nodes.Input((2,)), lif(2)))
    with h5py.File(here / "mendable.nir", "r+") as file:
        file.attrs.clear()
        del file["node/nodes/output/shape"]
        file["node/nodes/output/shape"] = np.array([1, 2])
    loop = nirjax.NIRGraph(
        {"in": nodes.Input((2,)), "w": nodes.Linear(np.eye(2, dtype=np.float32)), "out": nodes.Output((2,))},
        (("in", "w"), ("w", "w"), ("w", "out")),
    )
    nirjax.write(here / "loop.nir", loop)
    for name, seconds in {"prompt": 0.0, "late": 1.0}.items():
        delay = nodes.Delay(np.array([1, seconds], np.float32))
        nirjax.write(here / f"{name}.nir", nirjax.NIRGraph({**loop.nodes, "w": delay}, loop.edges))
    (here / "text.nir").write_text("not a graph")
    return here


def test_validate_tells_good_from_bad(odd_files, nirjax_command):
    assert nirjax_command("validate", "good.nir", "nirjax-demo/digits.nir")[0] == 0
    code, out, _ = nirjax_command("validate", "good.nir", "mendable.nir", "loop.nir", "text.nir", "--json")
    good, mendable, loop, text = json.loads(out)
    assert code == 1
    assert (good["valid"], good["runs"], good["error"]) == (True, True, None)
    assert (mendable["valid"], mendable["error"]["node"], mendable["error"]["field"]) == (False, "output", "shape")
    assert "--repair mends it" in mendable["error"]["text"]
    assert (loop["valid"], loop["runs"], loop["error"]["kind"]) == (True, False, "AlgebraicLoopError")
    assert text["error"]["kind"] == "FileError"
    code, out, _ = nirjax_command("validate", "good.nir", "mendable.nir")
    assert code == 1
    assert "good.nir: valid" in out
    assert "mendable.nir: not valid" in out


def test_the_name_of_a_file_cannot_pass_for_a_verdict(odd_files, nirjax_command):
    name = "a.nir: valid\nb\x1b[32m.nir"
    (odd_files / "text.nir").rename(odd_files / name)
    code, out, _ = nirjax_command("validate", name)
    assert code == 1
    assert out.splitlines()[0] == "a.nir: valid\\nb\\x1b[32m.nir: not valid"


def test_validate_knows_a_delay_by_nothing(odd_files, nirjax_command):
    code, out, _ = nirjax_command("validate", "late.nir", "prompt.nir", "--json")
    late, prompt = json.loads(out)
    assert code == 1
    assert (late["runs"], prompt["runs"], prompt["error"]["kind"]) == (True, False, "AlgebraicLoopError")


def test_validate_with_repair_tells_the_mends(odd_files, nirjax_command):
    code, out, _ = nirjax_command("validate", "mendable.nir", "--repair", "--json")
    assert code == 0
    assert json.loads(out)[0]["verdict"] == "valid once repaired"
    assert len(json.loads(out)[0]["repairs"]) == 1


def test_convert_mends_and_the_result_is_valid(odd_files, nirjax_command):
    assert nirjax_command("convert", "mendable.nir", "mended.nir")[0] == 2
    assert not (odd_files / "mended.nir").exists()
    code, out, _ = nirjax_command("convert", "mendable.nir", "mended.nir", "--repair")
    assert code == 0
    assert "mended: " in out
    assert nirjax_command("validate", "mended.nir")[0] == 0
    assert nirjax_command("diff", "good.nir", "mended.nir")[0] == 0


def test_convert_changes_nothing_else(here, nirjax_command):
    code, out, _ = nirjax_command("convert", "nirjax-demo/digits.nir", "again.nir", "--compression", "none", "--json")
    assert (code, json.loads(out)["repairs"]) == (0, [])
    assert nirjax.diff("nirjax-demo/digits.nir", here / "again.nir") == []


def test_convert_merges_linear_nodes_and_tells(here, nirjax_command):
    scale, weight = np.float32([1, 2, 3]), np.ones((2, 3), np.float32)
    nodes = [nirjax.ir.Scale(scale), nirjax.ir.Linear(weight)]
    nirjax.write("scaled.nir", nirjax.NIRGraph.from_list(*nodes))
    code, out, _ = nirjax_command("convert", "scaled.nir", "merged.nir", "--merge-linear", "--json")
    assert code == 0
    assert json.loads(out)["merges"] == ["node 'linear': takes in the Scale 'scale' before it"]
    np.testing.assert_array_equal(nirjax.read("merged.nir").nodes["linear"].weight, [[1, 2, 3]] * 2)
    code, out, _ = nirjax_command("convert", "scaled.nir", "merged.nir", "--merge-linear")
    assert "merged: node 'linear'" in out


def test_convert_keeps_metadata(here, nirjax_command):
    graph = dataclasses.replace(nirjax.read("nirjax-demo/digits.nir"), metadata={"by": "hand"})
    nirjax.write("by-hand.nir", graph)
    assert nirjax_command("convert", "by-hand.nir", "again.nir")[0] == 0
    assert nirjax.read("again.nir").metadata["by"] == "hand"


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


def test_convert_stores_parameters_as_a_chip_does(here, nirjax_command):
    code, _, err = nirjax_command("convert", "nirjax-demo/digits.nir", "stored.nir", "--bits", "4", "--dt", "1e-4")
    assert (code, err) == (0, "")
    changed = {
        (one.node, one.field) for one in nirjax.diff("nirjax-demo/digits.nir", "stored.nir") if one.kind == "value"
    }
    assert changed == {("0", "weight"), ("1.w_rec", "weight"), ("2", "weight")}
    entry = nirjax.read("stored.nir").nodes["2"].metadata["quantization"]["weight"]
    assert (int(entry["lowest"]), int(entry["highest"])) == (-8, 7)
    nirjax_command("convert", "stored.nir", "again.nir", "--bits", "4", "--dt", "1e-4")
    assert nirjax.diff("stored.nir", "again.nir") == []
    code, _, err = nirjax_command("convert", "nirjax-demo/digits.nir", "t.nir", "--target", "spinnaker2")
    assert code == 2
    assert "the time step is missing" in err
