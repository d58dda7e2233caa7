"""The recipe of docs/export.md: its artefact runs where nirjax is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import export

import nirjax

PAGE = Path(__file__).parents[1] / "docs" / "export.md"
DIGITS = Path(nirjax.__file__).parent / "assets" / "digits.nir"


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, blocks: list[str]) -> Path:
    """Where the recipe has left its artefacts."""
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(blocks[0], "export.md", "exec"), {})
    return folder


def test_the_artefact_runs_with_jax_alone(folder: Path, blocks: list[str]) -> None:
    code = "import sys\nfor name in ('nirjax', 'flax', 'optax', 'h5py'): sys.modules[name] = None\n" + blocks[1]
    code += "\nnp.savez('found.npz', x=x, spikes=spikes, more=more)\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = np.load(folder / "found.npz")
    model = nirjax.from_nir(DIGITS, dt=1e-4)
    spikes, state = model(found["x"])
    more, _ = model(found["x"][:7], state)
    assert np.asarray(spikes).any()
    np.testing.assert_array_equal(found["spikes"], spikes)
    np.testing.assert_array_equal(found["more"], more)


def test_the_artefact_holds_each_platform(folder: Path) -> None:
    forward = export.deserialize((folder / "forward.jax").read_bytes())
    assert forward.platforms == ("cpu", "cuda", "tpu")
    time, batch, size = forward.in_avals[0].shape
    assert [export.is_symbolic_dim(time), export.is_symbolic_dim(batch), size] == [True, True, 8]


@pytest.mark.parametrize(("schedule", "shape"), [(1, "time, batch, 8"), (8, "8*blocks, batch, 8")])
def test_schedules_of_an_open_time(schedule: int, shape: str) -> None:
    model = nirjax.from_nir(DIGITS, dt=1e-4, schedule=schedule)
    x = jax.ShapeDtypeStruct(export.symbolic_shape(shape), np.float32)
    forward = export.export(jax.jit(lambda x: model(x)[0]))(x)
    for steps, samples in ((16, 3), (8, 1)):
        x = (np.random.default_rng(steps).random((steps, samples, 8)) < 0.3).astype(np.float32)
        np.testing.assert_array_equal(forward.call(x), model(x)[0])


def test_the_derivative_can_go_along(tmp_path: Path) -> None:
    model = nirjax.from_nir(DIGITS, dt=1e-4)
    x = jax.ShapeDtypeStruct(export.symbolic_shape("time, batch, 8"), np.float32)
    forward = export.export(jax.jit(lambda x: model(x)[0]))(x)
    again = export.deserialize(forward.serialize(vjp_order=1))
    x = (np.random.default_rng(0).random((6, 2, 8)) < 0.3).astype(np.float32)
    expected = jax.grad(lambda x: model(x)[0].sum())(x)
    assert np.asarray(expected).any()
    np.testing.assert_allclose(jax.grad(lambda x: again.call(x).sum())(x), expected, rtol=1e-5, atol=1e-6)
