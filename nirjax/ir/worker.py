"""The process that reads a file for `nirjax.read`: NumPy and h5py only, under limits, plain arrays out through a pipe.

It is started by `nirjax.ir.process` and ends with the one file. The request is a JSON object on standard input; the
answer is frames on standard output, each a letter, a length of 8 bytes and the content:

    H   JSON: version, digest, notices, the arrays' types, shapes and places, and the tree of nodes in which arrays are
        numbers
    A   the next array that has no place in the shared memory (see `nirjax.ir.shared`): its bytes; of words, in two
        frames, their lengths, then their text
    Z   the end: the shared memory is filled
    E   JSON: an error, instead of any of these
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np

from nirjax.errors import FileError, NIRError, quoted
from nirjax.ir.data_reading import walk_of
from nirjax.ir.gate import Gate
from nirjax.ir.limits import Limits
from nirjax.ir.places import Slot
from nirjax.ir.raw import RawNode
from nirjax.ir.reading import Sketch
from nirjax.ir.shared import array_in, places, size_of, writable

_SLACK = 8 * 2**20


def main() -> None:
    """Read the request, answer it, end."""
    request = json.loads(sys.stdin.buffer.read())
    answer = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints must not run into the frames
    limits = Limits(**request["limits"])
    _confine(limits)
    try:
        gate = Gate.open_file(os.fsencode(request["path"]), limits)
        shared = Shared(request["shared"], _close_the_door())
        for letter, content in frames(gate, request["table"], shared):
            _send(answer, letter, content)
    except NIRError as error:
        _send(answer, b"E", json.dumps(_described(error)).encode())
    except MemoryError:
        _send(answer, b"E", json.dumps({"kind": "FileError", "message": "the file asks for too much memory"}).encode())
    except Exception as error:
        found = quoted(f"{type(error).__name__}: {error}")
        _send(answer, b"E", json.dumps({"kind": "FileError", "message": "cannot be read", "found": found}).encode())


def _confine(limits: Limits) -> None:
    """Bound memory and time, and forbid writing, where the system can."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = math.ceil(used.ru_utime + used.ru_stime) + limits.seconds
    memory = _address_space() + limits.bytes + _SLACK
    wanted = {"RLIMIT_CPU": cpu, "RLIMIT_AS": memory, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, value in wanted.items():
        _lower(resource, name, value)
    # whole seconds of RLIMIT_CPU are coarse, and count what starting took
    signal.setitimer(signal.ITIMER_PROF, limits.seconds)


def _close_the_door() -> int:
    """From here on no file can be opened: every number that it could get is taken. The last of them is returned; it is
    to be given back when memory is mapped, which takes one."""
    last = os.dup(0)
    try:
        import resource
    except ImportError:
        return last
    _lower(resource, "RLIMIT_NOFILE", last + 1)
    return last


def _lower(resource: Any, name: str, value: int) -> None:
    if not hasattr(resource, name):
        return
    _, most = resource.getrlimit(getattr(resource, name))
    bound = value if most == resource.RLIM_INFINITY else min(value, most)
    try:
        resource.setrlimit(getattr(resource, name), (bound, bound))
    except (OSError, ValueError):
        return


def _address_space() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 2**32


@dataclass(frozen=True)
class Shared:
    """The shared memory, not mapped yet: its descriptor, if there is any, and one to be given back before."""

    descriptor: int | None
    spare: int

    def mapped(self, nbytes: int) -> Any:
        """The first bytes, to be filled."""
        os.close(self.spare)
        return writable(cast(int, self.descriptor), nbytes)


def frames(gate: Gate, table: Mapping[str, Any] | None, shared: Shared) -> Iterator[tuple[bytes, Any]]:
    """The answer for a file: the frames' letters and contents."""
    known = None if table is None else {kind: tuple(fields) for kind, fields in table.items()}
    found = walk_of(known)(gate)
    slots = list({slot.path: slot for slot in found.slots}.values())
    numbers = {slot.path: i for i, slot in enumerate(slots)}
    numeric = {slot.path: slot for slot in slots if slot.dtype is not None}
    starts, total = places(slot.nbytes for slot in numeric.values())
    place = dict(zip(numeric, starts, strict=True)) if 0 < total <= size_of(shared.descriptor) else {}
    yield b"H", json.dumps(_header(found, slots, numbers, place)).encode()
    if place:
        memory = shared.mapped(total)
        for path, start in place.items():
            slot = numeric[path]
            gate.read_into(slot, array_in(memory, start, cast(np.dtype, slot.dtype), slot.shape))
    for slot in slots:
        if slot.dtype is None:
            words = gate.read(slot).ravel().tolist()
            yield b"A", np.array([len(word) for word in words], "<u4").tobytes()
            yield b"A", b"".join(words)
        elif slot.path not in place:
            yield b"A", gate.read(slot).tobytes()
    yield b"Z", b""


def _header(found: Sketch, slots: list[Slot], numbers: dict[bytes, int], place: Mapping[bytes, int]) -> dict[str, Any]:
    file = found.file
    return {
        "version": file.version,
        "digest": file.digest,
        "notices": [[notice.message, notice.node, notice.field] for notice in file.notices],
        "slots": [_slot(slot, place.get(slot.path)) for slot in slots],
        "root": _tree(file.node, numbers),
    }


def _slot(slot: Slot, place: int | None) -> list[Any]:
    kind = None if slot.dtype is None else slot.dtype.str
    return [kind, slot.shape, slot.nbytes, slot.where.node, slot.where.field, place]


def _tree(node: RawNode, numbers: dict[bytes, int]) -> list[Any]:
    edges: Any = node.edges
    return [
        node.type,
        _mapping(node.fields, numbers),
        _mapping(node.metadata, numbers),
        None if node.nodes is None else {name: _tree(inner, numbers) for name, inner in node.nodes.items()},
        numbers[edges.path] if isinstance(edges, Slot) else edges,
    ]


def _mapping(mapping: Mapping[str, Any], numbers: dict[bytes, int]) -> dict[str, Any]:
    return {
        name: _mapping(value, numbers) if isinstance(value, Mapping) else _number(value, numbers)
        for name, value in mapping.items()
    }


def _number(value: Any, numbers: dict[bytes, int]) -> int | list[int | float]:
    """The number of an array; a number that is no array's stands in a list of one."""
    return numbers[value.path] if isinstance(value, Slot) else [value]


def _described(error: NIRError) -> dict[str, Any]:
    def words(value: Any) -> str | None:
        return value if value is None or isinstance(value, str) else quoted(value)

    return {
        "kind": type(error).__name__ if type(error).__module__ == FileError.__module__ else "FileError",
        "message": error.message,
        "node": error.node,
        "field": error.field,
        "found": words(error.found),
        "expected": words(error.expected),
        "hint": error.hint,
    }


def _send(answer: BinaryIO, letter: bytes, content: Any) -> None:
    for data in (letter + len(content).to_bytes(8, "little"), content):
        left = memoryview(data)
        while left:
            left = left[answer.write(left) :]
