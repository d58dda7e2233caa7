"""Places in a file, as the reader's parts hand them to each other and as errors name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """

    path: bytes
    where: Where
    dtype: np.dtype | None
    shape: tuple[int, ...]
    nbytes: int

    @property
    def is_words(self) -> bool:
        return self.dtype is None or self.dtype.kind == "S"


def decoded(data: bytes, where: Where) -> str:
    """Text of bytes; raises ParameterError where it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ParameterError(
            "the string is not UTF-8", node=where.node, field=where.field, found=quoted(data)
        ) from None


@dataclass(frozen=True, slots=True)
class hdf5:  # noqa: N801  (a context, written as one)
    """Whatever HDF5 or h5py raises inside becomes a FileError that says where."""

    where: Where
    message: str = "HDF5 cannot read it"
    expected: str | None = None

    def __enter__(self) -> None:
        return

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if error is None or isinstance(error, NIRError) or not isinstance(error, Exception):
            return
        place = {"node": self.where.node, "field": self.where.field}
        text = str(error).strip("'\"") or type(error).__name__
        if isinstance(error, MemoryError) or "memory alloc" in text:
            raise FileError("the file asks for more memory than there is", **place) from None
        raise FileError(self.message, found=quoted(text), expected=self.expected, **place) from None
