"""How long the blocks are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nirjax
from nirjax.engine.schedule import CACHE, block_length, choose, schedule_of
from nirjax.errors import ArgumentError


@given(st.integers(0, 3000), st.integers(1, 500))
def test_a_block_divides_the_time_where_a_length_within_a_factor_of_two_does(time: int, wished: int) -> None:
    length = block_length(time, wished)
    if wished >= time:
        assert length == max(time, 1)
        return
    within = [n for n in range(1, time + 1) if time % n == 0 and wished / 2 <= n <= 2 * wished]
    if within:
        assert length in within
        assert all(max(length, wished) * min(n, wished) <= max(n, wished) * min(length, wished) for n in within)
    else:
        assert length == wished


@given(st.integers(0, 10_000), st.integers(0, 2**24))
def test_auto_is_one_block_of_what_is_small(time: int, bytes_per_step: int) -> None:
    chosen = choose(time, bytes_per_step, "auto")
    if time * bytes_per_step <= CACHE:
        assert chosen.block is None
    elif chosen.block is not None:
        assert chosen.recompute
        assert chosen.block >= 8
        assert chosen.block * bytes_per_step <= 2 * max(CACHE, 16 * bytes_per_step)


def test_what_is_given_is_taken() -> None:
    mine = nirjax.Schedule(7, recompute=False)
    assert schedule_of(mine) is mine
    assert choose(1000, 10**9, mine) is mine
    assert schedule_of(5) == nirjax.Schedule(5)
    assert schedule_of("auto") == "auto"


@pytest.mark.parametrize("given", ["fast", 0, -3, 2.5, True, None])
def test_a_schedule_that_is_none(given: Any) -> None:
    with pytest.raises(ArgumentError, match="schedule"):
        schedule_of(given)
