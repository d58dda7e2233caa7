"""What `nirjax.ir` offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nirjax.ir
from nirjax.ir.graph import NIRGraph
from nirjax.ir.nodes import NODE_TYPES, NIRNode

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [*NODE_TYPES, "NIRNode", "NIRGraph"])
def test_every_class_is_there_by_name(name: str) -> None:
    expected = {**NODE_TYPES, "NIRNode": NIRNode, "NIRGraph": NIRGraph}[name]
    assert getattr(nirjax.ir, name) is expected
    assert name in dir(nirjax.ir)
    assert name in nirjax.ir.__all__


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="Izhikevich"):
        nirjax.ir.Izhikevich  # noqa: B018


def imported(module: str) -> set[str]:
    """Modules that are loaded after importing one, by a fresh interpreter."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_the_room_loads_nothing() -> None:
    assert not imported("nirjax.ir") & {"numpy", "h5py", "jax", "nir"}


def test_the_worker_loads_numpy_and_h5py_only() -> None:
    """No node classes, no JAX: of nirjax what reads, and nothing that runs."""
    loaded = imported("nirjax.ir.worker")
    assert not loaded & {"jax", "flax", "nir", "optax", "nirjax.ir.nodes", "nirjax.ir.graph"}


@pytest.mark.parametrize("module", ["hdf5", "writing", "diff", "flatten", "reference", "repairing", "checking"])
def test_no_module_loads_jax(module: str) -> None:
    assert not imported(f"nirjax.ir.{module}") & {"jax", "flax", "optax", "nir"}
