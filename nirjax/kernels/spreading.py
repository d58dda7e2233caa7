"""What a kernel's walk has in common on every device: arrays of one shape, and elements over several devices."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec

from nirjax.kernels.walk import Arrays

OneDevice = Callable[[Arrays, Arrays, Arrays], tuple[list[Array], list[Array]]]


def spread(
    one_device: OneDevice, constants: Arrays, carry: Arrays, sequences: Arrays, results: int, several: bool
) -> tuple[list[Array], list[Array]]:
    """A walk, where every device walks with its own elements through all of time.

    Args:
        one_device: (constants, carry, sequences) -> (last carry, results), for any part of the elements, with a carry
            of the shape of a row, and constants that broadcast to it.
        constants, carry, sequences: as for `nirjax.kernels.walk.walk`.
        results: how many results there are.
        several: the arrays may lie on several devices.
    """
    shape = sequences[0].shape[1:]
    several = several and bool(shape)
    wide = [jnp.broadcast_to(one, shape) for one in carry]
    singles = [*(jnp.broadcast_to(one, shape) if several else one for one in constants), *wide]

    def run(*arrays: Array) -> list[Array]:
        own, rows = arrays[: len(singles)], arrays[len(singles) :]
        last, found = one_device(own[: len(constants)], own[len(constants) :], rows)
        return [*last, *found]

    taken = [*[False] * len(singles), *[True] * len(sequences)]
    given = [*[False] * len(carry), *[True] * results]
    found = (_partitioned(run, taken, given, len(shape)) if several else run)(*singles, *sequences)
    last = [_summed(one, start.shape) for one, start in zip(found[: len(carry)], carry, strict=True)]
    return last, list(found[len(carry) :])


def wants_devices(operation: Any) -> None:
    """Have JAX say on which devices a program with this operation is to run, when it is written.

    `custom_partitioning` has to know. JAX looks for it in a program before that, but not inside of an operation that is
    yet to be written, and has no public name for the list of those that hold it. Without that list, programs for
    several devices run scans.
    """
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("jax._src.dispatch").prim_requires_devices_during_lowering.add(operation)


def devices_of(program: Any) -> int | None:
    """How many devices a program is written for, by what JAX's lowering rules are told of it; None for some unknown."""
    context = program.axis_context
    known = getattr(context, "device_assignment", ())
    devices: int = getattr(context, "num_devices", jax.device_count())
    return None if devices > 1 and known is None else devices


def _partitioned(
    run: Callable[..., list[Array]], taken: Sequence[bool], given: Sequence[bool], axes: int
) -> Callable[..., list[Array]]:
    """The function for arrays that lie on several devices; taken, given: which have an axis of time."""
    elements = " ".join(f"a{axis}" for axis in range(axes))
    rule = [", ".join(f"t {elements}" if timed else elements for timed in side) for side in (taken, given)]
    function = custom_partitioning(run)  # type: ignore[no-untyped-call]

    def partition(mesh: Any, arguments: Any, results: Any) -> tuple[Any, Any, Any, Any]:
        # all have their elements where the first sequence has them, however they came
        spec = jax.tree.leaves(arguments)[list(taken).index(True)].sharding.spec
        placed = [*spec[1:], *[None] * (axes + 1 - max(len(spec), 1))]
        of_row, of_all = PartitionSpec(*placed), PartitionSpec(None, *placed)  # type: ignore[no-untyped-call]
        found, asked = ([NamedSharding(mesh, of_all if one else of_row) for one in side] for side in (given, taken))
        return mesh, run, found, tuple(asked)

    function.def_partition(  # type: ignore[no-untyped-call]
        partition=partition, sharding_rule=" -> ".join(rule), need_replication_factors=("t",)
    )
    return function


def _summed(total: Array, shape: tuple[int, ...]) -> Array:
    """Summed over the axes along which an array of `shape` was broadcast."""
    lead = total.ndim - len(shape)
    ones = [lead + axis for axis, size in enumerate(shape) if size != total.shape[lead + axis]]
    return total.sum((*range(lead), *ones)).reshape(shape) if lead or ones else total
