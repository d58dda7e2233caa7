"""Which devices a user means, and whether they can share a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from nirjax.data import processes
from nirjax.errors import ArgumentError

AXIS = "batch"
"""The one axis over which anything is divided."""


def devices_of(mesh: Any) -> Sequence[Any]:
    """The devices that are meant, equally many of each process.

    Args:
        mesh: a `jax.sharding.Mesh`, whatever its axes are called (the batch goes over all of them); the sizes of such
            axes by name, or how many devices, of which each process gives its share; None for all there are.

    Raises:
        ArgumentError: no mesh; more devices than there are, none, or one of them twice; more of one process than of
            another, or processes of which one has more than another.
    """
    _check_processes()
    devices = _named_by(mesh)
    _check_chosen(devices)
    return devices


def _by_process(devices: Sequence[Any]) -> list[list[Any]]:
    """The devices of each process, in their order."""
    return [[d for d in devices if d.process_index == process] for process in range(processes.count())]


def _counts(devices: Sequence[Any]) -> dict[int, int]:
    return {process: len(own) for process, own in enumerate(_by_process(devices))}


def _check_processes() -> None:
    """JAX's own collectives between processes need equally many devices in each, whatever the mesh."""
    counts = _counts(jax.devices())
    if len(set(counts.values())) > 1:
        fewest = min(counts.values())
        raise ArgumentError(
            "the processes do not have equally many devices", found=f"devices by process: {counts}",
            expected=f"{fewest} in each",
            hint="`local_device_ids` of jax.distributed.initialize, or CUDA_VISIBLE_DEVICES, hides the others",
        )  # fmt: skip


def _check_chosen(devices: Sequence[Any]) -> None:
    present, counts = len(jax.devices()), _counts(devices)
    if not devices or len(set(devices)) < len(devices):
        raise ArgumentError(
            "a device is in the mesh twice" if devices else "the mesh has no devices", field="mesh",
            found=f"{len(devices)} devices", expected=_fits(present),
        )  # fmt: skip
    if len(set(counts.values())) > 1:
        each = sorted({max(1, min(counts.values())), present // len(counts)})
        raise ArgumentError(
            "the mesh does not take equally many devices from each process", field="mesh",
            found=f"devices by process: {counts}",
            expected=" or ".join(f"mesh={n * len(counts)}, {n} of each" for n in each),
        )  # fmt: skip


def _fits(present: int) -> str:
    return f"1 to {present}: {{{AXIS!r}: {present}}} would fit"


def _named_by(mesh: Any) -> Sequence[Any]:
    if mesh is None:
        return jax.devices()
    if isinstance(mesh, Mesh):
        return list(mesh.devices.flat)
    sizes = dict(mesh) if isinstance(mesh, Mapping) else {AXIS: mesh}
    if not sizes or any(isinstance(size, bool) or not isinstance(size, int | np.integer) for size in sizes.values()):
        raise ArgumentError(
            "this is no mesh", field="mesh", found=mesh,
            expected="a jax.sharding.Mesh, a number of devices, or the sizes of axes by name",
        )  # fmt: skip
    wanted, present = math.prod(sizes.values()), jax.devices()
    if min(sizes.values()) < 1:
        raise ArgumentError(
            "a mesh has at least one device along each axis", field="mesh", found=mesh, expected=_fits(len(present))
        )
    if wanted > len(present):
        raise ArgumentError(
            "there are not that many devices", field="mesh",
            found=f"{wanted} = " + " x ".join(f"{size} ({name})" for name, size in sizes.items()),
            expected=_fits(len(present)),
        )  # fmt: skip
    each, more = divmod(wanted, processes.count())
    return [device for process, own in enumerate(_by_process(present)) for device in own[: each + (process < more)]]
