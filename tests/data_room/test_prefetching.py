"""Reading ahead: the same batches in the same order, errors in their place, no thread left."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import jax
import numpy as np
import pytest

from nirjax.data import Batch, batches, prefetch
from nirjax.errors import ArgumentError


def threads() -> int:
    return sum(thread.name.startswith("nirjax-prefetch") for thread in threading.enumerate())


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_same_batches_in_the_same_order_on_the_device(size: int) -> None:
    x, y = np.random.default_rng(0).random((7, 4, 3), np.float32), np.arange(7)
    expected = list(batches((x, y), batch_size=3, seed=1))
    found = list(prefetch(batches((x, y), batch_size=3, seed=1), size))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, Batch)
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(one))
        jax.tree.map(np.testing.assert_array_equal, one, other)
    assert threads() == 0


def test_nothing_is_no_batch() -> None:
    assert list(prefetch([])) == []
    assert threads() == 0


def test_it_is_ahead_by_as_many_as_it_is_told() -> None:
    drawn: list[int] = []
    third = threading.Event()

    def source() -> Iterator[int]:
        for number in range(10):
            drawn.append(number)
            if number == 2:
                third.set()
            yield number

    ahead = prefetch(source(), 2, place=lambda item: item)
    assert drawn == []
    assert next(ahead) == 0
    assert third.wait(30)
    ahead.close()  # type: ignore[attr-defined]
    assert drawn == [0, 1, 2]


def test_an_error_comes_in_its_place() -> None:
    closed: list[bool] = []

    def source() -> Iterator[int]:
        try:
            yield 1
            yield 2
            raise OSError("the disk is gone")
        finally:
            closed.append(True)

    ahead = prefetch(source(), 3)
    assert [int(next(ahead)), int(next(ahead))] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)
    assert closed == [True]
    assert threads() == 0


def test_an_error_of_placing_comes_too() -> None:
    with pytest.raises(TypeError, match="text"):
        list(prefetch(["text"]))
    assert threads() == 0


@pytest.mark.parametrize("how", ["close", "forget"])
def test_who_stops_early_leaves_no_thread_and_an_end_to_the_source(how: str) -> None:
    closed: list[bool] = []

    def source() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    ahead = prefetch(source(), 2)
    assert int(next(ahead)) == 0
    assert threads() == 1
    if how == "close":
        ahead.close()  # type: ignore[attr-defined]
    del ahead
    gc.collect()
    assert threads() == 0
    assert closed == [True]


def test_where_batches_are_placed() -> None:
    found = list(prefetch([1, 2, 3], place=lambda item: item * 10))
    assert found == [10, 20, 30]
    with jax.default_device(jax.devices()[0]):
        ahead = prefetch([np.ones(3)])
    (array,) = ahead
    assert array.devices() == {jax.devices()[0]}


def test_a_size_below_one() -> None:
    with pytest.raises(ArgumentError, match="ahead"):
        prefetch([], 0)
