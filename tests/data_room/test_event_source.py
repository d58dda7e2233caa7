"""Recordings that stay events until they are on the device."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
import pytest

import nirjax
from data_room.sensor import SHAPE, recording
from nirjax.data import Batch, Events, EventSource, batches, bin_events
from nirjax.data.fingerprint import fingerprint
from nirjax.data.padding import bucket, to_bucket
from nirjax.data.sources import open_source
from nirjax.errors import ArgumentError, DataError
from nirjax.ir import nodes as ir

RECORDINGS = [(recording(seed, count=50 + 20 * seed, last=4000 + 1000 * seed), seed % 3) for seed in range(5)]


def model(dt: float = 1e-3) -> nirjax.Model:
    weight = np.random.default_rng(0).normal(size=(3, 70)).astype(np.float32)
    lif = ir.LIF(tau=np.full(3, 0.01), r=np.full(3, 5.0), v_leak=np.zeros(3), v_threshold=np.ones(3))
    nodes = {"in": ir.Input(SHAPE), "flat": ir.Flatten(input_type=SHAPE, start_dim=0, end_dim=-1)}
    nodes |= {"fc": ir.Linear(weight), "lif": lif, "out": ir.Output((3,))}
    edges = [("in", "flat"), ("flat", "fc"), ("fc", "lif"), ("lif", "out")]
    return nirjax.from_nir(nirjax.NIRGraph(nodes, edges), dt=dt)


def framed() -> list[tuple[np.ndarray, int]]:
    return [(np.asarray(bin_events(events, dt=1e-3, shape=SHAPE)), y) for events, y in RECORDINGS]


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_are_those_of_the_frames(seed: int | None) -> None:
    source = EventSource(RECORDINGS, dt=1e-3, shape=SHAPE)
    found = list(batches(source, batch_size=2, seed=seed))
    expected = list(batches(framed(), batch_size=2, seed=seed))
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one.x, Events)
        assert (one.time, one.size, one.step_shape) == (other.time, other.size, other.step_shape)
        np.testing.assert_array_equal(one.x.dense(), other.x)
        for name in ("y", "length", "valid"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_what_moves_are_the_events() -> None:
    (batch,) = batches(EventSource(RECORDINGS, dt=1e-4, shape=SHAPE), batch_size=None)
    most = max(len(events) for events, _ in RECORDINGS)
    assert batch.x.index.nbytes == 4 * 5 * bucket(most)
    assert batch.nbytes == batch.x.index.nbytes + batch.y.nbytes + batch.length.nbytes + batch.valid.nbytes
    assert batch.nbytes < 4 * np.prod(batch.x.shape) / 30


def test_a_model_takes_events_as_it_takes_frames() -> None:
    (batch,) = batches(EventSource(RECORDINGS, dt=1e-3, shape=SHAPE), batch_size=None)
    run, frames = model(), np.asarray(batch.x.dense())
    np.testing.assert_array_equal(run(batch.x)[0], run(frames)[0])
    gradients = [jax.grad(lambda m, x=x: m(x)[0].sum())(run).params["fc"]["weight"] for x in (batch.x, frames)]
    np.testing.assert_array_equal(*gradients)
    longer = to_bucket(Batch(batch.x, batch.y, batch.length, batch.valid))
    assert longer.time == bucket(batch.time)
    np.testing.assert_array_equal(longer.x.dense()[: batch.time], frames)
    assert not longer.x.dense()[batch.time :].any()


def test_evaluation_of_events_is_that_of_frames() -> None:
    """The time step and the shape are the model's."""
    expected = nirjax.evaluate(model(), framed(), batch_size=2)
    for source in (EventSource(RECORDINGS), EventSource([{"x": x, "y": y} for x, y in RECORDINGS])):
        found = nirjax.evaluate(model(), source, batch_size=2)
        assert found.metrics == expected.metrics
        # 50 to 130 events: four bytes each, filled up in a batch; and a label, a length, and whether it is a sample.
        assert found.bytes_moved == 2 * sum(4 * bucket(most) + 4 + 4 + 1 for most in (70, 110, 130))
        assert found.bytes_per_sample == found.bytes_moved / 5
        for name, values in expected.per_sample.items():
            np.testing.assert_array_equal(found.per_sample[name], values)
    assert nirjax.evaluate(model(), EventSource(RECORDINGS)).samples == 5
    ready = list(batches(EventSource(RECORDINGS, dt=1e-3, shape=SHAPE), batch_size=3))
    again = nirjax.evaluate(model(), nirjax.data.Source(ready, batched=True))
    np.testing.assert_array_equal(again.per_sample["spike_rate"], expected.per_sample["spike_rate"])
    assert nirjax.evaluate(model(), EventSource([x for x, _ in RECORDINGS])).samples == 5


