"""Times to time steps: floor, but for rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirjax.data.time_steps import checked_step, same_step, started_steps, steps_at, whole_steps
from nirjax.errors import ArgumentError, DataError


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("dt", [0.1, 1e-3, 1e-4, 1 / 3, 7.3e-5])
def test_multiples_of_a_step_are_themselves(dt: float, dtype: type) -> None:
    k = np.arange(20_000)
    times = (k * dt).astype(dtype)
    if dt == 1e-3:
        assert (np.floor(times / dtype(dt)) != k).any()
    np.testing.assert_array_equal(steps_at(times, dt), k)
    np.testing.assert_array_equal(steps_at(k / (1 / dt), dt), k)


def test_the_known_case() -> None:
    assert int(0.3 / 0.1) == 2
    assert steps_at(0.3, 0.1) == 3


@given(st.integers(0, 10**12), st.integers(1, 10**6))
@settings(max_examples=100, deadline=None)
def test_whole_microseconds_are_divided_exactly(time: int, width: int) -> None:
    seconds = width * 1e-6
    assert steps_at(np.array([time]), seconds / 1e-6)[0] == time // width


@given(st.floats(0, 1e3), st.floats(1e-4, 1e-1))
@settings(max_examples=200, deadline=None)
def test_all_else_is_the_floor_of_the_exact_quotient(time: float, dt: float) -> None:
    quotient = Fraction(time) / Fraction(dt)
    found = int(steps_at(np.float64(time), dt))
    if found != quotient // 1:
        assert found == quotient // 1 + 1
        assert found - quotient <= 1e-15 * max(1, found)


def test_negative_times_lie_before_the_first_step() -> None:
    assert steps_at(np.array([-1e-9, -0.1, -3]), 0.1).tolist() == [-1, -1, -30]
    assert steps_at(np.array([-1, -1000]), 1000.0).tolist() == [-1, -1]


def test_durations() -> None:
    assert [whole_steps(0.3, 0.1), whole_steps(0.35, 0.1), whole_steps(0.0, 0.1)] == [3, 3, 0]
    assert [started_steps(0.3, 0.1), started_steps(0.35, 0.1), started_steps(0.0, 0.1)] == [3, 4, 0]
    with pytest.raises(DataError, match="too many"):
        whole_steps(1e300, 1e-3)


@pytest.mark.parametrize("dt", [0, -1.0, float("nan"), float("inf"), "1", True, None])
def test_what_is_no_time_step(dt: object) -> None:
    with pytest.raises(ArgumentError, match="positive"):
        checked_step(dt)


def test_one_step_in_single_and_double_precision() -> None:
    assert same_step(float(np.float32(1e-4)), 1e-4)
    assert not same_step(1e-4, 1.01e-4)
