"""convert: mended, merged, as a chip stores it, and nothing else changed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

import nirjax


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
