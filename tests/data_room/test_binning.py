"""Events into frames: every event counted once, in its place, whatever the rounding."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from data_room.sensor import SENSOR, SHAPE, TONIC, counted, recording
from nirjax.data import bin_events
from nirjax.data.binning import _frames
from nirjax.errors import ArgumentError, DataError


@pytest.mark.parametrize("milliseconds", [1, 2, 3])
def test_every_event_is_counted_at_its_place(milliseconds: int) -> None:
    events = recording()
    found = bin_events(events, dt=milliseconds * 1e-3, shape=SHAPE)
    width = 1000 * milliseconds
    assert found.shape == (events["t"].max() // width + 1, 2, 5, 7)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, counted(events, width, len(found)))


def test_a_sensor_s_axes_are_turned_round() -> None:
    event = np.array([(6, 1, 0, True)], TONIC)  # x = 6, y = 1: in the seventh column of the second row
    frames = np.asarray(bin_events(event, dt=1e-3, shape=(2, 5, 7)))
    assert np.argwhere(frames).tolist() == [[0, 1, 1, 6]]
    with pytest.raises(DataError, match=r"\(W, H, P\)") as caught:
        bin_events(event, dt=1e-3, shape=SENSOR)
    assert caught.value.field in "xyp"


def test_events_on_the_border_of_two_steps_are_in_the_second() -> None:
    t = np.arange(0, 300) * 1000
    for dt in (1e-3, 3e-3, 1e-2):
        events = {"t": t, "x": np.zeros(300, int)}
        found = np.asarray(bin_events(events, dt=dt, shape=(1,)))[:, 0]
        np.testing.assert_array_equal(found, np.bincount(t // round(dt * 1e6)))
    seconds = np.array([0.0, 0.1, 0.2, 0.3])
    found = bin_events((seconds, np.zeros(4, int), np.zeros(4, int)), dt=0.1, shape=(1,), unit=1.0)
    np.testing.assert_array_equal(found, np.ones((4, 1)))


def test_a_width_that_is_no_whole_number_of_microseconds() -> None:
    events = recording(count=500)
    found = np.asarray(bin_events(events, dt=1 / 300, shape=SHAPE))
    expected = np.bincount(3 * events["t"] // 10_000)  # t / (10^6 / 300)
    np.testing.assert_array_equal(found.sum((1, 2, 3)), expected)


def test_forms_of_events_give_the_same() -> None:
    events = recording()
    expected = bin_events(events, dt=1e-3, shape=SHAPE)
    fields = {name: events[name] for name in "txyp"}
    signed = {**fields, "p": np.where(events["p"], 1, -1)}
    shuffled = events[np.random.default_rng(1).permutation(len(events))]
    on_device = {name: jnp.asarray(values) for name, values in fields.items()}
    for other in (fields, signed, shuffled, on_device, tuple(fields.values()), {**fields, "more": 1}):
        np.testing.assert_array_equal(bin_events(other, dt=1e-3, shape=SHAPE), expected)
    np.testing.assert_array_equal(bin_events(events, dt=1.0, shape=SHAPE, unit=1e-3), expected)


def test_shapes_of_frames() -> None:
    events = recording()
    whole = np.asarray(bin_events(events, dt=1e-3, shape=SHAPE))
    together = whole.sum(1)
    np.testing.assert_array_equal(bin_events(events, dt=1e-3, shape=SHAPE[1:]), together)
    np.testing.assert_array_equal(bin_events(events, dt=1e-3, shape=(1, *SHAPE[1:])), together[:, None])
    larger = np.asarray(bin_events(events, dt=1e-3, shape=(2, 9, 8)))
    np.testing.assert_array_equal(larger[:, :, :5, :7], whole)
    assert larger.sum() == whole.sum()


def test_sound_has_no_y() -> None:
    """As tonic yields SHD: a cochlea's channels, a polarity that is always 1, sensor_size (700, 1, 1)."""
    sound = np.array([(10, 3, 1), (20, 699, 1), (1500, 3, 1)], [("t", int), ("x", int), ("p", int)])
    expected = np.zeros((2, 700))
    expected[0, 3] = expected[0, 699] = expected[1, 3] = 1
    for shape in ((700,), (1, 700), (1, 1, 700)):
        np.testing.assert_array_equal(bin_events(sound, dt=1e-3, shape=shape), expected.reshape(2, *shape))
    polar = np.asarray(bin_events(sound, dt=1e-3, shape=(2, 700)))
    np.testing.assert_array_equal(polar[:, 1], expected)
    assert not polar[:, 0].any()
    flat = {"t": sound["t"], "x": sound["x"], "y": np.zeros(3, int)}
    np.testing.assert_array_equal(bin_events(flat, dt=1e-3, shape=(700,)), expected)


