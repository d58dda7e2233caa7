"""The one data contract: every kind of source gives the same batches, and bad data is refused at once."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirjax.data import Batch, Source, batches
from nirjax.data.padding import bucket, to_bucket
from nirjax.errors import ArgumentError, DataError, FileError

N, T, C = 7, 5, 3


def arrays(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, (N, T, C)).astype(np.uint8), rng.integers(0, 4, N)


def ragged(seed: int = 0, lengths: tuple[int, ...] = (3, 5, 1, 4)) -> list[tuple[np.ndarray, int]]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(length, C)).astype(np.float32), k) for k, length in enumerate(lengths)]


class OnDisk:
    """A data set with length and index that is no list, as those of torch and tonic are."""

    def __init__(self, items: list[Any]) -> None:
        self.items, self.drawn = items, 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.drawn += 1
        return self.items[index]


class Stream:
    """An iterable without a length, that can be iterated anew."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


class Tensor:
    """Something that is no NumPy array but becomes one, as a torch tensor does."""

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)
        self.shape = self.array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)


def same(one: list[Batch], other: list[Batch]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a, b)


def sources(tmp_path: Path) -> dict[str, Any]:
    x, y = arrays()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    pairs = [(x[k], y[k]) for k in range(N)]
    return {
        "arrays": (x, y),
        "mapping": {"x": x, "y": y},
        "jax": (jnp.asarray(x), jnp.asarray(y)),
        "tensors": (Tensor(x), Tensor(y)),
        "npz": tmp_path / "data.npz",
        "npz name": str(tmp_path / "data.npz"),
        "list": pairs,
        "tuple": tuple(pairs),
        "mappings": [{"x": a, "y": b} for a, b in pairs],
        "lists": [[a, b] for a, b in pairs],
        "tensor pairs": [(Tensor(a), Tensor(b)) for a, b in pairs],
        "indexed": OnDisk(pairs),
        "stream": Stream(pairs),
        "iterator": iter(pairs),
        "source": Source((x, y)),
        "source, time last": Source((np.moveaxis(x, 1, -1), y), time_axis=-1),
    }


@pytest.mark.parametrize("kind", sources(Path("/tmp")).keys())
def test_every_source_gives_the_same_batches(kind: str, tmp_path: Path) -> None:
    x, y = arrays()
    found = list(batches(sources(tmp_path)[kind], batch_size=3))
    assert [batch.x.shape for batch in found] == [(T, 3, C)] * 3
    for k, batch in enumerate(found):
        assert batch.x.dtype == np.uint8
        real = batch.valid
        np.testing.assert_array_equal(real, np.arange(3 * k, 3 * k + 3) < N)
        np.testing.assert_array_equal(np.swapaxes(batch.x, 0, 1)[real], x[3 * k : 3 * k + 3])
        np.testing.assert_array_equal(batch.y[real], y[3 * k : 3 * k + 3])
        np.testing.assert_array_equal(batch.length, T)
        assert batch.y.dtype == np.int32


def test_the_filling_repeats_the_first_and_is_marked() -> None:
    last = list(batches(arrays(), batch_size=3))[-1]
    np.testing.assert_array_equal(last.valid, [True, False, False])
    np.testing.assert_array_equal(last.x[:, 1], last.x[:, 0])
    assert last.mean(jnp.array([2.0, 50.0, 90.0])) == 2.0


@pytest.mark.parametrize("as_arrays", [True, False])
def test_ragged_recordings_are_padded_to_the_longest_with_a_mask(as_arrays: bool) -> None:
    recordings = ragged()
    lengths = [len(x) for x, _ in recordings]
    source: Any = recordings
    if as_arrays:
        x = np.full((4, 6, C), np.nan, np.float32)
        for k, (one, _) in enumerate(recordings):
            x[k, : len(one)] = one
        source = (x, np.arange(4), np.array(lengths))
    (batch,) = batches(source, batch_size=4)
    assert batch.x.shape == (5, 4, C)
    np.testing.assert_array_equal(batch.length, lengths)
    np.testing.assert_array_equal(batch.where, np.arange(5)[:, None] < np.array(lengths))
    for k, (one, _) in enumerate(recordings):
        np.testing.assert_array_equal(batch.x[: len(one), k], one)
        assert not batch.x[len(one) :, k].any()


def test_a_target_with_time_goes_with_the_input() -> None:
    rng = np.random.default_rng(0)
    recordings = [(rng.normal(size=(n, C)), rng.normal(size=(n, 2))) for n in (3, 5)]
    (batch,) = batches(recordings, batch_size=2)
    assert batch.y.shape == (5, 2, 2)
    np.testing.assert_array_equal(batch.y[:3, 0], recordings[0][1])
    assert not batch.y[3:, 0].any()
    x, y = rng.normal(size=(4, T, C)), rng.normal(size=(4, T, 2))
    for batch in batches((x, y), batch_size=3):
        assert batch.y.shape == (T, 3, 2)


