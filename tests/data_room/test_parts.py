"""Recordings by number, batches of few shapes, and what processes see of common data."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_room.test_batches import OnDisk, Stream, arrays, ragged
from nirjax.data import Batch, Source, processes
from nirjax.data.fingerprint import fingerprint
from nirjax.data.padding import bucket, in_buckets, widened
from nirjax.data.parts import Indexed, SharedSource, check_alike, chosen, share
from nirjax.data.sources import open_source
from nirjax.errors import DataError


def pretend(monkeypatch: pytest.MonkeyPatch, index: int, count: int) -> None:
    monkeypatch.setattr(processes, "index", lambda: index)
    monkeypatch.setattr(processes, "count", lambda: count)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(1, 9))
def test_shares_are_runs_that_cover_everything_once(size: int, count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        shares = []
        for index in range(count):
            pretend(patch, index, count)
            shares.append(share(size))
    assert [number for one in shares for number in one] == list(range(size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("data", [arrays(), OnDisk(ragged()), ragged()], ids=["arrays", "on disk", "list"])
def test_recordings_by_number(data: Any) -> None:
    source = open_source(data)
    assert isinstance(source, Indexed)
    assert not isinstance(open_source(Stream(ragged())), Indexed)
    numbers = np.array([2, 0, 3])
    one, other = chosen(source, numbers, 2)
    np.testing.assert_array_equal(other.valid, [True, False])
    whole = next(source.batches(None))
    for place, (batch, column) in {2: (one, 0), 0: (one, 1), 3: (other, 0)}.items():
        length = whole.length[place]
        assert batch.length[column] == length
        np.testing.assert_array_equal(batch.x[:length, column], whole.x[:length, place])
        assert batch.y[column] == whole.y[place]


def test_a_recording_that_fills_is_read_once() -> None:
    data = OnDisk(ragged())
    source = open_source(data)
    data.drawn = 0
    list(source.batches(3))
    assert data.drawn == 4


# ------------------------------------------------------------------------------------------------------ few shapes


def batch_of(*lengths: int) -> Batch:
    return Batch(np.ones((max(lengths), len(lengths), 2)), None, np.array(lengths), np.ones(len(lengths), bool))


def test_few_lengths() -> None:
    steps = [batch.time for batch in in_buckets(batch_of(k, k) for k in range(37, 137))]
    assert steps[0] == 37
    assert all(time == bucket(k) for time, k in zip(steps[1:], range(38, 137), strict=True))
    assert len(set(steps)) <= 1 + 8 * 2
    assert [batch.time for batch in in_buckets([batch_of(37, 37), batch_of(36, 37), batch_of(37, 37)])] == [37, 37, 37]
    assert [batch.time for batch in in_buckets([batch_of(36, 37), batch_of(37, 37)])] == [bucket(37)] * 2


def test_widened_batches_repeat_their_first_sample() -> None:
    series = np.arange(5 * 2 * 3).reshape(5, 2, 3)
    batch = Batch({"a": series.astype(np.uint8), "b": series}, series, None, None)
    wide = widened(batch, 4)
    for part in (wide.x["a"], wide.x["b"], wide.y):
        np.testing.assert_array_equal(part, series[:, [0, 1, 0, 0]])
    assert wide.x["a"].dtype == np.uint8
    np.testing.assert_array_equal(wide.length, [5] * 4)
    np.testing.assert_array_equal(wide.valid, [True, True, False, False])
    assert widened(batch, 2) is batch
    labelled = widened(Batch(series, np.array([7, 8]), None, np.array([False, True])), 3)
    np.testing.assert_array_equal(labelled.y, [7, 8, 7])
    np.testing.assert_array_equal(labelled.valid, [False, True, False])


# ------------------------------------------------------------------------------------------------ several processes


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("batch_size", [3, 8])
def test_columns_of_all_processes_make_the_batches_of_one(
    monkeypatch: pytest.MonkeyPatch, count: int, batch_size: int
) -> None:
    source = open_source(arrays())
    shared = SharedSource(source, per_process=False, multiple=count)
    columns = []
    for index in range(count):
        pretend(monkeypatch, index, count)
        columns.append(list(shared._columns(batch_size, 3, 0)))
    whole = list(source.batches(batch_size, 3))
    assert {len(one) for one in columns} == {len(whole)}
    for number, batch in enumerate(whole):
        parts = [one[number] for one in columns]
        assert len({part.size for part in parts}) == 1
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=int(leaves[0].ndim > 1)), *parts)
        np.testing.assert_array_equal(together.x[:, together.valid], batch.x[:, batch.valid])
        np.testing.assert_array_equal(together.y[together.valid], batch.y[batch.valid])


def test_data_is_known_by_its_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = map(open_source, (arrays(), arrays(1), ragged(), OnDisk(ragged()), ragged()[:3]))
    assert len({fingerprint(source) for source in sources}) == 4
    assert fingerprint(open_source(Stream(ragged()))) == ""
    for told, own in (([b"a", b"b"], False), ([b"a", b"a"], True)):
        monkeypatch.setattr(processes, "bytes_of_all", lambda message, told=told: told)
        check_alike("a", not own)
        with pytest.raises(DataError, match="per_process=True"):
            check_alike("a", own)


def test_a_stream_needs_to_be_a_part() -> None:
    with pytest.raises(DataError, match="cannot be divided"):
        SharedSource(open_source(Stream(ragged())), per_process=False, multiple=2)
    SharedSource(open_source(Source(Stream(ragged()), per_process=True)), per_process=True, multiple=2)


def test_alone_everything_stays_as_it_is() -> None:
    values = {"a": np.arange(3)}
    assert processes.gathered(values) == values
    assert processes.bytes_of_all(b"x") == [b"x"]
    np.testing.assert_array_equal(processes.numbers_of_all(1, 2), [[1, 2]])
    np.testing.assert_array_equal(processes.from_first(values["a"]), values["a"])
    assert processes.all_or_none(lambda: 3) == 3
    assert processes.here(values) is not None
    with pytest.raises(ValueError, match="mine"), processes.together():
        raise ValueError("mine")