def test_a_metric_sees_the_frames() -> None:
    def count(run: nirjax.Run, batch: Batch) -> Any:
        return batch.x.sum((0, *range(2, batch.x.ndim)))

    found = nirjax.evaluate(model(), EventSource(RECORDINGS), metrics={"count": count}, batch_size=2)
    assert found.per_sample["count"].tolist() == [len(events) for events, _ in RECORDINGS]


def test_events_may_have_any_batch_axes() -> None:
    (batch,) = batches(EventSource(RECORDINGS[:4], dt=1e-3, shape=SHAPE), batch_size=None)
    frames, index = batch.x.dense(), batch.x.index
    for axes in ((2, 2), (4, 1), (1, 2, 2)):
        events = Events(index.reshape(-1, *axes), batch.time, SHAPE)
        assert events.shape == (batch.time, *axes, *SHAPE)
        np.testing.assert_array_equal(events.dense().reshape(frames.shape), frames)
    np.testing.assert_array_equal(Events(index[:, 2], batch.time, SHAPE).dense(), frames[:, 2])
    alone = jax.vmap(lambda events: events.dense(), in_axes=1, out_axes=1)(batch.x)
    np.testing.assert_array_equal(alone, frames)


def test_training_on_events_is_training_on_frames() -> None:
    options: dict[str, Any] = {"optimizer": optax.sgd(0.1), "steps": 3, "batch_size": 2, "progress": False}
    losses = [nirjax.finetune(model(), data, **options).history["loss"] for data in (EventSource(RECORDINGS), framed())]
    np.testing.assert_array_equal(*losses)


def test_targets_in_time() -> None:
    data = [(events, np.ones((8, 3), np.float32) * seed) for seed, (events, _) in enumerate(RECORDINGS)]
    (batch,) = batches(EventSource(data, dt=1e-3, shape=SHAPE, duration=8e-3), batch_size=None)
    assert batch.y.shape == (8, 5, 3)
    np.testing.assert_array_equal(batch.y[:, :, 0], np.tile(np.arange(5), (8, 1)))


def test_a_bad_recording_is_named() -> None:
    bad = [*RECORDINGS, ({"t": np.array([-1]), "x": np.array([0])}, 0)]
    with pytest.raises(DataError, match="recording 5: an event lies before"):
        list(batches(EventSource(bad, dt=1e-3, shape=SHAPE), batch_size=2))


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="dt"):
        batches(EventSource(RECORDINGS), batch_size=1)
    with pytest.raises(ArgumentError, match="shape"):
        batches(EventSource(RECORDINGS, dt=1.0), batch_size=1)
    with pytest.raises(DataError, match="no recordings"):
        batches(EventSource([], dt=1.0, shape=SHAPE), batch_size=1)
    with pytest.raises(DataError, match="sequence"):
        batches(EventSource(iter(RECORDINGS), dt=1.0, shape=SHAPE), batch_size=1)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="does not fit the model"):
        nirjax.evaluate(model(), EventSource(RECORDINGS, shape=(2, 9, 9)))
    with pytest.raises(DataError, match="EventSource"):
        batches([(RECORDINGS[0][0], 1)], batch_size=1)
    mixed = [RECORDINGS[0], RECORDINGS[1][0]]
    with pytest.raises(DataError, match="some have none"):
        list(batches(EventSource(mixed, dt=1e-3, shape=SHAPE), batch_size=2))


def test_a_data_set_is_known_by_all_events_of_a_recording() -> None:
    def known(events: Any) -> str:
        return fingerprint(open_source(EventSource([(events, 0)], dt=1e-3, shape=SHAPE)))

    events, _ = RECORDINGS[2]
    other = events.copy()
    other["x"][-1] = (other["x"][-1] + 1) % SHAPE[-1]
    assert known(events) == known(events.copy())
    assert known(events) != known(other)
    assert known(events) != known(events[:-1])
