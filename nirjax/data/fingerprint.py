"""What a data set is known by: its size, and some of its recordings."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import numpy as np

from nirjax.data.batch import Batch
from nirjax.data.events import NOWHERE, Events
from nirjax.data.padding import has_time
from nirjax.data.parts import Indexed
from nirjax.data.sources import OpenSource

LOOKED_AT = 8
"""How many recordings stand for a data set: those that are spread evenly over it."""


def fingerprint(source: OpenSource) -> str:
    """SHA-256 of the size of a data set and of a few of its recordings; none where these cannot be taken out."""
    if not isinstance(source, Indexed):
        return ""
    places = sorted({int(place) for place in np.linspace(0, source.size - 1, LOOKED_AT)})
    batches = [source.take(np.array([place]), np.array([True])) for place in places]
    return _digest([source.size, *map(_first_of, batches)])


def fingerprint_of_first(batch: Batch) -> str:
    """SHA-256 of the first recording of a stream."""
    return _digest(_first_of(batch))


def _first_of(batch: Batch) -> Any:
    """The first recording of a batch, without filling, and its target."""
    steps = batch.time if batch.length is None else int(batch.length[0])
    y = batch.y
    if y is not None:
        y = y[:steps, 0] if has_time(batch) else y[0]
    x = jax.tree.map(
        lambda part: part.index[part.index[:, 0] != NOWHERE, 0] if isinstance(part, Events) else part[:steps, 0],
        batch.x, is_leaf=lambda part: isinstance(part, Events),
    )  # fmt: skip
    return x, steps, y


def _digest(tree: Any) -> str:
    total = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        total.update(f"{array.dtype} {np.shape(leaf)} ".encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()
