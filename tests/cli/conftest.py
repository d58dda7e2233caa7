"""A folder as `nirjax demo` leaves one behind, made small and without training."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

import nirjax
from cli.graphs import GRAPH, TEST, lif
from nirjax.assets import DIGITS_GRAPH
from nirjax.cli.demo import write_recordings
from nirjax.cli.demo_task import Home, Recordings, Split, Task, task
from nirjax.cli.main import main
from nirjax.ir import nodes


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


@pytest.fixture
def odd_files(here):
    """A graph with an Output of another shape than its source, written around nirjax's own checks."""
    import h5py

    nirjax.write(here / "good.nir", nirjax.NIRGraph.from_list(nodes.Input((2,)), lif(2)))
    nirjax.write(here / "mendable.nir", nirjax.NIRGraph.from_list(nodes.Input((2,)), lif(2)))
    with h5py.File(here / "mendable.nir", "r+") as file:
        file.attrs.clear()
        del file["node/nodes/output/shape"]
        file["node/nodes/output/shape"] = np.array([1, 2])
    loop = nirjax.NIRGraph(
        {"in": nodes.Input((2,)), "w": nodes.Linear(np.eye(2, dtype=np.float32)), "out": nodes.Output((2,))},
        (("in", "w"), ("w", "w"), ("w", "out")),
    )
    nirjax.write(here / "loop.nir", loop)
    for name, seconds in {"prompt": 0.0, "late": 1.0}.items():
        delay = nodes.Delay(np.array([1, seconds], np.float32))
        nirjax.write(here / f"{name}.nir", nirjax.NIRGraph({**loop.nodes, "w": delay}, loop.edges))
    (here / "text.nir").write_text("not a graph")
    return here


@pytest.fixture
def expected(here) -> np.ndarray:
    """What the library itself gives on the test recordings, (sample, time, class)."""
    x = np.load(TEST)["x"]
    output, _ = nirjax.from_nir(GRAPH, dt=1e-4)(x.swapaxes(0, 1))
    return np.asarray(output).swapaxes(0, 1)
