"""Which devices a mesh means where several processes have some; these are stand-ins, as there is one machine here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from nirjax.data import processes
from nirjax.data.devices import devices_of
from nirjax.errors import ArgumentError


@dataclass(frozen=True)
class Device:
    id: int
    process_index: int


def pretend(monkeypatch: pytest.MonkeyPatch, *counts: int) -> list[Device]:
    """Processes with so many devices each."""
    devices = [Device(10 * process + k, process) for process, count in enumerate(counts) for k in range(count)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(processes, "count", lambda: len(counts))
    return devices


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (None, [0, 1, 2, 3, 10, 11, 12, 13]),
        (4, [0, 1, 10, 11]),
        (np.int64(2), [0, 10]),
        ({"data": 2, "model": 3}, [0, 1, 2, 10, 11, 12]),
    ],
)
def test_every_process_gives_its_share(monkeypatch: pytest.MonkeyPatch, mesh: Any, expected: list[int]) -> None:
    pretend(monkeypatch, 4, 4)
    assert [device.id for device in devices_of(mesh)] == expected


def test_a_mesh_of_ones_own_is_taken_as_it_is() -> None:
    (device,) = jax.devices()[:1]
    assert devices_of(Mesh(np.array([[device]]), ("a", "b"))) == [device]
    assert devices_of(Mesh(np.array(device), ())) == [device]


@pytest.mark.parametrize(
    ("counts", "mesh", "reason"),
    [
        ((1, 2), None, r"not have equally many devices; found devices by process: \{0: 1, 1: 2\}; expected 1 in each"),
        ((1, 2), 2, "not have equally many devices"),
        ((2, 2), 3, r"found devices by process: \{0: 2, 1: 1\}; expected mesh=2, 1 of each or mesh=4, 2 of each"),
        ((4, 4), 1, r"devices by process: \{0: 1, 1: 0\}; expected mesh=2, 1 of each or mesh=8, 4 of each"),
        ((4, 4), 9, r"not that many devices; found 9 = 9 \(batch\); expected 1 to 8: \{'batch': 8\} would fit"),
        ((4,), {"a": -2, "b": -2}, "at least one device along each axis"),
        ((4,), 0, "at least one device along each axis"),
        ((4,), {"a": 2, "b": 2, "c": 2}, r"found 8 = 2 \(a\) x 2 \(b\) x 2 \(c\); expected 1 to 4"),
        ((4,), Mesh(np.empty((0, 2), object), ("a", "b")), "the mesh has no devices; found 0 devices; expected 1 to 4"),
        ((4,), True, "this is no mesh"),
        ((4,), 2.0, "this is no mesh"),
        ((4,), "2", "this is no mesh"),
        ((4,), {}, "this is no mesh"),
        ((4,), [Device(0, 0)], "this is no mesh"),
    ],
)
def test_what_cannot_share_a_batch_is_told_what_would(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...], mesh: Any, reason: str
) -> None:
    pretend(monkeypatch, *counts)
    with pytest.raises(ArgumentError, match=reason):
        devices_of(mesh)
