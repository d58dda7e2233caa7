"""The frame of the command line: help, exit codes, one line for a mistake, nothing imported that is not needed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nirjax
from nirjax.cli.main import COMMANDS, main, parser


def process(*line: str) -> subprocess.CompletedProcess[str]:
    """A program of its own that finds the nirjax that is tested here."""
    environment = {**os.environ, "PYTHONPATH": str(Path(nirjax.__file__).parents[1])}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


FINETUNE = "finetune nirjax-demo/digits.nir nirjax-demo/train.npz --dt 1e-4"

MISTAKES = {
    "no such command": "frobnicate",
    "a picture of no known kind": "inspect nirjax-demo/digits.nir --plot graph.nir",
    "no folder for the picture": f"{FINETUNE} --out t.nir --plot no/curves.png",
    "a folder where a graph is to go": f"{FINETUNE} --out nirjax-demo",
    "what is read as what is written": f"{FINETUNE} --out nirjax-demo/digits.nir",
    "data as what is written": "evaluate nirjax-demo/digits.nir wide.npz --dt 1e-4 --out wide.npz",
    "measures in a .npy": "evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --out each.npy",
    "data that is not finite": "run nirjax-demo/digits.nir nan.npy --dt 1e-4",
    "a word that a dialect lacks": "inspect nirjax-demo/digits.nir --dt 1e-4 --dialect nir(x=1)",
    "a missing argument": "run nirjax-demo/digits.nir",
    "an argument too many": "inspect nirjax-demo/digits.nir more",
    "no such option": "inspect nirjax-demo/digits.nir --frob",
    "an abbreviated option": "inspect nirjax-demo/digits.nir --rep",
    "no such file": "inspect nowhere.nir",
    "a folder": "inspect nirjax-demo",
    "a file that is no graph": "inspect nirjax-demo/test.npz",
    "no dt": "run nirjax-demo/digits.nir nirjax-demo/test.npz",
    "a negative dt": "run nirjax-demo/digits.nir nirjax-demo/test.npz --dt -1e-4",
    "a dt that is no number": "run nirjax-demo/digits.nir nirjax-demo/test.npz --dt soon",
    "an infinite dt": "run nirjax-demo/digits.nir nirjax-demo/test.npz --dt inf",
    "no such dialect": "evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --dialect frob",
    "code for a dialect": "evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --dialect nir(x=exit())",
    "no such data": "run nirjax-demo/digits.nir nowhere.npy --dt 1e-4",
    "data of another kind": "run nirjax-demo/digits.nir nirjax-demo/digits.nir --dt 1e-4",
    "data without x": "run nirjax-demo/digits.nir other.npz --dt 1e-4",
    "data of another shape": "run nirjax-demo/digits.nir wide.npy --dt 1e-4",
    "no such trace": "run nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --record frob",
    "an unknown ending": "run nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --out run.txt",
    "two arrays in a .npy": "run nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --record *.v --out run.npy",
    "no folder for the results": "run nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --out no/run.npz",
    "a batch of nothing": "run nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --batch-size 0",
    "labels that are not there": "evaluate nirjax-demo/digits.nir other.npz --dt 1e-4",
    "traces with nowhere to write": "evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --record *.v",
    "a folder that is a file": "evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --output wide.npy",
    "too many devices": "evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --devices 9999",
    "no place among processes": "evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --distributed here",
    "a place beyond the last": f"{FINETUNE} --out t.nir --distributed here:1,2,2",
    "nowhere to write": FINETUNE,
    "no folder for the graph": f"{FINETUNE} --out no/t.nir",
    "no such loss": f"{FINETUNE} --out t.nir --loss frob",
    "no such surrogate": f"{FINETUNE} --out t.nir --surrogate frob",
    "code for a surrogate": f"{FINETUNE} --out t.nir --surrogate 1+1",
    "words that a surrogate lacks": f"{FINETUNE} --out t.nir --surrogate atan(width=1)",
    "a share that is none": f"{FINETUNE} --out t.nir --valid-share 2",
    "a negative learning rate": f"{FINETUNE} --out t.nir --learning-rate -1",
    "nothing to train": f"{FINETUNE} --out t.nir --trainable frob",
    "nothing to resume": f"{FINETUNE} --out t.nir --resume",
    "one file to compare": "diff nirjax-demo/digits.nir",
    "no file to check": "validate",
    "no such file to check": "validate nirjax-demo/digits.nir nowhere.nir",
    "nothing to convert": "convert nowhere.nir out.nir",
    "no folder to convert into": "convert nirjax-demo/digits.nir no/out.nir",
    "a negative seed": "demo --seed -1",
    "a file where the demo wants a folder": "demo --out wide.npy/demo",
}


@pytest.mark.parametrize("line", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_exit_code_two(line, here, nirjax_command):
    np.savez(here / "other.npz", z=np.zeros((3, 40, 8)))
    np.save(here / "wide.npy", np.zeros((40, 9)))
    np.savez(here / "wide.npz", x=np.zeros((1, 40, 9)))
    np.save(here / "nan.npy", np.full((40, 8), np.nan))
    code, out, err = nirjax_command(
        *shlex.split(line.replace("(x=exit())", "'(x=exit())'").replace("(x=1)", "'(x=1)'").replace("*.v", "'*.v'"))
    )
    assert code == 2
    assert out == ""
    assert err.startswith("nirjax: error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not (here / "t.nir").exists()


def test_a_missing_dt_quotes_what_the_file_hints_at(here, nirjax_command):
    _, _, err = nirjax_command("run", "nirjax-demo/digits.nir", "nirjax-demo/test.npz")
    assert "dt = 0.0001" in err


def test_without_a_command_the_help_is_shown(nirjax_command):
    code, out, _ = nirjax_command()
    assert code == 2
    assert all(name in out for name in COMMANDS)


def test_version(nirjax_command):
    assert nirjax_command("--version") == (0, f"nirjax {nirjax.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_exit_codes(name, nirjax_command):
    code, out, _ = nirjax_command(name, "--help")
    assert code == 0
    assert f"example: nirjax {name}" in out
    assert "exit codes: 0" in out


def examples() -> dict[str, str]:
    subparsers = next(action for action in parser()._actions if action.dest == "command")
    found = {}
    for name, command in subparsers.choices.items():
        text = command.epilog.replace("\\\n", " ")
        found[name] = re.search(r"^example: nirjax (.*)$", text, re.MULTILINE).group(1)
    return found


@pytest.mark.parametrize(("name", "line"), [item for item in examples().items() if item[0] != "demo"])
def test_every_example_works(name, line, here, nirjax_command):
    code, _, err = nirjax_command(*shlex.split(line))
    assert code == (1 if name == "diff" else 0), err


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from nirjax.cli.main import main; main(['--help']); "
        "print([name for name in ('jax', 'flax', 'optax', 'matplotlib', 'rich') if name in sys.modules])"
    )
    done = process(sys.executable, "-c", program)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["inspect", "validate"])
def test_looking_at_a_file_imports_no_jax(command, here):
    program = (
        f"import sys; from nirjax.cli.main import main; main(['{command}', 'nirjax-demo/digits.nir']); "
        "print('jax' in sys.modules)"
    )
    done = process(sys.executable, "-c", program)
    assert done.stdout.splitlines()[-1] == "False"


def test_as_a_module(here):
    done = process(sys.executable, "-m", "nirjax", "diff", "nirjax-demo/digits.nir", "nirjax-demo/tuned.nir")
    assert done.returncode == 1
    assert "1 difference" in done.stdout


def test_a_reader_that_goes_away_is_no_error(here):
    line = f"{shlex.quote(sys.executable)} -m nirjax inspect nirjax-demo/digits.nir | head -1; exit ${{PIPESTATUS[0]}}"
    done = process("bash", "-c", line)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_ctrl_c(monkeypatch, here, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nirjax.ir.hdf5.read", interrupted)
    assert main(["inspect", "nirjax-demo/digits.nir"]) == 130
    assert capsys.readouterr().err == "nirjax: interrupted\n"


def test_ctrl_c_while_python_still_imports(here):
    """The shell's entry is at home before the commands are."""
    program = (
        "import sys, types; late = types.ModuleType('nirjax.cli.main'); sys.modules['nirjax.cli.main'] = late\n"
        "def gone(name): raise KeyboardInterrupt\n"
        "late.__getattr__ = gone\n"
        "from nirjax.cli.entry import run; run()"
    )
    done = process(sys.executable, "-c", program)
    assert (done.returncode, done.stderr) == (130, "nirjax: interrupted\n")


