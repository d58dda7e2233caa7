"""Batches through the compiled model: the next one is read and sent while this one runs, and two are held at most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import jax
import numpy as np

from nirjax.data.batch import Batch
from nirjax.data.checks import Fit
from nirjax.data.padding import in_buckets
from nirjax.data.placement import Placement
from nirjax.engine.model import Model
from nirjax.evaluation.measuring import Measured
from nirjax.evaluation.tables import NUMBER, Table, metric
from nirjax.finetuning.scoring import check_fit


@dataclass(frozen=True, eq=False)
class Scored:
    """What came of a batch, its filling left out.

    Args:
        numbers: of the samples in the data.
        values: metric to `(samples,)`.
        kept: trace to `(samples, time, *shape)`.
        length: time steps of each sample.
        moved: bytes that went to the devices, filling included.
    """

    numbers: np.ndarray
    values: dict[str, np.ndarray]
    kept: dict[str, np.ndarray]
    length: np.ndarray
    moved: int

    @property
    def table(self) -> Table:
        """The metrics alone."""
        return {NUMBER: self.numbers, **{metric(name): array for name, array in self.values.items()}}

    @property
    def bytes(self) -> int:
        """Bytes of the results."""
        return sum(array.nbytes for part in (self.values, self.kept) for array in part.values())


@dataclass(frozen=True, eq=False)
class _Running:
    """A batch on its way: which of its samples count, their numbers, and what will come of it."""

    columns: np.ndarray
    numbers: np.ndarray
    length: np.ndarray
    moved: int
    result: Measured


def stream(
    function: Callable[[Model, Batch], Measured],
    model: Model,
    batches: Iterable[Batch],
    numbers: Iterator[int],
    done: np.ndarray,
    fit: Fit,
    placement: Placement | None,
) -> Iterator[Scored]:
    """What the function measures of each batch, batch by batch.

    Args:
        function: from `measuring.scorer`, for this placement.
        model: on its devices.
        batches: of recordings.
        numbers: of the recordings, in their order.
        done: numbers of those that have been scored before, sorted; a batch of such alone is not run.
        fit: what the model takes.
        placement: the devices.
    """
    running: _Running | None = None
    for batch in in_buckets(batches):
        columns = np.flatnonzero(np.ones(batch.size, bool) if batch.valid is None else batch.valid)
        given = np.fromiter(numbers, np.int64, len(columns))
        new = np.searchsorted(done, given, "right") == np.searchsorted(done, given)
        if not new.any():
            continue
        check_fit(fit, batch)
        placed: Batch = jax.device_put(batch) if placement is None else placement.placed(batch)
        moved = sum(leaf.nbytes for leaf in jax.tree.leaves(placed))
        length = np.full(batch.size, batch.time) if batch.length is None else np.asarray(batch.length)
        result = function(model, placed)
        before, running = running, _Running(columns[new], given[new], length[columns[new]], moved, result)
        if before is not None:
            yield _fetched(before)
    if running is not None:
        yield _fetched(running)


def _fetched(running: _Running) -> Scored:
    """Waits for the batch."""
    columns, longest = running.columns, running.length.max()
    values = {name: np.asarray(value)[columns] for name, value in running.result.values.items()}
    kept = {
        name: np.moveaxis(np.asarray(trace)[:longest, columns], 1, 0) for name, trace in running.result.kept.items()
    }
    return Scored(running.numbers, values, kept, running.length, running.moved)
