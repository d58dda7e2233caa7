"""Training states on disk: whole or not at all, and never silently damaged.

Orbax writes the arrays. It gives back flipped bytes without a word, and leaves a trail of errors where files are cut
off. So each checkpoint has a digest of its files beside it, written last (a checkpoint without one was never finished)
and compared before orbax reads any of them.

    folder/step_0000000120/       orbax
    folder/step_0000000120.json   digest of the files, and of the run that they belong to
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nirjax.data.processes import index
from nirjax.errors import CheckpointError, NIRWarning, quoted
from nirjax.ir.atomic import replace_file

KEPT = 3
"""How many checkpoints a folder holds: the newest, and those to fall back on."""

_STEP = re.compile(r"step_(\d{10})")
_NOTES = re.compile(r"step_(\d{10})\.json")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run in one folder.

    Args:
        folder: made if it does not exist.
        run: digest of what fixes the run; a checkpoint of another one is refused.
    """

    folder: Path
    run: str

    @classmethod
    def at(cls, folder: str | os.PathLike[str], run: str) -> Checkpoints:
        """Raises a CheckpointError if the folder cannot be made."""
        path = Path(os.path.abspath(folder))
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError("the folder cannot be made", file=path, found=str(error)) from error
        return cls(path, run)

    def steps(self) -> list[int]:
        """Steps that were saved to the end, the newest first."""
        found = [_NOTES.fullmatch(entry.name) for entry in self.folder.iterdir()]
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def save(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes a checkpoint, then its digest; only then are older ones removed, and what kills have left.

        Raises:
            CheckpointError: it cannot be written, on a full disk say.
        """
        target = self._arrays(step)
        try:
            self._remove(step)
            _checkpointer().save(target, dict(arrays))
            notes = {"digest": files_digest(target), "run": self.run, "step": step}
            replace_file(self._notes(step), json.dumps(notes).encode())
        except Exception as error:
            raise CheckpointError("the checkpoint cannot be written", file=target, found=str(error)) from error
        kept = self.steps()[:KEPT]
        for entry in list(self.folder.iterdir()):
            match = _STEP.match(entry.name)
            if match and int(match[1]) not in kept:
                self._remove(int(match[1]))

    def newest(self) -> dict[str, np.ndarray] | None:
        """The newest checkpoint that is whole; None where there is none at all. Warns of each that is damaged.

        Raises:
            CheckpointError: all are damaged, or they belong to another run.
        """
        steps = self.steps()
        for step in steps:
            try:
                return self._load(step)
            except _DamagedError as error:
                text = (
                    f"checkpoint {quoted(str(self._arrays(step)))} is damaged ({error}); going back to the one before"
                )
                warnings.warn(text, NIRWarning, stacklevel=4)
        if steps:
            raise CheckpointError("every checkpoint is damaged", file=self.folder, hint="Start anew in another folder")
        return None

    def _load(self, step: int) -> dict[str, np.ndarray]:
        try:
            notes = json.loads(self._notes(step).read_bytes())
            expected, run = notes["digest"], notes["run"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _DamagedError(f"unreadable notes: {error}") from error
        if run != self.run:
            raise CheckpointError(
                "the checkpoint belongs to another run", file=self._arrays(step),
                expected="the same starting model, data, trained parameters, optimizer, batch size and seed",
                hint="Resume with these, or choose another folder",
            )  # fmt: skip
        try:
            found = files_digest(self._arrays(step))
        except OSError as error:
            raise _DamagedError(f"unreadable files: {error}") from error
        if found != expected:
            raise _DamagedError("its files are not those that were written")
        return {name: np.asarray(value) for name, value in _checkpointer().restore(self._arrays(step)).items()}

    def _remove(self, step: int) -> None:
        self._notes(step).unlink(missing_ok=True)
        for leftover in self.folder.glob(f"{self._arrays(step).name}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _arrays(self, step: int) -> Path:
        return self.folder / f"step_{step:010d}"

    def _notes(self, step: int) -> Path:
        return self.folder / f"step_{step:010d}.json"


class _DamagedError(Exception):
    """This checkpoint cannot be used; the one before may be."""


def files_digest(folder: Path) -> str:
    """SHA-256 of the names and bytes of all files below a folder, in hexadecimal."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        raw = path.read_bytes()
        total.update(f"{path.relative_to(folder).as_posix()} {len(raw)} ".encode())
        total.update(raw)
    return total.hexdigest()


def digest(arrays: Mapping[str, Any]) -> str:
    """SHA-256 of names, dtypes, shapes and bytes, in hexadecimal."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype} {np.shape(arrays[name])} ".encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _checkpointer() -> Any:
    # Orbax takes a second to import, and is needed for nothing else.
    from orbax import checkpoint

    # Of several processes one alone writes, and each reads for itself: none waits for the others.
    alone = checkpoint.options.MultiprocessingOptions(primary_host=index(), active_processes={index()})
    handler = checkpoint.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return checkpoint.Checkpointer(handler, multiprocessing_options=alone)
