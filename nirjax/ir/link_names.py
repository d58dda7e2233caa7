"""Names of links as they lie in the file, for the one thing that HDF5 does not show: a NUL inside a name.

HDF5 keeps names with their lengths but hands them out as C strings, so `li\\0xyz` appears as `li`. Only groups whose
links lie in the object header itself need a look: elsewhere a name is stored as a C string, or found by its hash.

Source: the HDF5 file format specification, version 3, sections IV.A.1 (object headers) and IV.A.2.g (link messages).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

_LINK, _CONTINUATION = 0x06, 0x10
_MOST_BYTES = 2**24


def hidden_name(descriptor: int, base: int, address: int) -> bytes | None:
    """The visible part of the first name with a NUL in the group header at `address`, or None; `base` is where the
    file's addresses start."""
    for kind, body in _messages(descriptor, base, address):
        if kind == _LINK:
            name = _link_name(body)
            if b"\0" in name:
                return name.split(b"\0")[0]
    return None


def _messages(descriptor: int, base: int, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message of an object header, those of its continuation blocks too."""
    head = os.pread(descriptor, 64, base + address)
    second = head[:4] == b"OHDR"
    if second:
        flags = head[5]
        start = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        todo = [(address + start + width, int.from_bytes(head[start : start + width], "little"))]
        prefix = 6 if flags & 4 else 4
    elif head[:1] == b"\x01":
        todo = [(address + 16, int.from_bytes(head[8:12], "little"))]
        prefix = 8
    else:
        return
    first, left = True, _MOST_BYTES
    while todo:
        at, size = todo.pop()
        left -= size + 1
        if left < 0:
            return
        block = os.pread(descriptor, size, base + at)
        if second and not first:
            block = block[4:-4]
        first = False
        for kind, body in _split(block, prefix):
            if kind == _CONTINUATION and len(body) >= 16:
                todo.append((int.from_bytes(body[:8], "little"), int.from_bytes(body[8:16], "little")))
            yield kind, body


def _split(block: bytes, prefix: int) -> Iterator[tuple[int, bytes]]:
    """Messages of one block: type (1 byte, or 2 in version 1), size (2 bytes), the rest of the prefix, the body."""
    wide = 2 if prefix == 8 else 1
    place = 0
    while place + prefix <= len(block):
        kind = int.from_bytes(block[place : place + wide], "little")
        size = int.from_bytes(block[place + wide : place + wide + 2], "little")
        place += prefix + size
        yield kind, block[place - size : place]


def _link_name(body: bytes) -> bytes:
    if len(body) < 3 or body[0] != 1:
        return b""
    flags = body[1]
    place = 2 + (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[place : place + width], "little")
    return body[place + width : place + width + length]