def test_a_target_without_time_stays_with_its_sample() -> None:
    x, _ = arrays()
    one_hot = np.eye(T, dtype=np.float32)[np.arange(N) % T]  # as many classes as steps
    (batch,) = batches((x, one_hot), batch_size=None)
    np.testing.assert_array_equal(batch.y, one_hot)


def test_ready_batches_and_time_axes(tmp_path: Path) -> None:
    x, y = arrays()
    expected = list(batches((x, y), batch_size=3))
    loader = [(Tensor(x[k : k + 3]), Tensor(y[k : k + 3])) for k in range(0, N, 3)]
    same(list(batches(loader, batch_size=None, batched=True, time_axis=1)), expected)
    same(list(batches(Source(loader, 1, True), batch_size=99)), expected)
    time_first = [(np.swapaxes(a.array, 0, 1), b) for a, b in loader]
    same(list(batches(time_first, batch_size=None, batched=True)), expected)
    time_last = [{"x": np.moveaxis(a.array, 1, -1), "y": b} for a, b in loader]
    same(list(batches(iter(time_last), batch_size=None, batched=True, time_axis=-1)), expected)
    same(list(batches(expected, batch_size=None)), expected)
    same(list(batches(Stream(expected), batch_size=None)), expected)
    lengths = [(a, b, np.full(a.shape[1], 2)) for a, b in time_first]
    assert (next(batches(lengths, batch_size=None, batched=True)).length == 2).all()


def test_several_inputs_are_a_dict() -> None:
    x, y = arrays()
    both = {"left": x, "right": x[..., :2]}
    recordings = [({name: part[k] for name, part in both.items()}, y[k]) for k in range(N)]
    same(list(batches((both, y), batch_size=3)), list(batches(recordings, batch_size=3)))
    assert next(batches((both, y), batch_size=3)).x["right"].shape == (T, 3, 2)


def test_without_targets() -> None:
    x, _ = arrays()
    for source in (x, {"x": x}, (x, None), list(x), [(one, None) for one in x]):
        found = list(batches(source, batch_size=3))
        assert all(batch.y is None for batch in found)
        assert sum(int(batch.valid.sum()) for batch in found) == N


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 5))
def test_an_epoch_draws_each_recording_once(count: int, size: int, seed: int) -> None:
    x = np.arange(count * 2, dtype=np.float32).reshape(count, 2, 1)
    drawn = [list(batches((x, np.arange(count)), batch_size=size, seed=s)) for s in (seed, seed, seed + 1, None)]
    labels = [np.concatenate([batch.y[batch.valid] for batch in epoch]) for epoch in drawn]
    for order in labels:
        assert sorted(order) == list(range(count))
    np.testing.assert_array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(labels[3], np.arange(count))
    if count > 10:
        assert labels[0].tolist() != labels[2].tolist()
    assert {batch.size for batch in drawn[0]} == {min(size, count)}


def test_lists_and_arrays_are_shuffled_alike() -> None:
    x, y = arrays()
    pairs = list(zip(x, y, strict=True))
    same(list(batches((x, y), batch_size=2, seed=3)), list(batches(pairs, batch_size=2, seed=3)))
    same(list(batches((x, y), batch_size=2, seed=3)), list(batches(OnDisk(pairs), batch_size=2, seed=3)))


def test_a_data_set_on_disk_is_read_as_it_goes() -> None:
    data = OnDisk(ragged(lengths=(3,) * 50))
    next(batches(data, batch_size=4))
    assert data.drawn < 10


def test_a_batch_is_a_pytree_that_jit_takes() -> None:
    batch = next(batches(arrays(), batch_size=3))
    moved = jax.jit(lambda b: b)(batch)
    assert isinstance(moved, Batch)
    assert moved.where is not None
    assert Batch(batch.x).where is None
    assert Batch(batch.x).mean(jnp.arange(3.0)) == 1
    assert pickle.loads(pickle.dumps(batch)).size == 3


def test_buckets() -> None:
    for length in range(1, 3000):
        rounded = bucket(length)
        assert length <= rounded <= length * 9 / 8 or rounded == length
    assert len({bucket(length) for length in range(512, 1024)}) <= 9
    batch = next(batches(ragged(lengths=(33, 17)), batch_size=2))
    longer = to_bucket(batch)
    assert longer.time == 36
    np.testing.assert_array_equal(longer.where[:33], batch.where)
    assert not longer.where[33:].any()
    uniform = next(batches(ragged(lengths=(33, 33)), batch_size=2))
    assert to_bucket(uniform) is uniform


