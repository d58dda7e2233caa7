"""Several devices: the samples of a batch lie side by side over them, the parameters on each.

Each device runs its own samples, so an evaluation sends nothing between devices, and a training step nothing but the
sums of the gradients. It is a `jax.shard_map`, not left to the compiler: folding time into the batch mixes the axis
that is divided with one that is not, and the compiler answers that by gathering everything everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nirjax.data import processes
from nirjax.data.batch import Batch
from nirjax.data.padding import has_time, widened
from nirjax.errors import ArgumentError

AXIS = "batch"
"""The one axis over which anything is divided."""

_spec: Any = PartitionSpec
EVERYWHERE, BY_SAMPLE, BY_STEP_AND_SAMPLE = _spec(), _spec(AXIS), _spec(None, AXIS)
"""How an array lies: whole on each device; `(batch, ...)` divided; `(time, batch, ...)` divided."""

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Placement:
    """The devices that share each batch.

    Args:
        mesh: all of them, along one axis, those of one process next to each other.
        strict: somebody chose them, so a batch that they cannot share evenly is an error; else it is filled up.
    """

    mesh: Mesh
    strict: bool = False

    @property
    def devices(self) -> int:
        """How many there are."""
        return int(self.mesh.devices.size)

    @property
    def devices_here(self) -> int:
        """How many of them are this process's."""
        return self.devices // processes.count()

    def divided(self, batch_size: int, chosen: bool) -> int:
        """`batch_size`, rounded up to a multiple of the devices.

        Raises:
            ArgumentError: both the devices and the batch size were `chosen`, and do not fit.
        """
        size = -(-batch_size // self.devices) * self.devices
        if size != batch_size and chosen and self.strict:
            fits = [str(size)] if size == self.devices else [str(size - self.devices), str(size)]
            raise ArgumentError(
                "the batch does not divide over the devices of the mesh", field="batch_size", found=batch_size,
                expected=f"a multiple of {self.devices}: {' or '.join(fits)} would fit",
            )  # fmt: skip
        return size

    def replicated(self, tree: Tree) -> Tree:
        """The arrays, whole on each device."""
        sharding = NamedSharding(self.mesh, EVERYWHERE)
        if self.devices == self.devices_here:
            placed: Tree = jax.device_put(tree, sharding)
            return placed
        # Not device_put: what it makes of an array of one device for those of several processes cannot be taken apart.
        own = self.mesh.local_devices
        return jax.tree.map(  # type: ignore[no-any-return]
            lambda leaf: jax.make_array_from_single_device_arrays(
                leaf.shape, sharding, [jax.device_put(leaf, device) for device in own]
            ),
            tree,
        )

    def placed(self, batch: Batch) -> Batch:
        """The batch on its devices, filled up so that it divides; the transfer goes on while this returns.

        Of several processes each gives its own columns, equally many, and gets back the whole batch.
        """
        here = self.devices_here
        batch = widened(batch, -(-batch.size // here) * here)
        shardings = jax.tree.map(lambda spec: NamedSharding(self.mesh, spec), divisions(batch))
        if self.devices == here:
            placed: Batch = jax.device_put(batch, shardings)
            return placed
        return jax.tree.map(jax.make_array_from_process_local_data, shardings, batch)  # type: ignore[no-any-return]

    def over_batch(self, function: Callable[..., Any], outputs: Any = BY_SAMPLE) -> Callable[..., Any]:
        """`function` of which each device computes its own samples.

        Args:
            function: of any arguments; each `Batch` among them is divided, all others are whole everywhere.
            outputs: how what it returns is divided.
        """

        def shared(*arguments: Any) -> Any:
            given = tuple(divisions(value) if isinstance(value, Batch) else EVERYWHERE for value in arguments)
            # Without check_vma: states start equal on all devices and then differ, which it takes for a mistake.
            mapped = jax.shard_map(function, mesh=self.mesh, in_specs=given, out_specs=outputs, check_vma=False)
            return mapped(*arguments)

        return shared

    def total(self, tree: Tree) -> Tree:
        """The sum over all devices of what each of them has; inside `over_batch`."""
        summed: Tree = lax.psum(tree, AXIS)  # type: ignore[no-untyped-call]
        return summed


def divisions(batch: Batch) -> Batch:
    """How each array of a batch is divided."""
    y = None if batch.y is None else BY_STEP_AND_SAMPLE if has_time(batch) else BY_SAMPLE
    x, length, valid = jax.tree.map(lambda _: BY_STEP_AND_SAMPLE, batch.x), BY_SAMPLE, BY_SAMPLE
    return Batch(x, y, None if batch.length is None else length, None if batch.valid is None else valid)


def placement_of(mesh: Any, *, here: bool = False) -> Placement | None:
    """The devices that a user means.

    Args:
        mesh: a `jax.sharding.Mesh`, whatever its axes are called (the batch goes over all of them); the sizes of such
            axes by name, or how many devices, equally many of each process; None for all there are.
        here: only those of this process.

    Returns:
        None where there is one device, and nobody chose it.

    Raises:
        ArgumentError: no mesh; more devices than there are, none, or one of them twice; more of one process than of
            another; processes of which one has more than another.
    """
    _check_processes()
    devices = _devices_of(mesh)
    _check_chosen(devices)
    if here:
        devices = [device for device in devices if device.process_index == processes.index()]
    if mesh is None and len(devices) == 1:
        return None
    ordered = sorted(devices, key=lambda device: int(device.process_index))
    return Placement(Mesh(np.array(ordered), (AXIS,)), strict=mesh is not None)


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


def _devices_of(mesh: Any) -> Sequence[Any]:
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
    if min(sizes.values()) < 1 or wanted > len(present):
        raise ArgumentError(
            "there are not that many devices", field="mesh",
            found=f"{wanted} = " + " x ".join(f"{size} ({name})" for name, size in sizes.items()),
            expected=_fits(len(present)),
        )  # fmt: skip
    each, more = divmod(wanted, processes.count())
    return [device for process, own in enumerate(_by_process(present)) for device in own[: each + (process < more)]]
