"""Results on disk, written as they come: a manifest, shards that each hold some samples, and a summary at the end.

    folder/manifest.json               what is evaluated: digests of the model, the data, the metrics
    folder/samples_000000000000.npz    `number` of each sample, `metrics/<name>`, and, where traces are recorded,
                                       `length` and `traces/<name>` (sample, time, *shape)
    folder/summary.json                the mean of each metric; it is there when all samples are

Every file appears whole or not at all, and every sample is in one shard. So a killed evaluation has lost what it had
not yet written, and the next one scores the samples that are in no shard.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import secrets
import time
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from nirjax import __version__
from nirjax.data import processes
from nirjax.errors import CheckpointError, DistributedError, NIRWarning, quoted
from nirjax.evaluation.streaming import Scored
from nirjax.evaluation.tables import NUMBER, Table, joined, metric
from nirjax.finetuning.interruption import Interruption
from nirjax.ir.atomic import replace_file

FORMAT = 1
SHARD_SECONDS, SHARD_SAMPLES, SHARD_BYTES = 10.0, 65536, 64 * 2**20
"""A shard is written as soon as one of these is reached."""

_LEFTOVERS = (".samples_*.tmp", ".manifest.json.*.tmp", ".summary.json.*.tmp", ".seen_*")
"""What a kill may leave behind."""

_WORDS = {"data": "data set", "metrics": "set of metrics", "traces": "set of recorded traces", "format": "format of it"}


@dataclass(frozen=True)
class Folder:
    """The results of one evaluation.

    Args:
        path: of the folder.
    """

    path: Path

    @classmethod
    def at(cls, path: Path, identity: Mapping[str, Any], resume: bool) -> Folder:
        """The folder, made if there is none.

        Args:
            path: of the folder.
            identity: what is evaluated, by name.
            resume: it may hold results of the same evaluation.

        Raises:
            CheckpointError: it cannot be made, holds another evaluation, or, without `resume`, holds any.
        """
        folder = cls(Path(os.path.abspath(path)))
        folder._open({"format": FORMAT, "nirjax": __version__, **identity}, resume)
        return folder

    @classmethod
    def of_all(cls, path: Path, identity: Mapping[str, Any], resume: bool) -> Folder:
        """The one folder of all processes, which the first of them opens.

        Raises:
            CheckpointError: as `at`.
            DistributedError: not all processes see it.
        """
        folder = cls(Path(os.path.abspath(path)))
        token = folder.path / f".seen_{processes.bytes_of_all(secrets.token_hex(8).encode())[0].decode()}"

        def opened() -> None:
            if processes.is_first():
                cls.at(path, identity, resume)
                if processes.count() > 1:
                    replace_file(token, b"")

        processes.all_or_none(opened)
        if processes.count() > 1:
            all_see = processes.numbers_of_all(token.exists()).all()
            if processes.is_first():
                token.unlink()
            if not all_see:
                raise DistributedError(
                    "not all processes see this folder", file=folder.path,
                    expected="a folder on a file system that all of them share",
                )  # fmt: skip
        return folder

    def _open(self, manifest: Mapping[str, Any], resume: bool) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for leftover in itertools.chain(*map(self.path.glob, _LEFTOVERS)):
                leftover.unlink()
        except OSError as error:
            raise CheckpointError("the folder cannot be used", file=self.path, found=error.strerror) from error
        known = self._json("manifest.json")
        if known is None and not any(self.path.glob("samples_*.npz")):
            replace_file(self.path / "manifest.json", json.dumps(manifest, indent=1).encode())
            return
        if not resume:
            raise CheckpointError(
                "the folder holds an earlier evaluation", file=self.path,
                hint="resume=True continues it; another folder starts anew",
            )  # fmt: skip
        differ = [name for name in manifest if name != "nirjax" and (known or {}).get(name) != manifest[name]]
        if differ:
            raise CheckpointError(
                "the folder holds another evaluation", file=self.path,
                found=f"another {' and another '.join(_WORDS.get(name, name) for name in differ)}",
                expected="the model, data, metrics and traces that it was started with",
                hint="Continue it with these, or choose another folder",
            )  # fmt: skip

    def read(self) -> Table:
        """All samples that were written; a damaged shard is removed, with a warning."""
        shards = []
        for path in sorted(self.path.glob("samples_*.npz")):
            try:
                with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                    names = [name for name in file.files if name == NUMBER or name.startswith(metric(""))]
                    shards.append({name: file[name] for name in names})
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                text = f"{quoted(str(path))} is damaged ({error}): its samples are scored again"
                warnings.warn(text, NIRWarning, stacklevel=4)
                path.unlink()
        return joined(shards)

    def write(self, parts: list[Scored]) -> None:
        """One shard of these samples."""
        arrays: dict[str, Any] = joined([part.table for part in parts])
        if parts[0].kept:
            arrays["length"] = np.concatenate([part.length for part in parts])
        for name in parts[0].kept:
            arrays[f"traces/{name}"] = _side_by_side([part.kept[name] for part in parts])
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        replace_file(self.path / f"samples_{arrays[NUMBER][0]:012d}.npz", buffer.getbuffer())

    def finish(self, metrics: Mapping[str, float], samples: int) -> None:
        """Says that nothing is missing any more."""
        summary = json.dumps({"samples": samples, "metrics": dict(metrics)}, indent=1)
        replace_file(self.path / "summary.json", summary.encode())

    @property
    def finished(self) -> int | None:
        """How many samples there are in all, once all are there."""
        summary = self._json("summary.json")
        return None if summary is None else int(summary["samples"])

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise CheckpointError("the file cannot be read", file=self.path / name, found=str(error)) from error
        return found


class Writer(AbstractContextManager["Writer"]):
    """Collects samples, and writes a shard when there are enough or some time has passed, and at the end.

    Whatever ends the evaluation short of a kill, nothing that was scored is lost: SIGTERM and SIGINT act once it is
    written.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._parts: list[Scored] = []
        self._samples = self._bytes = 0
        self._since = time.monotonic()
        self._interruption = Interruption()

    def __enter__(self) -> Self:
        self._interruption.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._flush()
        finally:
            self._interruption.__exit__(kind, error, _)

    def add(self, part: Scored) -> None:
        """Takes up what was scored."""
        self._parts.append(part)
        self._samples, self._bytes = self._samples + len(part.numbers), self._bytes + part.bytes
        late = time.monotonic() - self._since >= SHARD_SECONDS
        asked = self._interruption.asked is not None
        if asked or late or self._samples >= SHARD_SAMPLES or self._bytes >= SHARD_BYTES:
            self._flush()
        if asked:
            self._interruption.obey()

    def _flush(self) -> None:
        if self._parts:
            self._folder.write(self._parts)
        self._parts, self._samples, self._bytes, self._since = [], 0, 0, time.monotonic()


def _side_by_side(parts: list[np.ndarray]) -> np.ndarray:
    """(sample, time, *shape) of several lengths, with zeros behind the shorter ones."""
    steps = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(part, [(0, 0), (0, steps - part.shape[1])] + [(0, 0)] * (part.ndim - 2)) for part in parts]
    )
