"""Mutants: the same again for the same number, and of all the kinds that they are meant to be."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fuzzing import content, damage
from fuzzing.mutants import mutant
from fuzzing.seeds import LARGEST, Seed, seeds
from nirjax.errors import NIRError
from nirjax.ir.hdf5 import read


@pytest.fixture(scope="module")
def found() -> Sequence[Seed]:
    return seeds()


def test_seeds_are_many_small_and_nearly_all_sound(found: Sequence[Seed], tmp_path: Path) -> None:
    assert len({seed.name.split(",")[0] for seed in found}) > 80
    assert max(len(seed.data) for seed in found) <= LARGEST
    unsound = []
    for seed in found:
        (tmp_path / "a.nir").write_bytes(seed.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read(tmp_path / "a.nir", trusted=True)
            except NIRError:
                unsound.append(seed.name)
    # frameworks' recordings that only repair=True can read
    assert len(unsound) < 8


def test_a_mutant_is_a_function_of_its_number(found: Sequence[Seed]) -> None:
    first = [mutant(found, 3, number) for number in range(40)]
    assert first == [mutant(found, 3, number) for number in range(40)]
    assert len({one.data for one in first}) > 36
    assert first != [mutant(found, 4, number) for number in range(40)]
    assert {one.how for one in first} == {"bytes", "content", "content, bytes"}
    assert {one.in_process for one in first} == {True, False}


def test_nearly_all_damage_to_bytes_changes_them(found: Sequence[Seed]) -> None:
    rng = np.random.default_rng(0)
    data, other = found[0].data, found[50].data
    for kind in dict.fromkeys(damage.DAMAGE):
        changed = [kind(data, other, rng) for _ in range(60)]
        assert sum(one != data for one in changed) > 5, kind.__name__


def test_changed_content_is_still_hdf5(found: Sequence[Seed]) -> None:
    """What is built here are files that HDF5 opens: otherwise nothing behind the first check would be tried."""
    seen: Counter[str] = Counter()
    for number in range(150):
        rng = np.random.default_rng(number)
        seed = found[rng.integers(len(found))]
        image = content.mutated(seed.data, rng)
        seen["changed"] += image != seed.data
        with h5py.File(io.BytesIO(image)) as file:
            _look(file["/"], seen, set())
    assert seen["changed"] > 140
    assert min(seen[kind] for kind in ("soft", "external link", "external data", "virtual", "filtered")) > 0


def _look(group: Any, seen: Counter[str], above: set[int]) -> None:
    address = h5py.h5o.get_info(group.id).addr
    if address in above:
        return
    for name in list(group):
        link = group.get(name, getlink=True)
        seen["soft"] += isinstance(link, h5py.SoftLink)
        seen["external link"] += isinstance(link, h5py.ExternalLink)
        if not isinstance(link, h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            _look(item, seen, above | {address})
        elif isinstance(item, h5py.Dataset):
            seen["external data"] += item.external is not None
            seen["virtual"] += item.is_virtual
            seen["filtered"] += item.id.get_create_plist().get_nfilters() > 0
