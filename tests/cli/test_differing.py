"""diff: what differs in content."""

from __future__ import annotations

import json


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
