"""HDF5's checksum of metadata, so that damage to what it covers can be sealed again.

Without that, in a file of the newer formats nearly every mutant fails at its first checksum and tests nothing else.

Source: Bob Jenkins, lookup3.c, hashlittle (public domain); the HDF5 file format specification, version 3.
"""

from __future__ import annotations

from collections.abc import Iterator

_MASK = 0xFFFFFFFF
_FIXED = {b"FRHP": 142, b"BTHD": 34, b"FAHD": 24, b"EAHD": 68}
"""Sizes of structures that end in their checksum and have one size (with no filters, 8-byte addresses)."""


def lookup3(data: bytes) -> int:
    """hashlittle(data, 0)."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    place, left = 0, len(data)
    while left > 12:
        a, b, c = (
            (value + int.from_bytes(data[at : at + 4], "little")) & _MASK
            for value, at in ((a, place), (b, place + 4), (c, place + 8))
        )
        a, b, c = _mixed(a, b, c)
        place, left = place + 12, left - 12
    if left == 0:
        return c
    tail = data[place:].ljust(12, b"\0")
    a, b, c = ((value + int.from_bytes(tail[at : at + 4], "little")) & _MASK for value, at in ((a, 0), (b, 4), (c, 8)))
    return _final(a, b, c)


def _rotated(x: int, k: int) -> int:
    return ((x << k) | (x >> (32 - k))) & _MASK


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = ((a - c) & _MASK) ^ _rotated(c, 4)
    c = (c + b) & _MASK
    b = ((b - a) & _MASK) ^ _rotated(a, 6)
    a = (a + c) & _MASK
    c = ((c - b) & _MASK) ^ _rotated(b, 8)
    b = (b + a) & _MASK
    a = ((a - c) & _MASK) ^ _rotated(c, 16)
    c = (c + b) & _MASK
    b = ((b - a) & _MASK) ^ _rotated(a, 19)
    a = (a + c) & _MASK
    c = ((c - b) & _MASK) ^ _rotated(b, 4)
    b = (b + a) & _MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for x, k in ((1, 14), (2, 11), (0, 25), (1, 16), (2, 4), (0, 14), (1, 24)):
        # c ^= b; c -= rot(b, 14); a ^= c; a -= rot(c, 11); b ^= a; b -= rot(a, 25); and so on
        if x == 1:
            c = ((c ^ b) - _rotated(b, k)) & _MASK
        elif x == 2:
            a = ((a ^ c) - _rotated(c, k)) & _MASK
        else:
            b = ((b ^ a) - _rotated(a, k)) & _MASK
    return c


def covered(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the structures with a checksum lie: start, and where the checksum itself does."""
    if data[:8] == b"\x89HDF\r\n\x1a\n" and data[8:9] in (b"\2", b"\3"):
        yield 0, 44
    at = data.find(b"OHDR")
    while at >= 0:
        end = _end_of_header(data, at)
        yield at, end
        yield from _continued(data, at, end)
        at = data.find(b"OHDR", at + 4)
    for signature, size in _FIXED.items():
        at = data.find(signature)
        while at >= 0:
            yield at, at + size
            at = data.find(signature, at + 4)


def _end_of_header(data: bytes, at: int) -> int:
    flags = data[at + 5] if at + 5 < len(data) else 0
    start = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    return start + width + int.from_bytes(data[start : start + width], "little")


def _continued(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """The continuation blocks that an object header leads to."""
    place = data.find(b"OCHK")
    while place >= 0:
        found = data.find(place.to_bytes(8, "little"), at, end)
        if found >= 0:
            yield place, place + int.from_bytes(data[found + 8 : found + 16], "little") - 4
        place = data.find(b"OCHK", place + 4)


def resealed(data: bytes, start: int, stop: int) -> bytes:
    """The file, of which a stretch was changed, with the checksums that this stretch now asks for."""
    result = bytearray(data)
    for first, end in covered(data):
        if first < stop and start < end and end + 4 <= len(data) and end - first < 2**16:
            result[end : end + 4] = lookup3(bytes(data[first:end])).to_bytes(4, "little")
    return bytes(result)


def timeless(data: bytes) -> bytes:
    """The file with no times of day in its object headers, which HDF5 sets when it changes an object."""
    result = bytearray(data)
    at = data.find(b"OHDR")
    while at >= 0:
        end = _end_of_header(data, at)
        if data[at + 4 : at + 5] == b"\2" and data[at + 5] & 0x20 and end + 4 <= len(data) and end - at < 2**16:
            result[at + 6 : at + 22] = bytes(16)
            result[end : end + 4] = lookup3(bytes(result[at:end])).to_bytes(4, "little")
        at = data.find(b"OHDR", at + 4)
    return bytes(result)
