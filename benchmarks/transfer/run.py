"""Carries networks from snnTorch to other frameworks, with and without fine-tuning, and writes the table.

    python -m benchmarks.transfer.run                              everything; makes the frameworks' environments
    python -m benchmarks.transfer.run --envs FOLDER                uses environments that are there already
    python -m benchmarks.transfer.run --part valid --seeds 100     for choices: never touches the test split
    python -m benchmarks.transfer.run --report                     RESULTS.md from results.json

All files are kept under benchmarks/transfer/.work, and what lies there is not made again: a run that was stopped goes
on. `--fresh` starts anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

import nirjax
from benchmarks.environments import AEON, PEERS, Environment
from benchmarks.transfer import membranes, parting, recipe, recordings, report, tuning
from benchmarks.transfer.destinations import HOME, TASKS, Destination, Task

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = HERE / ".work"


@dataclass
class Row:
    """One file, run by nirjax and by the framework that it is for, on every sample.

    Attributes:
        stage: what has been done: see `tuning.stages`.
        accuracy: nirjax's.
        framework_accuracy: the framework's; None where there is none.
        decisions_differ: samples of which nirjax and the framework decide differently.
        counts_differ: output neurons, over all samples, that do not spike equally often.
        partings: of each sample with such neurons, where the two part; see `parting.Parting`.
    """

    task: str
    seed: int
    destination: str
    dialect: str
    stage: str
    samples: int
    accuracy: float
    framework_accuracy: float | None = None
    decisions_differ: int | None = None
    counts_differ: int | None = None
    partings: list[parting.Parting] = field(default_factory=list)


def main(words: list[str] | None = None) -> None:
    arguments = parsed(words)
    if not arguments.report:
        chosen = [task for task in TASKS if task.name in arguments.tasks.split(",")]
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
        bits = [int(width) for width in arguments.bits.split(",") if width]
        rows = [row for task in chosen for seed in seeds for row in measured(task, seed, arguments, bits)]
        results = {
            "part": arguments.part,
            "versions": versions(arguments.envs),
            "recipe": {name: value for name, value in vars(recipe).items() if name.isupper()},
            "rows": [asdict(row) for row in rows],
        }
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = report.as_markdown(json.loads((arguments.out / "results.json").read_text()))
    (arguments.out / "RESULTS.md").write_text(text)
    print(text)


def parsed(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(task.name for task in TASKS), help="by comma")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="by comma (0,1,2,3,4)")
    parser.add_argument("--bits", default="8,4", help="of the rounded weights, by comma (8,4)")
    parser.add_argument("--part", choices=("valid", "test"), default="test", help="what accuracy is measured on (test)")
    parser.add_argument("--envs", type=Path, action="append", default=[], help="a folder of environments to use")
    parser.add_argument("--out", type=Path, default=HERE, help="where results.json and RESULTS.md go")
    parser.add_argument("--fresh", action="store_true", help="forget what was made already")
    parser.add_argument("--report", action="store_true", help="only write RESULTS.md")
    return parser.parse_args(words)


def measured(task: Task, seed: int, arguments: argparse.Namespace, bits: list[int]) -> list[Row]:
    """Trains at home, makes every destination's files, and has each run by nirjax and by its framework."""
    began = time.monotonic()
    folder = WORK / arguments.part / f"{task.name}-{seed}"
    if arguments.fresh and folder.exists():
        shutil.rmtree(folder)
    data_file = trained_at_home(task, seed, folder, arguments)
    data = recordings.load(data_file)
    part = getattr(data, arguments.part)
    say(task, seed, began, "trained at home")
    rows = []
    for destination in task.destinations:
        with warnings.catch_warnings():
            # Of a network that is silent at first, and of a dialect with a derivative of spikes of its own.
            warnings.simplefilter("ignore", nirjax.NIRWarning)
            files = tuning.files(destination, folder, data, bits, seed)
            counts = tuning.counts(files.values(), destination, part)
        run_by_framework(files, destination, data_file, arguments)
        for stage, ours in zip(files, counts, strict=True):
            row = Row(task.name, seed, destination.name, destination.dialect, stage, len(part.y), right(ours, part))
            if destination.importer:
                compare(row, ours, answer(files[stage]), part)
            if row.counts_differ and destination.importer in membranes.RUN:
                theirs = membranes_of(files[stage], destination, data_file, arguments)
                row.partings = parting.partings(files[stage], destination, part, theirs)
            rows.append(row)
        say(task, seed, began, destination.name)
    return rows


