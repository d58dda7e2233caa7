"""The process that reads mutants, and may die of it: one JSON object a line in, one a line out.

It does what `nirjax.read` does but for one thing: a worker is forked from here instead of started anew, which takes a
hundredth of the time. (This process imports neither JAX nor anything else with threads, so that it may.)
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from nirjax.errors import NIRError, NIRWarning
from nirjax.ir import process, worker
from nirjax.ir.digest import content_digest
from nirjax.ir.hdf5 import read

MOST_MEMORY = 4 * 2**30
"""Bytes of address space beyond what importing takes: a reader that asks for more gets a MemoryError."""


class Forked:
    """A worker process, as far as `nirjax.ir.process` asks: what `subprocess.Popen` gives."""

    usage: Any = None

    def __init__(self) -> None:
        (entry, self._write), (self._read, answer) = os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.dup2(entry, 0)
                os.dup2(answer, 1)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                for descriptor in (entry, answer, self._write, self._read):
                    os.close(descriptor)
                sys.stdin = io.TextIOWrapper(io.FileIO(0))
                worker.main()
            finally:
                os._exit(0 if sys.exc_info()[0] is None else 1)
        os.close(entry)
        os.close(answer)
        self.stdin = io.FileIO(self._write, "w")
        self.stdout = io.FileIO(self._read)
        self._code: int | None = None

    def kill(self) -> None:
        if self._code is None:
            os.kill(self._pid, 9)

    def wait(self) -> int:
        if self._code is None:
            _, status, Forked.usage = os.wait4(self._pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
        return self._code


def outcome(path: str, trusted: bool) -> dict[str, Any]:
    """What reading the file gives and takes."""
    Forked.usage = None
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    base, before, start = _peak(), resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    found: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found |= {"kind": "read", "content": content_digest(read(path, trusted=trusted))}
        except NIRError as error:
            found |= {"kind": "refused", "error": type(error).__name__, "message": error.message, "text": str(error)}
        except Exception as error:
            found |= {"kind": "wrong error", "error": type(error).__name__, "text": repr(error)}
    after = resource.getrusage(resource.RUSAGE_SELF)
    return found | {
        "odd warnings": [str(w.message) for w in caught if not issubclass(w.category, NIRWarning)],
        "seconds": time.monotonic() - start,
        "computed": _seconds(after) - _seconds(before) + (_seconds(Forked.usage) if Forked.usage else 0),
        "memory": max(_peak() - base, 0),
        "worker memory": Forked.usage.ru_maxrss * 1024 - base if Forked.usage else 0,
    }


def _seconds(usage: Any) -> float:
    return float(usage.ru_utime + usage.ru_stime)


def _peak() -> int:
    """The most memory that this process had in use, in bytes."""
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def main() -> None:
    """Answer until there is nothing more to read."""
    process._started = lambda _: Forked()  # type: ignore[assignment, return-value]
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(outcome(request["path"], request["trusted"])), file=answer)


if __name__ == "__main__":
    main()
