"""How long the blocks are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nirjax
from nirjax.engine.schedule import (
    KEPT,
    KEPT_ON_ACCELERATOR,
    NEAR,
    NEAR_IN_CYCLES,
    ROWS,
    Work,
    block_length,
    choose,
    schedule_of,
)
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


def _work(values: int, multiplied: int = 0, convolves: bool = False) -> Work:
    return Work(4 * values, multiplied, values, convolves)


@given(st.integers(0, 10_000), st.integers(1, 1000), st.integers(1, 2**16))
def test_auto_is_one_block_of_what_is_small_and_recomputed_blocks_of_the_rest(
    time: int, samples: int, values: int
) -> None:
    chosen = choose(time, samples, _work(values))
    if time * samples * 4 * values <= NEAR:
        assert chosen == nirjax.Schedule(None, recompute=False)
    elif chosen.block is not None:
        assert chosen.recompute
        assert chosen.block < time
        assert 2 * chosen.block * samples >= ROWS // 2 or chosen.block >= time**0.5 / 8


def test_auto_keeps_everything_where_products_outweigh_the_rest_and_there_is_memory() -> None:
    heavy = _work(1000, 1_000_000)
    assert choose(1000, 1, heavy) == nirjax.Schedule(None, recompute=False)
    assert choose(KEPT // 4000 + 1, 1, heavy).recompute
    assert choose(1000, 10, _work(8000, 0)).recompute


def test_auto_takes_blocks_that_fit_into_the_cache_where_there_are_convolutions() -> None:
    convolving = _work(16_000, 1_000_000, convolves=True)
    assert choose(300, 1, convolving) == nirjax.Schedule(150)
    assert choose(100, 16, convolving) == nirjax.Schedule(10)
    assert choose(20, 1, convolving) == nirjax.Schedule(None, recompute=False)
    long = choose(10_000, 16, convolving).block
    assert long is not None
    assert 25 <= long <= 100


def test_auto_takes_blocks_of_about_the_square_root_of_a_long_time() -> None:
    for time in (10_000, 100_000):
        block = choose(time, 64, _work(1000)).block
        assert block is not None
        assert time**0.5 / 4 <= block <= 2 * time**0.5


def test_auto_keeps_less_where_there_is_a_cycle() -> None:
    plain, cyclic = Work(16_000, 0, 4000, False), Work(16_000, 0, 4000, False, cyclic=True)
    assert choose(250, 128, plain) == choose(250, 128, cyclic) == nirjax.Schedule(10)
    plain, cyclic = Work(4000, 0, 1000, False), Work(4000, 0, 1000, False, cyclic=True)
    assert choose(1280, 4, plain) == nirjax.Schedule(None, recompute=False)
    assert NEAR_IN_CYCLES < 1280 * 4 * 4000 <= NEAR
    assert choose(1280, 4, cyclic) == nirjax.Schedule(256)


def test_auto_fills_the_cache_where_little_is_emitted() -> None:
    assert choose(10_000, 4, Work(1536, 8192, 384, False)) == nirjax.Schedule(625)
    assert choose(10_000, 128, Work(48, 96, 12, False)) == nirjax.Schedule(625)


def test_what_is_given_is_taken() -> None:
    mine = nirjax.Schedule(7, recompute=False)
    assert schedule_of(mine) is mine
    assert choose(1000, 10**9, _work(1), mine) is mine
    assert schedule_of(5) == nirjax.Schedule(5)
    assert schedule_of("auto") == "auto"


@pytest.mark.parametrize("given", ["fast", 0, -3, 2.5, True, None])
def test_a_schedule_that_is_none(given: Any) -> None:
    with pytest.raises(ArgumentError, match="schedule"):
        schedule_of(given)


@given(st.integers(1, 100_000), st.integers(1, 1000), st.integers(1, 2**20))
def test_an_accelerator_gets_one_block_or_the_longest_that_fit(time: int, samples: int, values: int) -> None:
    chosen = choose(time, samples, _work(values), accelerator=True)
    step = samples * 4 * values
    if time * step <= KEPT_ON_ACCELERATOR:
        assert chosen == nirjax.Schedule(None, recompute=False)
    elif chosen.block is not None:
        assert chosen.recompute
        assert chosen.block * step <= 2 * KEPT_ON_ACCELERATOR or chosen.block <= 2 * time**0.5
