"""What a tuned file says of itself survives the file, and is held against the way that it is run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from engine.graphs import affine, graph, lif, ports

import nirjax
from nirjax.errors import NIRWarning

DIALECT = "snntorch(reset_mechanism='zero', reset_delay=False)"


def source() -> nirjax.NIRGraph:
    return graph({**ports(), "fc": affine(), "lif": lif()}, "in fc lif out")


def tuned(**choices: Any) -> nirjax.NIRGraph:
    model = nirjax.from_nir(source(), **{"dt": 0.1, "dialect": DIALECT, **choices})
    fc = {**model.params["fc"], "weight": model.params["fc"]["weight"] + 1}
    return nirjax.to_nir(model.replace(params={**model.params, "fc": fc}), provenance=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    nirjax.write(tmp_path / "tuned.nir", tuned())
    return tmp_path / "tuned.nir"


def test_a_tuned_file_names_its_parent_by_the_digest_in_the_parent_s_own_file(tmp_path: Path, file: Path) -> None:
    nirjax.write(tmp_path / "parent.nir", source())
    with h5py.File(tmp_path / "parent.nir") as parent:
        digest = parent.attrs["nirjax.digest"]
    entry = nirjax.read(file).metadata["nirjax"]
    assert entry["parent"] == (digest.decode() if isinstance(digest, bytes) else digest)
    assert (entry["trained"], entry["version"], float(entry["dt"])) == ("fc.weight", nirjax.__version__, 0.1)
    assert entry["dialect"] == nirjax.dialects.snntorch("zero", reset_delay=False).name


def test_running_it_as_it_was_tuned_warns_of_nothing(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nirjax.from_nir(file, dt=0.1, dialect=DIALECT)
        nirjax.from_nir(file, dt=np.float32(0.1), dialect=nirjax.dialects.snntorch("zero", reset_delay=False))


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"dt": 0.2}, r"tuned under dt = 0\.1, not 0\.2:"),
        ({"dialect": "nir"}, r"dialect \"snntorch.*, not 'nir\(\)'"),
        ({"dt": 0.2, "dialect": "nir"}, r"dt = .*; dialect"),
        ({"overrides": {"lif": {"comparison": ">="}}}, "other overrides"),
    ],
)
def test_running_it_otherwise_is_warned_of(choices: dict[str, Any], reason: str, file: Path) -> None:
    with pytest.warns(NIRWarning, match=reason):
        nirjax.from_nir(file, **{"dt": 0.1, "dialect": DIALECT, **choices})
    model = nirjax.from_nir(file, dt=0.1, dialect=DIALECT)
    with pytest.warns(NIRWarning, match=reason):
        model.replace(**choices)


def test_overrides_are_remembered() -> None:
    choices: dict[str, Any] = {"overrides": {"lif": {"comparison": ">="}}}
    made = tuned(**choices)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nirjax.from_nir(made, dt=0.1, dialect=DIALECT, **choices)
    with pytest.warns(NIRWarning, match="other overrides"):
        nirjax.from_nir(made, dt=0.1, dialect=DIALECT)


@pytest.mark.parametrize("entry", ["text", {}, {"dt": "fast", "dialect": 3}, {"dt": np.nan}, {"dt": np.ones(3)}])
def test_an_entry_of_somebody_else_s_is_left_alone(entry: Any) -> None:
    made = nirjax.NIRGraph(source().nodes, source().edges, metadata={"nirjax": entry})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nirjax.from_nir(made, dt=1)
