"""Killed at random times and resumed, a run ends bit for bit as one that nothing happened to.

A few here; `make test-long` does a hundred, and so does `python tests/faults/test_kills.py 100 [SEED]`, which tells
what happens. Each is a process of its own, which takes seconds to begin.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

RUN = Path(__file__).parent / "short_run.py"
ROOT = RUN.parents[2]
LONGEST = 120.0
"""Seconds after which a process is taken for hung."""


@dataclass
class Tally:
    """What happened.

    Attributes:
        kills: processes that were killed.
        finished: runs that came to their end, after any number of kills.
        differ: of these, those whose last state or history is not the undisturbed run's.
        unreadable: resumptions that failed, or that found a damaged checkpoint.
        anew: resumptions that found no checkpoint yet.
    """

    kills: int = 0
    finished: int = 0
    differ: int = 0
    unreadable: list[str] = field(default_factory=list)
    anew: int = 0


def start(folder: Path, result: Path, said: Path, cache: Path) -> subprocess.Popen[bytes]:
    """The run in a process, once it trains, or has nothing left to do."""
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    with said.open("wb") as stderr:
        command = [sys.executable, str(RUN), str(folder), str(result)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment, cwd=folder.parent)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def ends(process: subprocess.Popen[bytes], seconds: float, number: signal.Signals) -> bool:
    """Does the process end by itself in this time? If not, it gets the signal."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        process.wait(LONGEST)
        return False
    finally:
        assert process.stdout is not None
        process.stdout.close()
    return True


def undisturbed(above: Path) -> tuple[dict[str, np.ndarray], float]:
    """What the run gives if nothing happens to it, and how long it trains with everything compiled."""
    for name in ("first", "second"):  # the first compiles
        (above / name).mkdir()
        process = start(above / name / "checkpoints", above / f"{name}.npz", above / "said", above / "cache")
        began = time.monotonic()
        assert ends(process, LONGEST, signal.SIGKILL)
        assert process.returncode == 0, (above / "said").read_text()
    return arrays(above / "second.npz"), time.monotonic() - began


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as found:
        return dict(found)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """The same names, dtypes, shapes and bits."""

    def bits(values: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
        return str(values.dtype), values.shape, values.tobytes()

    return {name: bits(values) for name, values in one.items()} == {name: bits(v) for name, v in other.items()}


def trials(
    kills: int, above: Path, expected: dict[str, np.ndarray], seconds: float, seed: int, number: signal.Signals
) -> Iterator[Tally]:
    """Ends runs by a signal at random times and resumes them until they end; gives the tally after each process."""
    rng, tally, last = np.random.default_rng(seed), Tally(), False
    while not last:
        last = tally.kills >= kills
        folder = above / f"seed {seed} run {tally.finished}"
        result, said = folder.with_suffix(".npz"), folder.with_suffix(".txt")
        folder.mkdir(exist_ok=True)
        process = start(folder / "checkpoints", result, said, above / "cache")
        ended = ends(process, LONGEST if last else rng.uniform(0, seconds), number)
        heard = said.read_text()
        if "Error" in heard or "damaged" in heard or (ended and process.returncode != 0):
            tally.unreadable.append(heard)
        tally.anew += "anew" in heard
        tally.kills += not ended
        tally.finished += ended
        tally.differ += ended and not (result.exists() and same(arrays(result), expected))
        yield tally


@pytest.fixture(scope="module")
def above(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def reference(above: Path) -> tuple[dict[str, np.ndarray], float]:
    return undisturbed(above)


@pytest.mark.parametrize(
    ("kills", "number"),
    [(2, signal.SIGKILL), (1, signal.SIGTERM), pytest.param(100, signal.SIGKILL, marks=pytest.mark.slow)],
    ids=["killed", "asked to stop", "killed a hundred times"],
)
def test_stopped_at_random_and_resumed_a_run_ends_the_same(
    kills: int, number: signal.Signals, above: Path, reference: tuple[dict[str, np.ndarray], float]
) -> None:
    *_, tally = trials(kills, above, *reference, seed=kills, number=number)
    assert tally.kills == kills
    assert tally.finished >= 1
    assert not tally.unreadable, tally
    assert tally.differ == 0, tally


def main() -> None:
    """As many kills as asked for, told as they happen."""
    kills, seed = (int(argument) for argument in [*sys.argv[1:], "0"][:2])
    with tempfile.TemporaryDirectory() as name:
        reference = undisturbed(Path(name))
        for tally in trials(kills, Path(name), *reference, seed=seed, number=signal.SIGKILL):
            print(
                f"{tally.kills} kills, {tally.finished} runs ended, {tally.differ} differ, "
                f"{len(tally.unreadable)} unreadable, {tally.anew} began anew", flush=True,
            )  # fmt: skip
    sys.exit(bool(tally.differ or tally.unreadable))


if __name__ == "__main__":
    main()
