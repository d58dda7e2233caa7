"""Reading datasets that are cut into chunks, chunk by chunk.

HDF5 does not check that a stored chunk has as many bytes as its elements take, nor stop one that inflates to far more:
the one reads as whatever lay in memory, or crashes, the other takes all memory. So gzip, shuffle and fletcher32 are
undone here. HDF5 undoes lzf and szip, once what each chunk says of its size has been found right.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from h5py import h5d, h5z

from nirjax.errors import FileError
from nirjax.ir.places import Where

Offset = tuple[int, ...]

LZF = 32000
"""The number under which h5py registers its filter."""

_OURS = (h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32)


def filter_codes(plist: Any) -> list[int]:
    """The filters of a dataset, in the order in which they were applied."""
    return [int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters())]


def is_ours(plist: Any) -> bool:
    """Are these chunks whose filters, if there are any, are undone here?"""
    return plist.get_layout() == h5d.CHUNKED and set(filter_codes(plist)) <= set(_OURS)


def check_sizes(dataset: Any, dtype: np.dtype, where: Where) -> None:
    """Check that chunks under lzf or szip say of themselves the size that their elements take: a wrong one makes HDF5
    read beyond what it has.

    Raises:
        FileError: one does not.
    """
    plist = dataset.get_create_plist()
    if plist.get_layout() != h5d.CHUNKED:
        return
    nbytes = math.prod(plist.get_chunk()) * dtype.itemsize
    codes = filter_codes(plist)
    inner = codes.index(LZF) if LZF in codes else codes.index(h5z.FILTER_SZIP)
    if codes[inner:] not in ([codes[inner]], [codes[inner], h5z.FILTER_FLETCHER32]):
        raise _error(where, "filters in an order that nothing writes")
    if codes[inner] == LZF and plist.get_filter(inner)[2][2:3] != (nbytes,):
        raise _error(where, "chunks that say another size than they have")
    for mask, size, offset in _stored(dataset):
        summed = 4 if h5z.FILTER_FLETCHER32 in codes and not mask >> (inner + 1) & 1 else 0
        plain = mask >> inner & 1  # the filter was left out, as h5py does where it would not make the chunk smaller
        if size != nbytes + summed if plain else not summed < size <= _most_stored(nbytes):
            raise _error(where, f"a chunk of {size} bytes where {nbytes} belong")
        szip = not plain and codes[inner] == h5z.FILTER_SZIP
        if szip and dataset.read_direct_chunk(offset)[1][:4] != nbytes.to_bytes(4, "little"):
            raise _error(where, "a chunk that says another size than it has")


def _stored(dataset: Any) -> list[tuple[int, int, Offset]]:
    """Filter mask, size and offset of each chunk that is stored."""
    found: list[tuple[int, int, Offset]] = []
    dataset.chunk_iter(lambda info: found.append((info.filter_mask, info.size, tuple(map(int, info.chunk_offset)))))
    return found


def _most_stored(nbytes: int) -> int:
    return 2 * nbytes + 2**16


@dataclass(frozen=True)
class Chunked:
    """A dataset in chunks, with the offsets of those that are stored by their first row.

    Attributes:
        shape: the dataset's.
        dtype: of its elements.
    """

    dataset: Any
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: tuple[int, ...]
    codes: Sequence[int]
    stored: Mapping[int, Sequence[Offset]]
    where: Where

    @staticmethod
    def of(dataset: Any, shape: tuple[int, ...], dtype: np.dtype, where: Where) -> Chunked:
        """Look up which chunks are stored."""
        plist = dataset.get_create_plist()
        stored: dict[int, list[Offset]] = {}
        for _, _, offset in _stored(dataset):
            stored.setdefault(offset[0], []).append(offset)
        chunk = tuple(int(n) for n in plist.get_chunk())
        return Chunked(dataset, shape, dtype, chunk, filter_codes(plist), stored, where)

    def read_into(self, array: np.ndarray) -> None:
        """Put the values into an array of this shape.

        Raises:
            FileError: a chunk that is damaged, or has not the size that it should have.
        """
        side_by_side = math.prod(-(-n // c) for n, c in zip(self.shape[1:], self.chunk[1:], strict=True))
        for first in range(0, self.shape[0], self.chunk[0]):
            offsets = self.stored.get(first, ())
            if len(offsets) < side_by_side:
                array[first : first + self.chunk[0]] = self._fill()
            for offset in offsets:
                ends = [min(o + c, n) for o, c, n in zip(offset, self.chunk, self.shape, strict=True)]
                target = array[tuple(slice(o, end) for o, end in zip(offset, ends, strict=True))]
                target[...] = self._chunk(offset)[tuple(slice(0, n) for n in target.shape)]

    def _fill(self) -> np.ndarray:
        """What elements of chunks that are not stored are. HDF5 is asked only where it has to be: it crashes on a
        damaged one."""
        fill, plist = np.zeros((), self.dtype), self.dataset.get_create_plist()
        if self.dtype.kind in "biufc" and plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
            plist.get_fill_value(fill)
        return fill

    def _chunk(self, offset: Offset) -> np.ndarray:
        nbytes = math.prod(self.chunk) * self.dtype.itemsize
        if self.dataset.get_chunk_info_by_coord(offset).size > _most_stored(nbytes):
            raise _error(self.where, "a chunk that is too large")
        mask, data = self.dataset.read_direct_chunk(offset)
        for i, code in reversed(list(enumerate(self.codes))):
            if mask >> i & 1:
                continue
            if code == h5z.FILTER_DEFLATE:
                data = _inflated(data, nbytes + 4, self.where)
            elif code == h5z.FILTER_FLETCHER32:
                data = _unsummed(data, self.where)
            elif self.dtype.itemsize > 1 and len(data) == nbytes:
                data = np.frombuffer(data, np.uint8).reshape(self.dtype.itemsize, -1).T.tobytes()
        if len(data) != nbytes:
            raise _error(self.where, f"a chunk of {len(data)} bytes where {nbytes} belong")
        return np.frombuffer(data, self.dtype).reshape(self.chunk)


def stored_bytes(dataset: Any, shape: tuple[int, ...], width: int, where: Where) -> np.ndarray:
    """The elements of a whole dataset as raw bytes, `width` each; zeros where none are stored."""
    array = np.zeros(shape, np.dtype(f"V{width}"))
    Chunked.of(dataset, shape, array.dtype, where).read_into(array)
    return array


def _inflated(data: bytes, most: int, where: Where) -> bytes:
    stream = zlib.decompressobj()
    try:
        result = stream.decompress(data, most + 1)
    except zlib.error as error:
        raise _error(where, str(error)) from None
    if not stream.eof and len(result) <= most:
        raise _error(where, "a compressed chunk without its end")
    return result


def _unsummed(data: bytes, where: Where) -> bytes:
    """The bytes without the checksum behind them, which must be theirs."""
    content, stored = data[:-4], data[-4:]
    found = fletcher32(content).to_bytes(4, "little")
    # HDF5 before 1.6.3 wrote it with bytes swapped
    if stored not in (found, found[1::-1] + found[:1:-1]):
        raise _error(where, "a chunk whose checksum is not its own")
    return content


def fletcher32(data: bytes) -> int:
    """HDF5's checksum: the sum of the big-endian 16-bit words, and above it the sum of these sums, modulo 65535."""
    words = np.frombuffer(data + b"\0" * (len(data) % 2), ">u2")
    low = high = 0
    for part in (words[at : at + 2**16].astype(np.uint64) for at in range(0, words.size, 2**16)):
        high += part.size * low + int((np.arange(part.size, 0, -1, dtype=np.uint64) * part).sum())
        low += int(part.sum())
    return _folded(high) << 16 | _folded(low)


def _folded(total: int) -> int:
    """Modulo 65535, where a sum that is not 0 does not become 0."""
    return (total % 65535 or 65535) if total else 0


def _error(where: Where, found: str) -> FileError:
    return FileError("the stored data is damaged", node=where.node, field=where.field, found=found)
