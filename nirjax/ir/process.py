"""The reading of a file in a process of its own, seen from the process that asks for it.

What comes back is believed no more than the file itself: sizes are checked before anything is allocated.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from nirjax import errors
from nirjax.errors import FileError, NIRError, quoted
from nirjax.ir.filling import filled
from nirjax.ir.limits import Limits
from nirjax.ir.places import Slot, Where
from nirjax.ir.raw import Notice, RawFile, RawNode
from nirjax.ir.shared import array_in, finished, shared_memory, size_of

PATIENCE = 10
"""Seconds of waiting that a worker has beyond five times its processor time."""

_START = "import json, sys; sys.path += json.loads(sys.argv.pop()); import nirjax.ir.worker as w; w.main()"
_SMALL = 2**16
_Shape = tuple[str | None, tuple[int, ...], int | None]
_TRUST = "If you trust the file, nirjax.read(path, trusted=True) reads it in this process."


def read_apart(path: bytes, table: Mapping[str, Any] | None, limits: Limits) -> RawFile:
    """The content of a file, read by a worker process under limits of memory and time.

    Raises:
        NIRError: what the worker found wrong, as the walk of `nirjax.ir.data_reading.walk_of(table)` raises it.
        FileError: the worker crashed or ran out of time or memory; or none could be started.
    """
    shared = shared_memory(2 * limits.bytes)
    try:
        request = {
            "path": os.fsdecode(os.path.abspath(path)),
            "limits": dataclasses.asdict(limits),
            "table": None if table is None else dict(table),
            "shared": shared,
        }
        header, slots, sent = _answer_of(_started(shared), json.dumps(request).encode(), limits, size_of(shared))
        return _file(header, slots, sent, shared)
    except NIRError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise FileError("its reading gave no sense", found=quoted(f"{type(error).__name__}: {error}")) from None
    finally:
        if shared is not None:
            os.close(shared)


def _started(shared: int | None) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise FileError("no process can be started to read the file in", found="no sys.executable", hint=_TRUST)
    quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, json.dumps(_places())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, **quiet},
            pass_fds=() if shared is None else (shared,),
        )
    except (OSError, ValueError) as error:
        raise FileError("no process can be started to read the file in", found=str(error), hint=_TRUST) from None


def _places() -> list[str]:
    """Folders in which the worker finds nirjax, NumPy and h5py, and finds the same as this process."""
    found = [str(Path(__file__).resolve().parents[2])]
    for name in ("numpy", "h5py"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(str(Path(spec.origin).resolve().parents[1]))
    return list(dict.fromkeys(found))


# ------------------------------------------------------------------------------------------------------- the answer


def _answer_of(
    worker: subprocess.Popen[bytes], request: bytes, limits: Limits, most_shared: int
) -> tuple[dict[str, Any], list[_Shape], list[np.ndarray]]:
    """The header, its slots, and the arrays that were sent. The worker has ended, and can write no more."""
    timer = threading.Timer(PATIENCE + 5 * limits.seconds, worker.kill)
    timer.daemon = True
    timer.start()
    assert worker.stdin is not None
    assert worker.stdout is not None
    pipe = worker.stdout
    try:
        with worker.stdin as entry:
            entry.write(request)
        header = json.loads(_frame(pipe, b"H", limits.bytes))
        slots = _checked_slots(header["slots"], limits.bytes, most_shared)
        sent = [_array(pipe, kind, shape, limits.bytes) for kind, shape, place in slots if place is None]
        _frame(pipe, b"Z", 0)
        return header, slots, sent
    except (EOFError, OSError) as error:
        if isinstance(error, NIRError):
            raise
        raise _ended(worker) from None
    finally:
        timer.cancel()
        worker.kill()
        worker.wait()
        pipe.close()


def _frame(pipe: IO[bytes], letter: bytes, most: int) -> bytes:
    data = bytearray(_length(pipe, letter, most))
    _fill(pipe, memoryview(data))
    return bytes(data)


def _length(pipe: IO[bytes], letter: bytes, most: int) -> int:
    """Length of the next frame, which is to be of this kind; raises the error that comes instead."""
    head = bytearray(9)
    _fill(pipe, memoryview(head))
    length = int.from_bytes(head[1:], "little")
    if head[:1] == b"E":
        data = bytearray(min(length, 2**20))
        _fill(pipe, memoryview(data))
        raise _described(json.loads(data))
    if head[:1] != letter or length > most:
        raise ValueError("a frame out of order, or too long")
    return length


def _fill(pipe: IO[bytes], left: memoryview) -> None:
    while left:
        count = pipe.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        left = left[count:]


def _array(pipe: IO[bytes], kind: str | None, shape: tuple[int, ...], most: int) -> np.ndarray:
    if kind is None:
        lengths = np.frombuffer(_frame(pipe, b"A", most), "<u4")
        text = _frame(pipe, b"A", most)
        if lengths.size != math.prod(shape) or int(lengths.sum(dtype=np.uint64)) != len(text):
            raise ValueError("words that do not add up")
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        words = np.empty(lengths.size, dtype=object)
        words[:] = [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        return words.reshape(shape)
    array = np.empty(shape, dtype=kind)
    if _length(pipe, b"A", array.nbytes) != array.nbytes:
        raise ValueError("an array that does not add up")
    _fill(pipe, memoryview(array.reshape(-1).view(np.uint8)))  # type: ignore[arg-type]
    return array


def _checked_slots(slots: Any, most: int, most_shared: int) -> list[_Shape]:
    checked, total = [], 0
    for kind, shape, nbytes, _, _, place in slots:
        shape = tuple(int(n) for n in shape)
        if min(shape, default=0) < 0 or int(nbytes) < 0:
            raise ValueError("a negative size")
        if kind is not None:
            dtype = np.dtype(str(kind))
            if dtype.kind not in "biufcS" or math.prod(shape) * dtype.itemsize != nbytes:
                raise ValueError("an array that does not add up")
        if place is not None and (kind is None or not 0 <= int(place) <= most_shared - nbytes):
            raise ValueError("an array beyond the shared memory")
        total += max(int(nbytes), 16 * math.prod(shape) if kind is None else 0)
        if total > most:
            raise ValueError("more data than the file may hold")
        checked.append((kind, shape, None if place is None else int(place)))
    return checked


def _file(header: dict[str, Any], shapes: list[_Shape], sent: list[np.ndarray], shared: int | None) -> RawFile:
    arrays = list(_arrays(header["slots"], shapes, sent, shared))
    slots = [
        Slot(
            b"%d" % i, Where(_text(node), _text(field)), None if kind is None else np.dtype(kind), tuple(shape), nbytes
        )
        for i, (kind, shape, nbytes, node, field, _) in enumerate(header["slots"])
    ]
    notices = tuple(Notice(str(message), _text(node), _text(field)) for message, node, field in header["notices"])
    file = RawFile(_node(header["root"], slots), _text(header["version"]), _text(header["digest"]), notices)
    return filled(file, lambda slot: arrays[int(slot.path)])


def _arrays(slots: list[Any], shapes: list[_Shape], sent: list[np.ndarray], shared: int | None) -> Iterator[np.ndarray]:
    """Every array: as it was sent, or where it lies in the shared memory. One of a few bytes is copied from there:
    keeping it is not to keep all the memory."""
    ends = [place + slot[2] for slot, (_, _, place) in zip(slots, shapes, strict=True) if place is not None]
    memory = finished(shared, max(ends)) if shared is not None and max(ends, default=0) else None
    pending = iter(sent)
    for slot, (kind, shape, place) in zip(slots, shapes, strict=True):
        if place is None:
            yield next(pending)
        else:
            array = array_in(memory, place, np.dtype(kind), shape)
            yield array if slot[2] > _SMALL else array.copy()


def _node(tree: Any, slots: list[Slot]) -> RawNode:
    kind, fields, metadata, nodes, edges = tree
    return RawNode(
        type=str(kind),
        fields=_mapping(fields, slots),
        metadata=_mapping(metadata, slots),
        nodes=None if nodes is None else {name: _node(inner, slots) for name, inner in nodes.items()},
        edges=slots[edges] if isinstance(edges, int) else edges,  # type: ignore[arg-type]
    )


def _mapping(mapping: Any, slots: list[Slot]) -> dict[str, Any]:
    return {
        name: _mapping(value, slots) if isinstance(value, dict) else _value(value, slots)
        for name, value in mapping.items()
    }


def _value(value: Any, slots: list[Slot]) -> Slot | int | float:
    if not isinstance(value, list):
        return slots[int(value)]
    (number,) = value
    return number if isinstance(number, int) else float(number)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


# -------------------------------------------------------------------------------------------------------- failures


def _described(report: Any) -> NIRError:
    kind = getattr(errors, str(report.get("kind")), FileError)
    if not (isinstance(kind, type) and issubclass(kind, NIRError)):
        kind = FileError
    rest = {name: _text(report.get(name)) for name in ("node", "field", "found", "expected", "hint")}
    return kind(str(report.get("message")), **rest)


def _ended(worker: subprocess.Popen[bytes]) -> FileError:
    """The error for a worker that stopped in the middle."""
    code = worker.wait()
    if code in {-getattr(signal, name, 0) for name in ("SIGXCPU", "SIGPROF", "SIGKILL")}:
        return FileError(
            "reading it takes too long, or too much memory",
            found=f"a process stopped by signal {-code}",
            expected="a sound file, which takes a small part of that",
        )
    if code < 0:
        return FileError("reading it crashes HDF5", found=f"signal {-code}", expected="a sound file")
    return FileError("the process that was to read the file ended early", found=f"exit code {code}", hint=_TRUST)
