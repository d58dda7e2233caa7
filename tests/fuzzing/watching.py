"""Watching other processes: do they answer in time, do they die, do they open what they must not?"""

from __future__ import annotations

import ctypes
import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fuzzing.content import OUTSIDE, VICTIMS

READER, MAKER = ("-m", "fuzzing.reader"), ("-m", "fuzzing.mutants")
PATIENCE = 20.0
"""Seconds after which a reader that has not answered is stopped."""
STARTING = 120.0
"""The same for what makes the mutants, and before them all that they are made from."""

_OPENED = 0x20


class Opens:
    """Which of the files outside are opened by anyone (Linux's inotify)."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._queue = libc.inotify_init1(os.O_NONBLOCK)
        for name in OUTSIDE:
            libc.inotify_add_watch(self._queue, os.fsencode(folder / name), _OPENED)

    def any(self) -> bool:
        """Has one been opened since the last call?"""
        try:
            return bool(os.read(self._queue, 2**16))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._queue)


class Servant:
    """A process that answers one JSON object a line with another; started anew when it has died."""

    def __init__(self, command: Sequence[str], folder: Path, patience: float) -> None:
        self._command, self._folder, self._patience = command, folder, patience
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **request: Any) -> dict[str, Any]:
        """What it answers, or that it crashed or hung."""
        process = self._alive()
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(request), file=process.stdin, flush=True)
        ready, _, _ = select.select([process.stdout], [], [], self._patience)
        line = process.stdout.readline() if ready else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.close()
        code = process.returncode
        return {"kind": "crash", "text": f"exit code {code}"} if ready else {"kind": "hang", "text": "no answer"}

    def _alive(self) -> subprocess.Popen[str]:
        if self._process is None:
            root = Path(__file__).parents[2]
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (root, root / "tests")))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None


def make_victims(folder: Path) -> None:
    """The files that must not be opened; the number in them must not appear in any graph."""
    import h5py
    import numpy as np

    (folder / "victims").mkdir(exist_ok=True)
    with h5py.File(folder / VICTIMS[0], "w") as file:
        file["w"] = np.full(16, 1234.5, np.float32)
    (folder / VICTIMS[1]).write_bytes(np.full(16, 1234.5, np.float32).tobytes())
