"""The launchers in examples/ start two processes that give what one gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation.launching import LIMIT, environment, free_port
from finetuning.tasks import data, model

import nirjax

SCALE = Path(__file__).parents[1] / "examples" / "scale"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A graph and data."""
    nirjax.write(tmp_path / "model.nir", nirjax.to_nir(model()))
    x, y = data(11)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return tmp_path


def run(commands: list[list[str]], folder: Path, more: list[dict[str, str]]) -> None:
    started = [
        subprocess.Popen(command, cwd=folder, env=environment() | own, stderr=subprocess.PIPE, text=True)
        for command, own in zip(commands, more, strict=True)
    ]
    try:
        for process in started:
            errors = process.communicate(timeout=LIMIT)[1]
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()


def evaluated_once(folder: Path) -> None:
    """Is every sample in one shard, and is each that of the library?"""
    shards = [np.load(path) for path in sorted((folder / "results").glob("samples_*.npz"))]
    numbers = np.concatenate([shard["number"] for shard in shards])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(11))
    found = np.concatenate([shard["metrics/prediction"] for shard in shards])[np.argsort(numbers)]
    np.testing.assert_array_equal(found, nirjax.evaluate(model(), data(11)).per_sample["prediction"])
    assert len(shards) == 2


def nirjax_here(folder: Path) -> dict[str, str]:
    """A `nirjax` on the path that is this one."""
    command = folder / "bin" / "nirjax"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m nirjax "$@"\n')
    command.chmod(0o755)
    return {"PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}


def test_plain_shells(files: Path) -> None:
    words = "nirjax evaluate model.nir data.npz --dt 1 --output results --json"
    own = nirjax_here(files) | {"HOSTS": "localhost localhost", "PORT": str(free_port())}
    run([["bash", str(SCALE / "shells.sh"), *words.split()]], files, [own])
    evaluated_once(files)


def test_slurm(files: Path) -> None:
    """`srun` is one that starts both tasks here, and tells them what SLURM would."""
    path = nirjax_here(files)
    srun = files / "bin" / "srun"
    srun.write_text(
        '#!/bin/bash\nshift\nfor id in 0 1; do SLURM_PROCID=$id SLURM_LOCALID=0 "$@" & done\nwait -n && wait -n\n'
    )
    srun.chmod(0o755)
    told = {"SLURM_JOB_ID": str(free_port()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    words = ["model.nir", "data.npz", "1", "results"]
    run([["bash", str(SCALE / "slurm.sh"), *words]], files, [path | told | {"JAX_COORDINATOR_PORT": str(free_port())}])
    evaluated_once(files)


@pytest.mark.slow
def test_training(files: Path) -> None:
    line = [sys.executable, str(SCALE / "train.py"), "model.nir", "data.npz", "tuned.nir", "--dt", "1", "--epochs", "1"]
    place = ["--place", f"127.0.0.1:{free_port()}"]
    run([[*line, *place, str(index), "2"] for index in range(2)], files, [{}, {}])
    assert nirjax.diff(files / "model.nir", files / "tuned.nir")