NAN = np.array([[0.0, 1.0], [np.nan, 0.0]], np.float32)
BAD: dict[str, tuple[Any, str]] = {
    "an empty list": ([], "no recordings"),
    "an empty stream": (iter([]), "once"),
    "an empty array": ((np.zeros((0, 4, 2)), np.zeros(0, int)), "no recordings"),
    "no time steps": ((np.zeros((2, 0, 2)), np.zeros(2, int)), "empty"),
    "x and y differ": ((np.zeros((3, 4, 2)), np.zeros(2, int)), "differ in the number"),
    "no x": ({"inputs": np.zeros((3, 4, 2))}, "no x"),
    "NaN in arrays": (
        (np.stack([np.zeros((2, 2), np.float32), NAN]), np.zeros(2, int)),
        "x[1] is not finite at time step 1",
    ),
    "NaN in a list": ([(np.zeros((2, 2)), 0), (NAN, 1)], "recording 1 is not finite at time step 1"),
    "NaN in y": ((np.zeros((2, 3, 2)), np.array([0.5, np.nan])), "y[1] is not finite"),
    "shapes differ": ([(np.zeros((3, 2)), 0), (np.zeros((4, 3)), 1)], "another shape"),
    "targets differ": ([(np.zeros((3, 2)), 0), (np.zeros((4, 2)), [1, 2])], "another shape"),
    "a target is missing": ([(np.zeros((3, 2)), 0), (np.zeros((4, 2)), None)], "no target"),
    "text": ([(np.zeros((3, 2)), "seven")], "real numbers"),
    "complex": ((np.zeros((3, 4, 2), complex), np.zeros(3, int)), "real numbers"),
    "ragged lists": (([[1, 2], [3]], [0, 1]), "no time axis"),
    "events": ([(np.zeros(4, [("t", "i8"), ("x", "i2")]), 0)], "list of events"),
    "no pairs": ([3, 4], "pair"),
    "a number": (3, "no source"),
    "no axis of samples": (np.zeros(4), "too small"),
    "a length of zero": ((np.zeros((2, 3, 1)), np.zeros(2, int), np.array([0, 3])), "out of range"),
    "a length too long": ((np.zeros((2, 3, 1)), np.zeros(2, int), np.array([1, 4])), "out of range"),
    "lengths of the wrong size": ((np.zeros((2, 3, 1)), np.zeros(2, int), np.array([1])), "one number of steps"),
    "inputs of two lengths": ([({"a": np.zeros((3, 1)), "b": np.zeros((4, 1))}, 0)], "differ in length"),
    "a huge label": ((np.zeros((1, 3, 1)), np.array([2**40])), "32 bits"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_is_refused_with_a_reason(kind: str) -> None:
    source, reason = BAD[kind]
    with pytest.raises(DataError, match=reason.replace("[", r"\[")):
        list(batches(source, batch_size=2))


def test_bad_data_in_memory_is_refused_before_the_first_batch() -> None:
    with pytest.raises(DataError, match="recording 1"):
        batches([(np.zeros((2, 2)), 0), (NAN, 1)], batch_size=1)


def test_data_that_is_mapped_from_disk_is_checked_batch_by_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.stack([np.zeros((2, 2), np.float32), NAN]))
    epoch = batches((np.load(tmp_path / "x.npy", mmap_mode="r"), np.arange(2)), batch_size=1)
    next(epoch)
    with pytest.raises(DataError, match="not finite"):
        next(epoch)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ((np.zeros((3, 2, 1)), np.zeros(3, int)), "differ in the number"),
        ((np.zeros((3, 2, 1)), np.zeros(2, int), np.array([1, 5])), "do not fit"),
        ((np.zeros((3, 2, 1)), np.zeros(2, int), np.array([1])), "do not fit"),
        ((np.full((3, 2, 1), np.inf), np.zeros(2, int)), "not finite"),
        ((np.zeros(3), np.zeros(2, int)), "no axis of samples"),
        ((np.zeros((3, 0, 1)), np.zeros(0, int)), "empty"),
        ("abc", "no batch"),
    ],
)
def test_bad_ready_batches_are_refused(item: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        list(batches([item], batch_size=None, batched=True))


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="missing"):
        batches(tmp_path / "missing.npz", batch_size=1)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(FileError, match=r"text\.npz"):
        batches(tmp_path / "text.npz", batch_size=1)
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match="too small"):
        batches(tmp_path / "x.npy", batch_size=1)
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(DataError, match=r"other\.npz"):
        batches(tmp_path / "other.npz", batch_size=1)
    np.savez(tmp_path / "objects.npz", x=np.array([None, 1], dtype=object))
    with pytest.raises(FileError, match=r"objects\.npz"):
        batches(tmp_path / "objects.npz", batch_size=1)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ArgumentError, match="batch_size"):
        batches(arrays(), batch_size=0)
    with pytest.raises(ArgumentError, match="seed"):
        next(batches(arrays(), batch_size=1, seed=-1))
    with pytest.raises(DataError, match="time_axis"):
        batches(arrays(), batch_size=1, time_axis=5)
