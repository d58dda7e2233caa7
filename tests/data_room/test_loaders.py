"""Loaders of other libraries as they are: what they yield is taken through its protocol alone.

torch is never imported here: `Tensor` and the loaders below have of torch's what nirjax touches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import optax
import pytest
from finetuning.tasks import data, model
from finetuning.test_finetune import equal

import nirjax
from nirjax.data import Batch, Source
from nirjax.errors import DataError

X, Y = data(12)
OPTIONS: dict[str, Any] = {"optimizer": optax.adam(0.05), "epochs": 2, "batch_size": 4, "progress": False}


class Tensor:
    """An array that says nothing of itself but its shape, its length and, to NumPy, its content."""

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._values.astype(dtype or self._values.dtype)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, places: Any) -> Tensor:
        return Tensor(self._values[places])


class MapStyle:
    """A data set with a length and an index, as torch's and tonic's are: pairs of a tensor and a number."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, place: int) -> Any:
        if not 0 <= place < len(X):
            raise IndexError(place)
        return Tensor(X[place]), int(Y[place])


class Streamed:
    """A data set that can only be iterated; torch's has an index that raises, and no length."""

    def __getitem__(self, place: int) -> Any:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        return (MapStyle()[place] for place in range(len(X)))


class Loader:
    """A loader of batches, samples first: lists of tensors, a length, no index. Its last batch is smaller."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return -(-len(X) // self.size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(X), self.size):
            yield [Tensor(X[start : start + self.size]), Tensor(Y[start : start + self.size])]


def tuned(source: Any) -> nirjax.FinetuneResult:
    return nirjax.finetune(model(), source, **OPTIONS)


def in_order(size: int = 4) -> nirjax.FinetuneResult:
    """The same batches, made by hand."""
    starts = range(0, len(X), size)
    return tuned([Batch(np.swapaxes(X[k : k + size], 0, 1), Y[k : k + size].astype(np.int32)) for k in starts])


@pytest.mark.parametrize("source", [MapStyle(), (Tensor(X), Tensor(Y))], ids=["map style", "tensors"])
def test_recordings_are_those_of_plain_arrays(source: Any) -> None:
    equal(tuned(source).model, tuned((X, Y)).model)


@pytest.mark.parametrize("size", [4, 5])
def test_a_loader_of_batches(size: int) -> None:
    source = Source(Loader(size), time_axis=1, batched=True)
    equal(tuned(source).model, in_order(size).model)
    found = nirjax.evaluate(model(), source)
    np.testing.assert_array_equal(found.per_sample["accuracy"], nirjax.evaluate(model(), (X, Y)).per_sample["accuracy"])


def test_a_stream_of_recordings() -> None:
    equal(tuned(Streamed()).model, in_order().model)


def test_a_loader_that_pads_and_says_how_long() -> None:
    ragged = [(X[place][: 3 + place % 5], Y[place]) for place in range(len(X))]
    ready = [next(nirjax.data.batches(ragged[k : k + 4], batch_size=4)) for k in (0, 4, 8)]
    padded = [(Tensor(batch.x), Tensor(batch.y), Tensor(batch.length)) for batch in ready]
    equal(tuned(Source(padded, batched=True)).model, tuned(ready).model)


def test_batches_that_are_not_called_so_are_refused_with_the_words_that_help() -> None:
    with pytest.raises(DataError, match=r"batched=True.*time_axis=1"):
        tuned(Loader(4))


def test_grain() -> None:
    grain = pytest.importorskip("grain", reason="grain is an extra: pip install 'nirjax[grain]'")
    recordings = grain.MapDataset.source(list(zip(X, Y, strict=True)))
    equal(tuned(recordings).model, tuned((X, Y)).model)
    equal(tuned(recordings.map(lambda pair: {"x": pair[0], "y": pair[1]})).model, tuned((X, Y)).model)
    equal(tuned(recordings.to_iter_dataset()).model, in_order().model)
    batched = recordings.batch(4)
    for source in (batched, batched.to_iter_dataset()):
        equal(tuned(Source(source, time_axis=1, batched=True)).model, in_order().model)
    sampler = grain.samplers.IndexSampler(num_records=len(X), shuffle=False, num_epochs=1)
    loader = grain.DataLoader(
        data_source=list(zip(X, Y, strict=True)), sampler=sampler, operations=[grain.transforms.Batch(4)]
    )
    equal(tuned(Source(loader, time_axis=1, batched=True)).model, in_order().model)
