"""Places in a file, as the reader's parts hand them to each other and as errors name them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from nirjax.errors import FileError, NIRError, ParameterError, quoted


@dataclass(frozen=True)
class Where:
    """A place in the graph: a node's path, and a field of it."""

    node: str | None
    field: str | None = None

    def at(self, field: str) -> Where:
        return Where(self.node, field)


@dataclass(frozen=True)
class Slot:
    """A dataset that has passed the gate and has not been read yet.

    Attributes:
        path: where it lies in the file.
        where: where it lies in the graph.
        dtype: of its elements; None for words of any length.
        nbytes: what its values take.
        chunk_rows: rows that one chunk covers; 1 where it is not chunked.
        offset: where its bytes lie in the file, if they lie there as they are, in one piece.
    """

    path: bytes
    where: Where
    dtype: np.dtype | None
    shape: tuple[int, ...]
    nbytes: int
    chunk_rows: int = 1
    offset: int | None = None

    @property
    def is_words(self) -> bool:
        return self.dtype is None or self.dtype.kind == "S"


def state_of(descriptor: int) -> list[int]:
    """What tells one open file from another, and from itself after a change."""
    found = os.fstat(descriptor)
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def decoded(data: bytes, where: Where) -> str:
    """Text of bytes; raises ParameterError where it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ParameterError(
            "the string is not UTF-8", node=where.node, field=where.field, found=quoted(data)
        ) from None


@contextmanager
def hdf5(where: Where, message: str = "HDF5 cannot read it") -> Iterator[None]:
    """Whatever HDF5 or h5py raises inside becomes a FileError that says where."""
    try:
        yield
    except NIRError:
        raise
    except MemoryError:
        raise FileError("there is not enough memory for it", node=where.node, field=where.field) from None
    except Exception as error:
        text = str(error).strip("'\"") or type(error).__name__
        raise FileError(message, node=where.node, field=where.field, found=quoted(text)) from None
