"""A folder as `nirjax demo` leaves one behind, made small and without training."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from nirjax.assets import DIGITS_GRAPH
from nirjax.cli.demo import write_recordings
from nirjax.cli.demo_task import Home, Recordings, Split, Task, task
from nirjax.cli.main import main


def smaller(split: Split, train: int, test: int) -> Split:
    def first(recordings: Recordings, samples: int) -> Recordings:
        return Recordings(recordings.x[:samples], recordings.y[:samples])

    return Split(first(split.train, train), first(split.valid, train // 4), first(split.test, test))


@pytest.fixture(scope="session")
def small_task() -> Task:
    whole = task(0)
    home = Home(whole.home.counts[:40], whole.home.prediction[:40], whole.home.accuracy)
    return Task(smaller(whole.known, 64, 40), smaller(whole.turned, 64, 40), home)


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory, small_task) -> Path:
    """Holds nirjax-demo/."""
    import nirjax

    above = tmp_path_factory.mktemp("demo")
    folder = above / "nirjax-demo"
    folder.mkdir()
    shutil.copyfile(DIGITS_GRAPH, folder / "digits.nir")
    write_recordings(folder, small_task)
    graph = nirjax.read(folder / "digits.nir")
    layer = graph.nodes["2"]
    nodes = {**graph.nodes, "2": dataclasses.replace(layer, bias=layer.bias + np.float32(0.25))}
    nirjax.write(folder / "tuned.nir", dataclasses.replace(graph, nodes=nodes))
    return above


@pytest.fixture
def here(demo_folder, tmp_path, monkeypatch) -> Path:
    """A fresh current folder with nirjax-demo/ in it."""
    (tmp_path / "nirjax-demo").symlink_to(demo_folder / "nirjax-demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def nirjax_command(capsys):
    """Runs a command line: (exit code, stdout, stderr)."""

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
