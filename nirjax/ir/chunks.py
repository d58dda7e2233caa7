"""Reading datasets that are cut into chunks, chunk by chunk.

HDF5 does not check that a compressed chunk has as many bytes as its elements take, nor stop one that inflates to far
more: the one reads as whatever lay in memory, the other takes all memory. So gzip, alone or with shuffle, is undone
here.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from h5py import h5z

from nirjax.errors import FileError
from nirjax.ir.places import Where

Offset = tuple[int, ...]


def filter_codes(plist: Any) -> list[int]:
    """The filters of a dataset, in the order in which they were applied."""
    return [int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters())]


def is_ours(plist: Any) -> bool:
    """Is this a pipeline that is undone here?"""
    codes = filter_codes(plist)
    return h5z.FILTER_DEFLATE in codes and all(code in (h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE) for code in codes)


@dataclass(frozen=True)
class Chunked:
    """A dataset in chunks, with the offsets of those that are stored by their first row.

    Attributes:
        shape: the dataset's.
        dtype: of its elements.
        fill: what elements of chunks that are not stored are.
    """

    dataset: Any
    shape: tuple[int, ...]
    dtype: np.dtype
    fill: np.ndarray
    chunk: tuple[int, ...]
    codes: Sequence[int]
    stored: Mapping[int, Sequence[Offset]]
    where: Where

    @staticmethod
    def of(dataset: Any, shape: tuple[int, ...], dtype: np.dtype, where: Where) -> Chunked:
        """Look up which chunks are stored."""
        plist = dataset.get_create_plist()
        stored: dict[int, list[Offset]] = {}

        def note(info: Any) -> None:
            offset = tuple(int(n) for n in info.chunk_offset)
            stored.setdefault(offset[0], []).append(offset)

        dataset.chunk_iter(note)
        fill = np.zeros((), dtype)
        if dtype.kind in "biufc":
            plist.get_fill_value(fill)
        chunk = tuple(int(n) for n in plist.get_chunk())
        return Chunked(dataset, shape, dtype, fill, chunk, filter_codes(plist), stored, where)

    def read_into(self, array: np.ndarray) -> None:
        """Put the values into an array of this shape.

        Raises:
            FileError: a chunk that is damaged, or has not the size that it should have.
        """
        side_by_side = math.prod(-(-n // c) for n, c in zip(self.shape[1:], self.chunk[1:], strict=True))
        for first in range(0, self.shape[0], self.chunk[0]):
            offsets = self.stored.get(first, ())
            if len(offsets) < side_by_side:
                array[first : first + self.chunk[0]] = self.fill
            for offset in offsets:
                ends = [min(o + c, n) for o, c, n in zip(offset, self.chunk, self.shape, strict=True)]
                target = array[tuple(slice(o, end) for o, end in zip(offset, ends, strict=True))]
                target[...] = self._chunk(offset)[tuple(slice(0, n) for n in target.shape)]

    def _chunk(self, offset: Offset) -> np.ndarray:
        nbytes = math.prod(self.chunk) * self.dtype.itemsize
        if self.dataset.get_chunk_info_by_coord(offset).size > 2 * nbytes + 2**16:
            raise _error(self.where, "a chunk that is too large")
        mask, data = self.dataset.read_direct_chunk(offset)
        for i, code in reversed(list(enumerate(self.codes))):
            if mask >> i & 1:
                continue
            if code == h5z.FILTER_DEFLATE:
                data = _inflated(data, nbytes, self.where)
            elif self.dtype.itemsize > 1 and len(data) == nbytes:
                data = np.frombuffer(data, np.uint8).reshape(self.dtype.itemsize, -1).T.tobytes()
        if len(data) != nbytes:
            raise _error(self.where, f"a chunk of {len(data)} bytes where {nbytes} belong")
        return np.frombuffer(data, self.dtype).reshape(self.chunk)


def stored_bytes(dataset: Any, shape: tuple[int, ...], width: int, where: Where) -> np.ndarray:
    """The elements of a whole dataset as raw bytes, `width` each; zeros where none are stored."""
    array = np.empty(shape, np.dtype(f"V{width}"))
    Chunked.of(dataset, shape, array.dtype, where).read_into(array)
    return array


def _inflated(data: bytes, nbytes: int, where: Where) -> bytes:
    stream = zlib.decompressobj()
    try:
        result = stream.decompress(data, nbytes + 1)
    except zlib.error as error:
        raise _error(where, str(error)) from None
    if not stream.eof and len(result) <= nbytes:
        raise _error(where, "a compressed chunk without its end")
    return result


def _error(where: Where, found: str) -> FileError:
    return FileError("the stored data is damaged", node=where.node, field=where.field, found=found)
