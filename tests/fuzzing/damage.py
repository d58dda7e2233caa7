"""Damage to a file's bytes: blind, or aimed at the numbers of which HDF5's structures consist."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fuzzing.checksums import resealed

SIGNATURES = (
    *(b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"BTHD", b"BTLF", b"BTIN"),
    *(b"FAHD", b"FADB", b"EAHD", b"EAIB", b"EASB", b"EADB", b"SMTB", b"SMLI", b"FSHD", b"FSSE"),
)
WIDTHS = (1, 2, 4, 8)


def mutated(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One to four kinds of damage; `other` is a file to take pieces from."""
    for _ in range(1 + int(rng.geometric(0.6)) % 4):
        if len(data) < 80:
            break
        kind = DAMAGE[rng.integers(len(DAMAGE))]
        data = kind(data, other, rng)
    return data


def _flip(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _i in range(rng.integers(1, 9)):
        changed[rng.integers(len(changed))] ^= int(rng.integers(1, 256))
    return bytes(changed)


def _flip_bit(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _zero(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    at, n = int(rng.integers(len(data))), int(rng.integers(4, 65))
    return data[:at] + bytes(min(n, len(data) - at)) + data[at + n :]


def _copy(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    n = int(rng.integers(4, 65))
    source = data if rng.integers(2) else other
    a, b = int(rng.integers(len(source) - n)), int(rng.integers(len(data) - n))
    return data[:b] + source[a : a + n] + data[b + n :]


def _cut(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(1, len(data)))]


def _insert(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    at, n = int(rng.integers(len(data))), int(rng.integers(1, 17))
    return data[:at] + rng.bytes(n) + data[at:]


def _remove(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    at, n = int(rng.integers(len(data))), int(rng.integers(1, 17))
    return data[:at] + data[at + n :]


def _number(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """A number of some width, anywhere, made one that programs stumble over."""
    return _written(data, int(rng.integers(len(data) - 8)), WIDTHS[rng.integers(4)], rng)


def _field(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """A number of an HDF5 structure made such a one; checksums are made to fit, mostly."""
    found = list(structures(data))
    start, end = found[rng.integers(len(found))]
    end = min(end, len(data) - 8)
    if start >= end:
        return data
    at = min(start + int(rng.geometric(0.06)) - 1, end - 1) if rng.integers(2) else int(rng.integers(start, end))
    changed = _written(data, at, WIDTHS[rng.integers(4)], rng)
    return resealed(changed, at, at + 8) if rng.integers(8) else changed


def _swap(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Two stretches of the size of an address change places."""
    a, b = sorted(8 * int(n) for n in rng.integers(len(data) // 8 - 1, size=2))
    if a == b:
        return data
    changed = data[:a] + data[b : b + 8] + data[a + 8 : b] + data[a : a + 8] + data[b + 8 :]
    return resealed(resealed(changed, a, a + 8), b, b + 8)


DAMAGE: tuple[Callable[[bytes, bytes, np.random.Generator], bytes], ...] = (
    *(_flip, _flip_bit, _zero, _copy, _cut, _insert, _remove, _number, _swap),
    *(_field,) * 9,
)


def _written(data: bytes, at: int, width: int, rng: np.random.Generator) -> bytes:
    value = _odd_number(data, width, rng) % 256**width
    return data[:at] + value.to_bytes(width, "little") + data[at + width :]


def _odd_number(data: bytes, width: int, rng: np.random.Generator) -> int:
    choice = rng.integers(6)
    if choice == 0:
        return int(rng.choice([0, 1, 2, 3, 4, 8, 16, 255]))
    if choice == 1:
        return 256**width - int(rng.integers(1, 4))
    if choice == 2:
        return (1 << int(rng.integers(8 * width))) + int(rng.integers(-1, 2))
    if choice == 3:
        return len(data) + int(rng.integers(-16, 17))
    if choice == 4:
        found = list(structures(data))
        return found[rng.integers(len(found))][0]
    return int.from_bytes(rng.bytes(width), "little")


def structures(data: bytes) -> Iterator[tuple[int, int]]:
    """Where HDF5's structures lie, about: the superblock, all with a signature, and the object headers that symbol
    tables lead to."""
    yield 0, 96
    for signature in SIGNATURES:
        at = data.find(signature)
        while at >= 0:
            yield at, at + 192
            if signature == b"SNOD":
                yield from _headers(data, at)
            at = data.find(signature, at + 4)


def _headers(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """The headers of the objects in one node of a symbol table, of version 1: they have no signature."""
    for entry in range(int.from_bytes(data[at + 6 : at + 8], "little")):
        place = at + 8 + 40 * entry
        header = int.from_bytes(data[place + 8 : place + 16], "little")
        if header + 16 <= len(data) and data[header : header + 1] == b"\1":
            yield header, header + 16 + int.from_bytes(data[header + 8 : header + 12], "little")
