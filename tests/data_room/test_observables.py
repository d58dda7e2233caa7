"""Observables, held against the reference package."""

from __future__ import annotations

import dataclasses
from typing import Any

import nir
import numpy as np
import pytest

from nirjax.data import EventData, TimeGriddedData, ValuedEventData
from nirjax.errors import DataError, NIRWarning

SPIKES = np.random.default_rng(0).random((3, 12, 5)) < 0.3


def events(seed: int = 0, samples: int = 4, count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    idx = random.integers(-1, 6, (samples, count))
    return idx, np.where(idx < 0, np.inf, random.random((samples, count)))


def test_names_and_fields_are_the_reference_s() -> None:
    for kind in (TimeGriddedData, EventData, ValuedEventData):
        reference = getattr(nir, kind.__name__)
        assert [f.name for f in dataclasses.fields(kind)] == [f.name for f in dataclasses.fields(reference)]
        public = {name for name in dir(reference) if not name.startswith("_")}
        assert public <= set(dir(kind))


def test_properties_are_the_reference_s() -> None:
    ours, theirs = TimeGriddedData(SPIKES, 0.5), nir.TimeGriddedData(SPIKES, 0.5)
    for name in ("shape", "n_samples", "n_time_steps", "n_neurons", "t_max"):
        assert getattr(ours, name) == getattr(theirs, name)
    idx, time = events()
    assert EventData(idx, time, 6, 1.0).shape == nir.EventData(idx, time, 6, 1.0).shape
    assert EventData(idx, time, 6, 1.0).n_samples == 4


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_spikes_become_the_reference_s_events(shift: float) -> None:
    ours = TimeGriddedData(SPIKES, 0.5).to_event(40, shift)
    theirs = nir.TimeGriddedData(SPIKES, 0.5).to_event(40, shift)
    np.testing.assert_array_equal(ours.time, theirs.time)
    assert (ours.n_neurons, ours.t_max) == (theirs.n_neurons, theirs.t_max)
    # the reference leaves the order within a step open
    for one, other, time in zip(ours.idx, theirs.idx, ours.time, strict=True):
        np.testing.assert_array_equal(one, other[np.lexsort((other, time))])


@pytest.mark.parametrize("dt", [0.1, 1e-3, 1e-4, 0.3])
def test_there_and_back(dt: float) -> None:
    spikes = np.random.default_rng(1).random((2, 300, 4)) < 0.2
    gridded = TimeGriddedData(spikes, dt)
    for shift in (0.0, 0.5 * dt):
        back = gridded.to_event(time_shift=shift).to_time_gridded(dt)
        np.testing.assert_array_equal(back.data, spikes)
    single = gridded.to_event()
    single = dataclasses.replace(single, time=single.time.astype(np.float32))
    np.testing.assert_array_equal(single.to_time_gridded(dt).data, spikes)


def test_as_many_events_as_there_are() -> None:
    gridded = TimeGriddedData(SPIKES, 1.0)
    most = int(SPIKES.sum((1, 2)).max())
    assert gridded.to_event().shape == (3, most)
    with pytest.warns(NIRWarning, match="left out"):
        few = gridded.to_event(most - 1)
    np.testing.assert_array_equal(few.time, gridded.to_event().time[:, :-1])
    assert TimeGriddedData(np.zeros((2, 3, 4), bool), 1.0).to_event().shape == (2, 0)


def test_events_become_the_reference_s_grid() -> None:
    idx, time = events(count=30)
    values = np.random.default_rng(2).normal(size=idx.shape)
    for kind, content in (("EventData", (idx, time, 6, 1.0)), ("ValuedEventData", (idx, time, 6, 1.0, values))):
        ours = {"EventData": EventData, "ValuedEventData": ValuedEventData}[kind](*content).to_time_gridded(0.125)
        theirs = getattr(nir, kind)(*content).to_time_gridded(0.125)
        assert ours.data.dtype == theirs.data.dtype
        np.testing.assert_array_equal(ours.data, theirs.data)


def test_rounding_does_not_decide() -> None:
    """The reference package puts 0.3 s into step 2 of 0.1 s, and finds 2 steps in 0.3 s."""
    one = EventData(np.array([[0, 0]]), np.array([[0.2, 0.3]]), 1, 0.4)
    assert one.to_time_gridded(0.1).data[0, :, 0].tolist() == [False, False, True, True]
    assert EventData(np.array([[-1]]), np.array([[np.inf]]), 1, 0.3).to_time_gridded(0.1).n_time_steps == 3
    assert nir.EventData(np.array([[-1]]), np.array([[np.inf]]), 1, 0.3).to_time_gridded(0.1).n_time_steps == 2


@pytest.mark.parametrize("time", [-0.01, 0.95, 1.0, 7.0])
def test_an_event_outside_the_recording(time: float) -> None:
    with pytest.raises(DataError, match="outside the recording") as caught:
        EventData(np.array([[0]]), np.array([[time]]), 1, 1.0).to_time_gridded(0.3)
    assert caught.value.found == time


BAD: dict[str, tuple[Any, str]] = {
    "axes": (lambda: TimeGriddedData(np.zeros((3, 4)), 1.0), "samples, time steps, neurons"),
    "words": (lambda: TimeGriddedData(np.array([[["a"]]]), 1.0), "numbers"),
    "ragged": (lambda: TimeGriddedData([[1], [1, 2]], 1.0), "array"),  # type: ignore[arg-type]
    "step": (lambda: TimeGriddedData(SPIKES, 0.0), "positive"),
    "numbers": (lambda: TimeGriddedData(SPIKES * 1.0, 1.0).to_event(), "only spikes"),
    "shift": (lambda: TimeGriddedData(SPIKES, 1.0).to_event(time_shift=1.0), "out of the time step"),
    "shapes": (lambda: EventData(np.zeros((1, 2), int), np.zeros((1, 3)), 1, 1.0), "laid out"),
    "one axis": (lambda: EventData(np.zeros(2, int), np.zeros(2), 1, 1.0), "laid out"),
    "fractions": (lambda: EventData(np.zeros((1, 2)), np.zeros((1, 2)), 1, 1.0), "whole numbers"),
    "neuron": (lambda: EventData(np.full((1, 2), 1), np.zeros((1, 2)), 1, 1.0), "no such neuron"),
    "below": (lambda: EventData(np.full((1, 2), -2), np.zeros((1, 2)), 1, 1.0), "no such neuron"),
    "no time": (lambda: EventData(np.zeros((1, 1), int), np.array([[np.inf]]), 1, 1.0), "no time"),
    "endless": (lambda: EventData(np.zeros((1, 1), int), np.zeros((1, 1)), 1, np.inf), "size"),
    "values": (lambda: ValuedEventData(np.zeros((1, 1), int), np.zeros((1, 1)), 1, 1.0, np.zeros(1)), "a value"),
    "long": (lambda: EventData(np.zeros((1, 1), int), np.zeros((1, 1)), 1, 1e300).to_time_gridded(1e-3), "too many"),
    "large": (
        lambda: EventData(np.zeros((1, 1), int), np.zeros((1, 1)), 2**40, 1e9).to_time_gridded(1e-3),
        "too large",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name: str) -> None:
    make, words = BAD[name]
    with pytest.raises(DataError, match=words):
        make()


def test_nobody_changes_an_observable_by_accident() -> None:
    gridded = TimeGriddedData(SPIKES, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        gridded.data[0, 0, 0] = True
    with pytest.raises(dataclasses.FrozenInstanceError):
        gridded.dt = 2.0  # type: ignore[misc]
    assert repr(gridded) == "TimeGriddedData(3 samples, 12 time steps, 5 neurons, bool, dt=1)"