def trained_at_home(task: Task, seed: int, folder: Path, arguments: argparse.Namespace) -> Path:
    """The file of data; home.nir, start.nir and home.npz lie beside it then."""
    data_file = folder / "data.npz"
    if not (folder / "home.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        data_of(task, arguments.envs).save(data_file)
        in_environment(
            *(PEERS, arguments.envs, "benchmarks.transfer.home"),
            *(task.network, str(data_file), str(folder), str(seed), arguments.part),
        )
    return data_file


def run_by_framework(
    files: dict[str, Path], destination: Destination, data_file: Path, arguments: argparse.Namespace
) -> None:
    """The framework, in a process of its own, imports and runs what it has not answered yet."""
    asked = [path for path in files.values() if not answer_file(path).exists()]
    if destination is HOME and not answer_file(files["before"]).exists():
        shutil.copy(data_file.with_name("home.npz"), answer_file(files["before"]))  # what it answered before exporting
        asked.remove(files["before"])
    if destination.importer and asked:
        in_environment(
            *(destination.environment, arguments.envs, "benchmarks.transfer.importers"),
            *(destination.importer, str(recipe.DT), str(data_file), arguments.part),
            *(str(name) for path in asked for name in (path, answer_file(path))),
        )


def membranes_of(
    path: Path, destination: Destination, data_file: Path, arguments: argparse.Namespace
) -> dict[str, np.ndarray]:
    """What `membranes` writes of one file, in the framework's environment."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "membranes.npz"
        in_environment(
            *(destination.environment, arguments.envs, "benchmarks.transfer.membranes"),
            *(str(destination.importer), str(recipe.DT), str(data_file), arguments.part, str(path), str(target)),
        )
        with np.load(target) as file:
            return dict(file)


def answer_file(path: Path) -> Path:
    return path.with_suffix(".npz")


def answer(path: Path) -> np.ndarray:
    with np.load(answer_file(path)) as file:
        return np.asarray(file["counts"])


def compare(row: Row, ours: np.ndarray, theirs: np.ndarray, part: recordings.Part) -> None:
    row.framework_accuracy = right(theirs, part)
    row.decisions_differ = int(np.sum(ours.argmax(1) != theirs.argmax(1)))
    row.counts_differ = int(np.sum(ours != theirs))


def right(counts: np.ndarray, part: recordings.Part) -> float:
    """The share of samples whose class spikes most; of equal counts the lowest class decides."""
    return float(np.mean(counts.argmax(1) == part.y))


def data_of(task: Task, envs: list[Path]) -> recordings.Data:
    if task.name == "digits":
        return recordings.digits(ROOT / "nirjax" / "assets" / "digits.npz")
    installed = Path(AEON.found_or_made(envs)).parents[1]
    (folder,) = installed.glob("lib/python*/site-packages/aeon/datasets/data/JapaneseVowels")
    return recordings.vowels(folder)


def in_environment(environment: Environment, envs: list[Path], module: str, *words: str) -> str:
    """Runs a module of the benchmarks in another environment, on one thread; its output."""
    python = environment.found_or_made(envs)
    done = subprocess.run(
        [python, "-W", "ignore", "-m", module, *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{module} {words[0]} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def versions(envs: list[Path]) -> dict[str, str]:
    """Of everything that took part."""
    asked = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    found: dict[str, str] = {"nirjax": nirjax.__version__}
    for environment, names in (
        (None, ("jax", "optax", "numpy")),
        (PEERS, ("snntorch", "norse", "sinabs", "spikingjelly", "nirtorch", "nir", "torch")),
        *((d.environment, (d.importer,)) for task in TASKS for d in task.destinations if d.environment is not PEERS),
        (AEON, ("aeon",)),
    ):
        python = sys.executable if environment is None else environment.found_or_made(envs)
        out = subprocess.run([python, "-c", asked, *map(str, names)], capture_output=True, text=True, check=True)
        found |= json.loads(out.stdout)
    return found


def say(task: Task, seed: int, began: float, what: str) -> None:
    print(f"{task.name} {seed}: {time.monotonic() - began:5.0f} s: {what}", flush=True)


if __name__ == "__main__":
    main()
