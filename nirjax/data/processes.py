"""Several processes that JAX's own runtime has joined (`jax.distributed.initialize`): who this is, and what all know.

Every function here does nothing but return where there is one process alone. Those that talk to the others must be
called by all of them, in the same order.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding

from nirjax.errors import DistributedError, NIRError

Tree = TypeVar("Tree")
Result = TypeVar("Result")


def count() -> int:
    """How many processes there are."""
    return int(jax.process_count())


def index() -> int:
    """The number of this one, from 0."""
    return int(jax.process_index())


def is_first() -> bool:
    """Is this the one that writes and shows?"""
    return index() == 0


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Turns what JAX raises when another process has gone into a DistributedError."""
    try:
        yield
    except NIRError:
        raise
    # Which one comes depends on the backend: gloo's broken connections are ValueErrors.
    except (RuntimeError, ValueError) as error:
        if count() == 1:
            raise
        raise DistributedError(
            "the processes have lost each other", found=str(error).strip().partition("\n")[0],
            hint="One of them has most likely ended, and its own output says why. Start all of them again: what was "
            "saved is continued",
        ) from error  # fmt: skip


def numbers_of_all(*numbers: int) -> np.ndarray:
    """These numbers of every process, `(processes, numbers)`; they must fit into 32 bits."""
    mine = np.asarray(numbers, np.int32)
    if count() == 1:
        return mine[None]
    from jax.experimental import multihost_utils

    with together():
        return np.asarray(multihost_utils.process_allgather(mine))


def bytes_of_all(message: bytes) -> list[bytes]:
    """The messages of all processes, in their order."""
    if count() == 1:
        return [message]
    from jax.experimental import multihost_utils

    lengths = numbers_of_all(len(message))[:, 0]
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(message)] = np.frombuffer(message, np.uint8)
    with together():
        everything = np.asarray(multihost_utils.process_allgather(padded))
    return [row[:length].tobytes() for row, length in zip(everything, lengths, strict=True)]


def from_first(array: np.ndarray) -> np.ndarray:
    """The first process's array, of one axis."""
    return np.frombuffer(bytes_of_all(array.tobytes() if is_first() else b"")[0], array.dtype)


def all_or_none(function: Callable[[], Result]) -> Result:
    """What the function returns here, if it raises in no process: what one alone cannot do, none goes on with.

    Raises:
        DistributedError: it has raised in another process.
    """
    if count() == 1:
        return function()
    failed: Exception | None = None
    try:
        result = function()
    except DistributedError:
        raise
    except Exception as error:
        failed = error
    told = bytes_of_all(f"{type(failed).__name__}: {failed}".encode() if failed is not None else b"")
    if failed is not None:
        raise failed
    for process, message in enumerate(told):
        if message:
            raise DistributedError(f"process {process} has failed", found=message.decode())
    return result


def gathered(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of all processes, one behind the other along their first axis; a process may have none."""
    if count() == 1:
        return dict(values)
    buffer = io.BytesIO()
    np.savez(buffer, **values)  # type: ignore[arg-type]
    parts = []
    for message in bytes_of_all(buffer.getvalue()):
        with np.load(io.BytesIO(message), allow_pickle=False) as part:
            parts.append({name: part[name] for name in part.files})
    names = next((list(part) for part in parts if part), [])
    return {name: np.concatenate([part[name] for part in parts if part]) for name in names}


def here(tree: Tree) -> Tree:
    """The same arrays as copies on this process's own devices, where they lie on those of all processes."""
    local: Tree = jax.tree.map(_here, tree)
    return local


def _here(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
        return leaf
    sharding = leaf.sharding
    assert isinstance(sharding, NamedSharding)
    assert sharding.is_fully_replicated
    parts = [shard.data for shard in leaf.addressable_shards]
    if len(parts) == 1:
        return parts[0]
    local = NamedSharding(sharding.mesh.local_mesh, sharding.spec)
    return jax.make_array_from_single_device_arrays(leaf.shape, local, parts)
