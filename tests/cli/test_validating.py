"""validate: good files told from bad ones."""

from __future__ import annotations

import json


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
