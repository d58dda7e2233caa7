"""Which contenders there are, and the processes that hold them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.task import Task

ROOT = Path(__file__).parents[1]


class ContenderError(Exception):
    """A contender that could not do what it was told; the message is its own."""


@dataclass(frozen=True)
class Contender:
    """A module of `benchmarks`, the environment that it runs in, and options for it.

    Attributes:
        label: its column.
        module: "engine", "limit", "peers.norse".
        python: its interpreter.
        options: words that go into every task.
    """

    label: str
    module: str
    python: str = sys.executable
    options: tuple[str, ...] = ()


@dataclass
class Process:
    """A worker that stays alive between its turns."""

    contender: Contender
    _running: Any = field(init=False)
    _log: Any = field(init=False)

    def __post_init__(self) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._running = subprocess.Popen(
            [self.contender.python, "-m", "benchmarks.worker", self.contender.module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """The answer to one command.

        Raises:
            ContenderError: the worker answered with an error, or is gone.
        """
        try:
            self._running.stdin.write(json.dumps({"do": do, **more}) + "\n")
            self._running.stdin.flush()
            line = self._running.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._log.seek(0)
            raise ContenderError(f"{self.contender.label} has stopped: {self._log.read()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer

    def prepare(self, task: Task) -> dict[str, Any]:
        """Make a task ready; the contender's own options come last."""
        task = Task(**vars(task) | {"options": task.options + self.contender.options})
        return self.ask("prepare", task=task.dumps())

    def release(self) -> None:
        """Forget the task, and what it held in memory. A worker that is gone has done so."""
        with contextlib.suppress(ContenderError):
            self.ask("release")

    def close(self) -> None:
        """End the worker."""
        with contextlib.suppress(BrokenPipeError):
            self._running.stdin.close()
        self._running.wait(timeout=30)
