"""Batches of several processes in step. Each process is a thread here, and what they tell goes through memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_room.test_batches import OnDisk, Stream
from nirjax.data import Batch, Events, EventSource, Source, processes
from nirjax.data.agreement import in_step
from nirjax.data.events import NOWHERE
from nirjax.data.padding import bucket
from nirjax.data.parts import SharedSource
from nirjax.data.sources import open_source
from nirjax.errors import DataError, DistributedError

WAIT = 30
"""Seconds after which the others of a process do not come."""


class Peers:
    """So many processes that have been joined."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._here, self._met = threading.local(), threading.Barrier(count)
        self._told: list[Any] = [None] * count

    def run(self, work: Callable[[int], Any]) -> list[Any]:
        """What `work(index)` gives or raises in each of them."""

        def one(index: int) -> Any:
            self._here.index = index
            try:
                return work(index)
            except Exception as error:
                return error

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(processes, "count", lambda: self.count)
            patch.setattr(processes, "index", lambda: self._here.index)
            patch.setattr(processes, "numbers_of_all", lambda *numbers: np.array(self._of_all(numbers), np.int32))
            patch.setattr(processes, "bytes_of_all", self._of_all)
            with ThreadPoolExecutor(self.count) as pool:
                return list(pool.map(one, range(self.count)))

    def _of_all(self, value: Any) -> list[Any]:
        self._told[self._here.index] = value
        self._met.wait(WAIT)
        told = list(self._told)
        self._met.wait(WAIT)
        return told


def stepped(*parts: Iterable[Batch]) -> list[Any]:
    """The batches of processes that have these, or the error of each."""
    return Peers(len(parts)).run(lambda index: list(in_step(parts[index], lambda: None)))


def batch_of(*lengths: int, dtype: Any = np.float32, y: Any = None) -> Batch:
    valid = np.ones(len(lengths), bool)
    return Batch(np.ones((max(lengths), len(lengths), 2), dtype), y, np.array(lengths), valid)


def programs(batches: list[Batch]) -> list[Any]:
    """What a program is compiled for: the shapes and dtypes of all arrays, and what events stand for."""
    return [
        (jax.tree.structure(batch), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(batch)]) for batch in batches
    ]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (batch_of(5, 5), (bucket(7), 2)),
        (batch_of(7, 7, 7, 7), (7, 4)),
        (batch_of(7, 6), (bucket(7), 2)),
        (batch_of(20, 20), (bucket(20), 2)),
    ],
)
def test_batches_agree_on_size_and_length(other: Batch, expected: tuple[int, int]) -> None:
    for (batch,) in stepped([batch_of(7, 7)], [other]):
        assert (batch.time, batch.size) == expected
        assert batch.valid.sum() in (2, 4)


def test_a_process_that_has_no_more_gives_filling() -> None:
    one, other = stepped([batch_of(7, 7)], [batch_of(7, 7)] * 3)
    assert [batch.valid.all() for batch in one] == [True, False, False]
    assert not one[-1].valid.any()
    np.testing.assert_array_equal(one[-1].x, one[0].x)
    assert all(batch.valid.all() for batch in other)


def recording(events: int, last: int) -> dict[str, np.ndarray]:
    """So many events, over all places of (2, 3), the last at a time step."""
    t = np.linspace(0, last, events).astype(int)
    return {"t": t, "x": np.arange(events) % 3, "y": np.arange(events) // 3 % 2}


EVENTS = st.lists(st.tuples(st.integers(1, 200), st.integers(3, 40)), min_size=1, max_size=7)


@settings(max_examples=50, deadline=None)
@given(st.lists(EVENTS, min_size=2, max_size=4), st.integers(1, 3))
def test_all_processes_bring_the_arrays_of_one_program(sizes: list[list[tuple[int, int]]], batch_size: int) -> None:
    """Recordings of any number of events, any lengths and numbers in each process: each is there once."""
    parts = [[(recording(*size), k) for k, size in enumerate(part)] for part in sizes]

    def work(index: int) -> list[Batch]:
        source = open_source(EventSource(parts[index], dt=1, shape=(2, 3), unit=1))
        return list(SharedSource(source, True, len(parts)).batches(batch_size * len(parts)))

    found = Peers(len(parts)).run(work)
    for batches, part in zip(found, parts, strict=True):
        assert programs(batches) == programs(found[0])
        seen = [
            (batch.x.index[:, place], batch.length[place]) for batch in batches for place in np.flatnonzero(batch.valid)
        ]
        assert len(seen) == len(part)
        for (index, length), (events, _) in zip(seen, part, strict=True):
            assert length == events["t"].max() + 1
            expected = np.ravel_multi_index((events["t"], events["y"], events["x"]), (length, 2, 3))
            np.testing.assert_array_equal(index[index != NOWHERE], expected)


@pytest.mark.parametrize("kind", [OnDisk, Stream])
def test_a_short_part_is_filled_up_in_a_pass_that_goes_on_behind_its_end(kind: Any) -> None:
    parts = [[(np.ones((4, 2), np.float32), k) for k in range(count)] for count in (1, 5)]

    def work(index: int) -> list[Batch]:
        source = open_source(Source(kind(parts[index]), per_process=True))
        return list(SharedSource(source, True, 2).batches(2, skip=3))

    short, long = Peers(2).run(work)
    assert [int(batch.valid.sum()) for batch in short] == [0, 0]
    assert [batch.y.tolist() for batch in long] == [[3], [4]]


def test_an_error_of_one_is_an_error_of_all() -> None:
    def broken() -> Iterator[Batch]:
        yield batch_of(7)
        raise DataError("this one")

    one, other = stepped(broken(), [batch_of(7)] * 2)
    assert isinstance(one, DataError)
    assert one.message == "this one"
    assert isinstance(other, DistributedError)
    assert "process 0 cannot read" in str(other)


def test_an_empty_part_is_told_to_all() -> None:
    one, other = stepped([batch_of(7)], [])
    assert isinstance(one, DistributedError)
    assert isinstance(other, DataError)
    assert "process 1 has no recordings" in str(one)
    assert stepped([], []) == [[], []]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (batch_of(7, dtype=np.uint8), "process 0: x float32 (2,); process 1: x uint8 (2,)"),
        (batch_of(7, y=np.array([1], np.int32)), "process 1: x float32 (2,), y int32 ()"),
        (Batch(Events(np.zeros((4, 1), np.int32), 7, (2,)), None, np.array([7])), "process 1: x sum of events (2,)"),
    ],
)
def test_processes_with_recordings_of_several_kinds_are_refused(other: Batch, words: str) -> None:
    for error in stepped([batch_of(7)], [other]):
        assert isinstance(error, DataError)
        assert words in str(error)


def test_a_kind_is_what_the_device_sees() -> None:
    """float64 becomes float32 on the way there, and the order of a dict is nobody's business."""
    one, other = (
        Batch({name: np.ones((3, 1, 2), dtype) for name in names}, None, np.array([3]), np.array([True]))
        for names, dtype in (("ab", np.float32), ("ba", np.float64))
    )
    assert all(isinstance(found, list) for found in stepped([one], [other]))
