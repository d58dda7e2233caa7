"""Memory that a worker fills with a file's arrays and the asking process then reads: nothing is copied through a pipe.

The memory has no name and no size that can change. It takes what is written to it, whatever its size.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Arrays start at multiples of this many bytes, as XLA wants them."""

_MOST = 2**44


class FinishedMemory(mmap.mmap):
    """Memory that nobody can write to any more."""


def shared_memory(nbytes: int) -> int | None:
    """A descriptor of shared memory of at least so many bytes, which neither side can shrink; None where the system
    has no such thing."""
    try:
        import fcntl

        descriptor = os.memfd_create("nirjax", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (ImportError, AttributeError, OSError):
        return None
    try:
        os.ftruncate(descriptor, min(-(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE, _MOST))
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def places(sizes: Iterable[int]) -> tuple[list[int], int]:
    """Where arrays of these sizes lie, one behind the other, and how many bytes that takes."""
    found, end = [], 0
    for nbytes in sizes:
        found.append(end)
        end += -(-nbytes // ALIGNMENT) * ALIGNMENT
    return found, end


def size_of(descriptor: int | None) -> int:
    """How many bytes the memory may take; 0 where there is none."""
    return 0 if descriptor is None else os.fstat(descriptor).st_size


def writable(descriptor: int, nbytes: int) -> mmap.mmap:
    """The first bytes of the memory, to be filled."""
    return mmap.mmap(descriptor, nbytes)


def finished(descriptor: int, nbytes: int) -> FinishedMemory:
    """The first bytes of the memory, once nobody else has it."""
    return FinishedMemory(descriptor, nbytes, prot=mmap.PROT_READ)


def array_in(memory: Any, place: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """The array at a place of the memory, as a view of it."""
    count = math.prod(shape) if dtype.itemsize else 0
    return np.frombuffer(memory, dtype, count, place).reshape(shape) if count else np.empty(shape, dtype)
