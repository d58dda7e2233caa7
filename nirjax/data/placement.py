"""Several devices: the samples of a batch lie side by side over them, the parameters on each.

Each device runs its own samples, so an evaluation sends nothing between devices, and a training step nothing but the
sums of the gradients. It is a `jax.shard_map`, not left to the compiler: folding time into the batch mixes the axis
that is divided with one that is not, and the compiler answers that by gathering everything everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nirjax.data import processes
from nirjax.data.batch import Batch
from nirjax.data.devices import AXIS, devices_of
from nirjax.data.padding import has_time, widened
from nirjax.errors import ArgumentError

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
        return len(self.mesh.local_devices)

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
        mesh: as `devices_of` takes it.
        here: only those of this process.

    Returns:
        None where there is one device, and nobody chose it.

    Raises:
        ArgumentError: as `devices_of`.
    """
    devices = devices_of(mesh)
    if here:
        devices = [device for device in devices if device.process_index == processes.index()]
    if mesh is None and len(devices) == 1:
        return None
    ordered = sorted(devices, key=lambda device: int(device.process_index))
    return Placement(Mesh(np.array(ordered), (AXIS,)), strict=mesh is not None)
