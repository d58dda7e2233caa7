"""Results in memory: the number of each sample, and each metric of it, as arrays by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nirjax.data import processes
from nirjax.errors import CheckpointError

NUMBER = "number"
"""The name of the samples' numbers."""

Table = dict[str, np.ndarray]
"""`number (samples,)`, and `metrics/<name> (samples,)` of each metric; empty without samples."""

_TOGETHER = 256


def metric(name: str) -> str:
    """What a metric is called in a table."""
    return f"metrics/{name}"


def joined(tables: Sequence[Table]) -> Table:
    """One table of several."""
    filled = [table for table in tables if table]
    return {name: np.concatenate([table[name] for table in filled]) for name in (filled[0] if filled else ())}


def collected(tables: Iterable[Table]) -> Table:
    """One table of many small ones, of which few are held at a time."""
    large: list[Table] = []
    small: list[Table] = []
    for table in tables:
        small.append(table)
        if len(small) == _TOGETHER:
            large, small = [*large, joined(small)], []
    return joined([*large, *small])


def of_all_processes(table: Table, own: bool) -> Table:
    """The tables of all processes as one, in the order of the data.

    Args:
        table: of this process.
        own: each process numbers its own part of the data from 0; the parts come one behind the other.

    Raises:
        CheckpointError: a sample is missing, or there twice.
    """
    table = processes.gathered(processes.all_or_none(lambda: _checked(table) if own else table))
    return table if own else _checked(table)


def _checked(table: Table) -> Table:
    if not table:
        return table
    order = np.argsort(table[NUMBER])
    numbers = table[NUMBER][order]
    if not np.array_equal(numbers, np.arange(len(numbers))):
        raise CheckpointError(
            "a sample is missing, or there twice", found=f"{len(np.unique(numbers))} samples in {len(numbers)} results",
            hint="Did two evaluations write into one folder at once, or has the data become shorter?",
        )  # fmt: skip
    return {name: values[order] for name, values in table.items()}
