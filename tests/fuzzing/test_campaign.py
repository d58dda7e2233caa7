"""A campaign sees what it is to see, goes on where it was, and a short one finds nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzzing import watching
from fuzzing.__main__ import REGRESSIONS, confirmed, main
from fuzzing.campaign import State, contained, offence, run
from fuzzing.mutants import mutant
from fuzzing.seeds import seeds

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the watching is that of Linux")

SOUND = {
    "kind": "refused",
    "error": "FileError",
    "message": "no",
    "text": "no",
    "odd warnings": [],
    "seconds": 0.1,
    "computed": 0.1,
    "memory": 0,
    "worker memory": 0,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"kind": "read", "memory": 2**28}, None),
        ({"kind": "crash", "text": "exit code -11"}, "crash"),
        ({"kind": "hang", "text": "no answer"}, "hang"),
        ({"kind": "wrong error", "text": "KeyError('a')"}, "wrong error"),
        ({"odd warnings": ["overflow"]}, "wrong warning"),
        ({"outside": True}, "outside"),
        ({"computed": 5.1}, "hang"),
        ({"memory": 2**30}, "memory"),
        ({"worker memory": 2**30}, "memory"),
        ({"text": "a\x1b[31mb"}, "unreadable"),
        ({"text": "a" * 3000}, "unreadable"),
        ({"message": "its reading gave no sense"}, "unexplained"),
    ],
)
def test_offences(changes: dict[str, Any], words: str | None) -> None:
    found = offence({**SOUND, **changes}, 20_000)
    assert found is None if words is None else found is not None and found.startswith(words)


def test_a_worker_that_died_is_noted() -> None:
    assert contained(SOUND) is None
    assert contained({**SOUND, "message": "reading it crashes HDF5"}) == "reading it crashes HDF5"


ANSWER = f"print(json.dumps({SOUND!r}), flush=True)"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os.abort()", "crash: exit code -6"),
        ("time.sleep(60)", "hang: no answer"),
        (f"open('victims/secret.h5').close(); {ANSWER}", "outside: another file was opened"),
        (f"open('/etc/hostname').close(); {ANSWER}", "outside: another file was opened"),
        (ANSWER, None),
    ],
)
def test_what_a_reader_does_is_seen(
    code: str, words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 1.0)
    start = f"import json, os, sys, time\nfor line in sys.stdin:\n    {code}"
    monkeypatch.setattr(watching, "READER", ("-c", start))
    state = run(State(0), tmp_path, count=2)
    found = {key.split(": ", 1)[1] for key in state.offenders}
    assert found == (set() if words is None else {words})
    assert state.done == 2


def test_a_campaign_goes_on_where_it_was(tmp_path: Path) -> None:
    kept, work = tmp_path / "state.json", tmp_path / "work"
    work.mkdir()
    whole = run(State(5), work, count=24)
    for count in (10, 24):
        run(State.of(kept, 5), work, count=count, on_progress=lambda state: state.save(kept))
    again = State.of(kept, 5)
    assert (again.done, again.outcomes) == (24, whole.outcomes)
    assert State.of(kept, 6).done == 0
    assert json.loads(kept.read_text())["seconds"] > 0


def test_a_short_campaign(tmp_path: Path) -> None:
    """No crash, no hang, no other file opened, no error that is not nirjax's, no memory beyond the limit."""
    state = run(State(0), tmp_path, count=250)
    assert state.offenders == {}
    assert sum(n for words, n in state.outcomes.items() if "refused" in words) > 150
    assert sum(n for words, n in state.outcomes.items() if ": read" in words) > 5


def test_offenders_are_tried_by_themselves(tmp_path: Path) -> None:
    assert confirmed(sorted(REGRESSIONS.glob("*.nir"))[0]) is None
    assert confirmed(tmp_path) is None  # a folder: a FileError


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def fuzz(*words: str) -> bytes:
        command = [sys.executable, "-m", "fuzzing", *words]
        return subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True).stdout

    root = str(Path(__file__).parents[2])
    state = str(tmp_path / "state.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", root)
        assert b"4 mutants of seed 7" in fuzz("--seed", "7", "--count", "4", "--state", state)
        assert b"6 mutants of seed 7" in fuzz("--seed", "7", "--count", "6", "--state", state)
    monkeypatch.setattr(sys, "argv", ["fuzzing", "--seed", "7", "--show", "3"])
    assert main() == 0
    assert capfdbinary.readouterr().out == mutant(seeds(), 7, 3).data