def test_any_says_whether_there_are_events() -> None:
    events = recording(count=2000)
    found = bin_events(events, dt=1e-2, shape=SHAPE, reduce="any")
    assert found.dtype == bool
    counts = counted(events, 10_000, len(found))
    assert counts.max() > 1
    np.testing.assert_array_equal(found, counts > 0)


def test_a_duration_cuts_and_extends() -> None:
    events = recording()
    short = bin_events(events, dt=1e-3, shape=SHAPE, duration=5e-3)
    np.testing.assert_array_equal(short, counted(events, 1000, 5))
    long = bin_events(events, dt=1e-3, shape=SHAPE, duration=0.0305)
    np.testing.assert_array_equal(long, counted(events, 1000, 31))
    none = np.zeros(0, TONIC)
    assert not bin_events(none, dt=1e-3, shape=SHAPE, duration=3e-3).any()
    assert bin_events(none, dt=0.1, shape=SHAPE, duration=0.3).shape == (3, *SHAPE)


def test_recordings_of_like_size_share_a_program() -> None:
    before = _frames._cache_size()
    for count in (1025, 1100, 1150):
        bin_events(recording(count=count), dt=1e-3, shape=(3, 6, 7), duration=0.02)
    assert _frames._cache_size() == before + 1


EVENTS = recording()
FIELDS = {name: EVENTS[name] for name in "txyp"}
BAD: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "no events": (np.zeros((3, 4)), {}, DataError, "structured array"),
    "no x": ({"t": EVENTS["t"]}, {}, DataError, "lack a field"),
    "no p": ({"t": EVENTS["t"], "x": EVENTS["x"], "y": EVENTS["y"]}, {}, DataError, "lack a field"),
    "lengths": ({**FIELDS, "x": EVENTS["x"][:-1]}, {}, DataError, "one number an event"),
    "floats": ({**FIELDS, "x": EVENTS["x"] * 1.0}, {}, DataError, "whole numbers"),
    "NaN": ({**FIELDS, "t": np.full(len(EVENTS), np.nan)}, {}, DataError, "no time"),
    "before": ({**FIELDS, "t": EVENTS["t"] - 5000}, {}, DataError, "before time 0"),
    "polarity": ({**FIELDS, "p": np.full(len(EVENTS), 2)}, {}, DataError, "outside the sensor"),
    "minus": ({**FIELDS, "x": np.full(len(EVENTS), -1)}, {}, DataError, "outside the sensor"),
    "clock": ({**FIELDS, "t": EVENTS["t"] + 10**15}, {}, DataError, "subtract"),
    "nothing": (EVENTS[:0], {}, DataError, "duration"),
    "flat": (EVENTS, {"shape": (70,)}, DataError, "reshape"),
    "dt": (EVENTS, {"dt": 0.0}, ArgumentError, "positive"),
    "unit": (EVENTS, {"unit": -1.0}, ArgumentError, "positive"),
    "duration": (EVENTS, {"duration": 0.0}, ArgumentError, "positive"),
    "shape": (EVENTS, {"shape": ()}, ArgumentError, "shape of a frame"),
    "axes": (EVENTS, {"shape": (1, 2, 3, 4)}, ArgumentError, "shape of a frame"),
    "reduce": (EVENTS, {"reduce": "mean"}, ArgumentError, "sum"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name: str) -> None:
    events, options, kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        bin_events(events, **{"dt": 1e-3, "shape": SHAPE, **options})