@pytest.mark.parametrize(("line", "code"), [("inspect nirjax-demo/digits.nir >&-", 0), ("inspect no.nir 2>&-", 2)])
def test_a_closed_stream_is_no_error(line, code, here):
    done = process("bash", "-c", f"{shlex.quote(sys.executable)} -m nirjax {line}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_the_terminal(name, nirjax_command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = nirjax_command(name, "--help")
    assert max(len(line) for line in out.splitlines() if not line.startswith("example: ")) <= 60


def test_a_mistake_names_the_option_and_not_the_argument_behind_it(here, nirjax_command):
    line = ("evaluate", "nirjax-demo/digits.nir", "nirjax-demo/test.npz", "--dt", "1e-4")
    assert nirjax_command(*line, "--devices", "9999")[2].startswith("nirjax: error: --devices: ")
    assert nirjax_command(*line, "--dialect", "frob")[2].startswith("nirjax: error: --dialect: ")
    assert nirjax_command(*line, "--output", "r", "--record", "frob")[2].startswith("nirjax: error: --record: ")


def test_a_fault_of_nirjax_keeps_its_traceback(monkeypatch, here):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("nirjax.ir.hdf5.read", broken)
    with pytest.raises(ZeroDivisionError):
        main(["inspect", "nirjax-demo/digits.nir"])
