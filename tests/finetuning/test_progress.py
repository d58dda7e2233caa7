"""Progress: a bar on a terminal, plain lines elsewhere, both on stderr; stdout stays empty."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import numpy as np
import optax
import pytest

import nirjax
from finetuning.tasks import data, model
from nirjax.finetuning import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def tune(**options: Any) -> None:
    given: dict[str, Any] = {"valid": data(5, 1), "epochs": 2, "batch_size": 4, "optimizer": optax.adam(0.05)}
    nirjax.finetune(model(), options.pop("train", data()), **{**given, **options})


def test_a_line_an_evaluation_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tune()
    said = capsys.readouterr()
    assert said.out == ""
    first, second, last = said.err.splitlines()
    assert first.startswith("before training  step 0/6  valid loss ")
    number = r"[\d.]+(e-\d+)?"
    pattern = (
        rf"epoch 1/2  step 3/6  loss {number}  accuracy {number}  valid loss {number}  valid accuracy {number}  "
        rf"rate {number}  \d:\d\d:\d\d left"
    )
    assert re.fullmatch(pattern, second)
    assert re.match(r"epoch 2/2  step 6/6  .*rate", last)
    assert not last.endswith("left")
    assert "\x1b" not in said.err


def test_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in {"TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    tune()
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.getvalue())
    assert capsys.readouterr().out == ""
    number = r"[\d.]+(e-\d+)?"
    pattern = rf"epoch 2/2 ━+ 6/6 0:00:00 loss {number} \({number}\) accuracy {number} \({number}\) rate {number}"
    assert re.search(pattern, shown)


def test_nothing_is_said_unless_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    tune(progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_long_pass_has_lines_in_between(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    tune(valid=None)
    assert len(capsys.readouterr().err.splitlines()) == 6 + 2


def test_the_length_of_a_stream_is_known_after_its_first_pass(capsys: pytest.CaptureFixture[str]) -> None:
    class Stream:
        def __iter__(self) -> Any:
            return iter(list(zip(*data(), strict=True)))

    tune(train=Stream(), valid=None)
    first, last = capsys.readouterr().err.splitlines()
    assert "step 3/6" in first
    assert "left" in first
    assert "step 6/6" in last


def test_skipped_steps_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tune(valid=None, loss=lambda run, batch: run.output.sum((0, 2)) * np.nan, skip_nonfinite=99, epochs=1)
    assert re.match(r"epoch 1/1  step 3/3  rate .*  skipped 3", capsys.readouterr().err)
