"""Strings of any length, read from the file's heaps without HDF5, which crashes or hangs on damaged ones.

A dataset of such strings holds references: a length, the address of a heap, the number of an object in it. Lengths are
added up before anything is read: a small file can have a million references to one long string.

Source: the HDF5 file format specification, version 3, sections III.E (global heap) and VIII.B (references to it).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from h5py import h5d

from nirjax.errors import FileError
from nirjax.ir.chunks import is_ours, stored_bytes
from nirjax.ir.places import Where

REFERENCE = 16
"""Bytes of a reference in a file with the usual 8-byte addresses."""

_AT_ONCE = 2**16


def references(file: Any, dataset: Any, shape: tuple[int, ...], where: Where) -> np.ndarray:
    """The references of a dataset, one a row: length, address, number.

    Raises:
        FileError: damaged, or stored in a way in which they cannot be looked at.
    """
    if file.get_create_plist().get_sizes() != (8, 8):
        raise _error(where, "a file with addresses of an unusual size")
    count = math.prod(shape)
    plist = dataset.get_create_plist()
    if plist.get_layout() == h5d.CONTIGUOUS:
        offset = dataset.get_offset()
        data = b"" if offset is None else os.pread(int(file.get_vfd_handle()), count * REFERENCE, offset)
        if offset is not None and len(data) != count * REFERENCE:
            raise _error(where, "references beyond the end of the file")
        flat = np.frombuffer(data or bytes(count * REFERENCE), _REFERENCE)
    elif is_ours(plist):
        flat = stored_bytes(dataset, shape, REFERENCE, where).view(_REFERENCE).reshape(-1)
    else:
        raise _error(where, "strings of any length in compact storage, or under lzf or szip")
    return flat


def words(file: Any, found: np.ndarray, where: Where) -> Iterator[bytes]:
    """The strings that references lead to.

    Raises:
        FileError: damaged references or heaps.
    """
    descriptor, size = int(file.get_vfd_handle()), int(file.get_filesize())
    base = file.get_create_plist().get_userblock()
    heaps: dict[int, tuple[bytes, dict[int, tuple[int, int]]]] = {}
    known: dict[tuple[int, int, int], bytes] = {}
    for length, address, number in (
        key for at in range(0, found.size, _AT_ONCE) for key in found[at : at + _AT_ONCE].tolist()
    ):
        key = (length, address, number)
        if key not in known:
            if length == 0:
                known[key] = b""
                yield b""
                continue
            if address not in heaps:
                heaps[address] = _heap(descriptor, base + address, size, where)
            block, objects = heaps[address]
            start, most = objects.get(number, (0, 0))
            if length > most:
                raise _error(where, "a reference to a string that is not there")
            known[key] = block[start : start + length].split(b"\0", 1)[0]
        yield known[key]


_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])


def _heap(descriptor: int, address: int, file_size: int, where: Where) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """A heap's bytes, and where in them its objects lie."""
    if address + 16 > file_size:
        raise _error(where, "a heap beyond the end of the file")
    head = os.pread(descriptor, 16, address)
    size = int.from_bytes(head[8:16], "little")
    if head[:5] != b"GCOL\1" or address + size > file_size:
        raise _error(where, "a damaged heap")
    block = os.pread(descriptor, size, address)
    objects: dict[int, tuple[int, int]] = {}
    place = 16
    while place + 16 <= len(block):
        number = int.from_bytes(block[place : place + 2], "little")
        length = int.from_bytes(block[place + 8 : place + 16], "little")
        if number == 0:
            break
        if place + 16 + length > len(block):
            raise _error(where, "a damaged heap")
        objects[number] = (place + 16, length)
        place += 16 + -(-length // 8) * 8
    return block, objects


def _error(where: Where, found: str) -> FileError:
    return FileError("the strings cannot be read", node=where.node, field=where.field, found=found)
