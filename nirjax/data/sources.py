"""What counts as a source of data, and which kind it is."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nirjax.data.batch import Batch
from nirjax.data.checks import Fit
from nirjax.data.event_source import EventSource
from nirjax.data.nir_files import is_hdf5
from nirjax.data.nir_source import is_graph_data, nir_source
from nirjax.data.recordings import ArraySource, Seed, SequenceSource
from nirjax.data.streams import ReadyBatches, StreamSource
from nirjax.errors import DataError, FileError


@dataclass(frozen=True)
class Source:
    """A source of data together with what its loader does differently; taken wherever data is.

    Args:
        data: what `nirjax.data.batches` takes.
        time_axis: where time is in one recording (in one batch, where `batched`).
        batched: it gives batches already.
        per_process: where several processes work together, this one's data is its own part of the whole. Else all
            have the same data, and each reads its share of the recordings.
    """

    data: Any
    time_axis: int = 0
    batched: bool = False
    per_process: bool = False


class OpenSource(Protocol):
    """A source that has been looked at: it gives one epoch of batches after the other."""

    @property
    def size(self) -> int | None:
        """The number of recordings, None where nobody knows."""

    @property
    def count(self) -> int | None:
        """The number of batches where the source makes them itself and knows it, else None."""

    def check(self, fit: Fit) -> None:
        """Holds what is in memory against the model."""

    def batches(self, batch_size: int | None, seed: Seed = None, skip: int = 0) -> Iterator[Batch]:
        """One epoch without its first `skip` batches, in an order that the seed alone fixes."""


def open_source(source: Any, *, time_axis: int = 0, batched: bool = False, fit: Fit | None = None) -> OpenSource:
    """Tells what kind of source this is, and checks all that is in memory.

    Args:
        source, time_axis, batched: see `nirjax.data.batches`.
        fit: what the data is for; NIR data and events need it to know their time step and their shape.

    Raises:
        DataError: it is empty, malformed, or no source at all.
        FileError: a file that cannot be read.
    """
    if isinstance(source, Source):
        return open_source(source.data, time_axis=source.time_axis, batched=source.batched, fit=fit)
    if isinstance(source, EventSource):
        return source.opened(fit)
    if isinstance(source, str | os.PathLike):
        return _from_file(source, time_axis, fit)
    if is_graph_data(source):
        return nir_source(source, None, fit)
    if isinstance(source, tuple) and len(source) == 2 and is_graph_data(source[0]):
        return nir_source(source[0], source[1], fit)
    if batched:
        return ReadyBatches(source, time_axis)
    if isinstance(source, Mapping):
        return _from_mapping(source, time_axis)
    if hasattr(source, "shape"):
        return ArraySource.of(source, None, None, time_axis)
    if isinstance(source, tuple) and len(source) in (2, 3) and _holds_arrays(source[0]):
        return ArraySource.of(source[0], source[1], source[2] if len(source) == 3 else None, time_axis)
    if isinstance(source, list | tuple) and source and isinstance(source[0], Batch):
        return ReadyBatches(source, 0)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return SequenceSource(source, time_axis)
    if isinstance(source, Iterable):
        return StreamSource(source, time_axis)
    raise DataError(
        "this is no source of data", found=type(source).__name__,
        expected="recordings (x, y), a tuple of arrays (x, y), a file of NPZ or NIR data, or an iterable of batches",
    )  # fmt: skip


def fitting_source(given: Any, fit: Fit, name: str) -> OpenSource:
    """The source, held against what a model takes as far as it is in memory.

    Args:
        given: as for `open_source`.
        fit: what the model takes.
        name: of the argument, for errors.

    Raises:
        DataError, FileError: as `open_source`; it does not fit the model. They name the file, or the argument.
    """
    try:
        source = open_source(given, fit=fit)
        source.check(fit)
    except DataError as error:
        if isinstance(given, str | os.PathLike):
            raise error.located(file=given) from None
        error.message += f", in `{name}`"
        raise
    return source


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and all(hasattr(part, "shape") for part in value.values())
    return hasattr(value, "shape")


def _from_file(path: str | os.PathLike[str], time_axis: int, fit: Fit | None) -> OpenSource:
    if is_hdf5(path):
        return nir_source(path, None, fit)
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            arrays = {"x": np.load(path, mmap_mode="r", allow_pickle=False)}
        else:
            with file:
                arrays = {name: file[name] if name in ("x", "y", "length") else None for name in file.files}
    except OSError as error:
        raise FileError("the data cannot be read", file=path, found=error.strerror or str(error)) from error
    # NumPy's own words advise to unpickle, which can run anything that the file says.
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(
            "the file is no NPZ archive of plain arrays, no .npy and no NIR data", file=path, expected="x and y"
        ) from error
    try:
        return _from_mapping(arrays, time_axis)
    except DataError as error:
        raise error.located(file=path) from None


def _from_mapping(source: Mapping[str, Any], time_axis: int) -> ArraySource:
    if "x" not in source:
        raise DataError(
            "there is no x", field="x", found=sorted(map(str, source)), expected="x, y and, where needed, length"
        )
    return ArraySource.of(source["x"], source.get("y"), source.get("length"), time_axis)
