"""Evaluation: each sample once, exactly what one big batch would give, whatever the batches."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import filled
from finetuning.tasks import data, model

import nirjax
from nirjax.errors import ArgumentError, DataError, PatternError, ShapeError
from nirjax.evaluation import evaluate
from nirjax.finetuning import losses
from nirjax.ir import nodes as ir

MODEL = model()
COUNT = 7


def recordings() -> list[tuple[np.ndarray, Any]]:
    x, y = data(COUNT, seed=5)
    return [(x[k][: 3 + k % 5], y[k]) for k in range(COUNT)]


def alone(x: np.ndarray) -> tuple[np.ndarray, float]:
    """The output of one recording, and its rate over both spiking layers."""
    run = MODEL.run(x[:, None], record="*.spikes")
    return np.asarray(run.output)[:, 0], float(np.concatenate([np.ravel(z) for z in run.traces.values()]).mean())


ALONE = [alone(x) for x, _ in recordings()]


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_ragged_data_in_any_batches_equals_each_recording_alone(batch_size: Any) -> None:
    result = evaluate(MODEL, recordings(), batch_size=batch_size)
    assert result.samples == COUNT
    predictions = np.array([output.sum(0).argmax() for output, _ in ALONE])
    np.testing.assert_array_equal(result.per_sample["prediction"], predictions)
    np.testing.assert_array_equal(result.per_sample["accuracy"], predictions == [y for _, y in recordings()])
    np.testing.assert_allclose(result.per_sample["spike_rate"], [rate for _, rate in ALONE], rtol=1e-6)
    assert result.metrics["accuracy"] == result.per_sample["accuracy"].mean(dtype=np.float64)
    assert set(result.metrics) == {"accuracy", "spike_rate"}


def test_own_metrics_and_traces() -> None:
    metrics = {
        "membrane": lambda run, batch: jnp.where(batch.where[..., None], run.traces["lif2.v"], 0).sum((0, 2)),
        "cross_entropy": losses.spike_count_cross_entropy,
    }
    one, other = (evaluate(MODEL, recordings(), metrics=metrics, record="lif2.v", batch_size=n) for n in (2, 7))
    assert set(one.metrics) == set(metrics)
    for name in metrics:
        np.testing.assert_allclose(one.per_sample[name], other.per_sample[name], rtol=1e-6)
    expected = losses.spike_count_cross_entropy(ALONE[2][0][:, None], jnp.array([recordings()[2][1]]))
    np.testing.assert_allclose(one.per_sample["cross_entropy"][2], expected[0], rtol=1e-6)


def test_without_labels_or_spikes() -> None:
    x, _ = data(COUNT)
    result = evaluate(MODEL, x)
    assert set(result.metrics) == {"spike_rate"}
    assert result.per_sample["prediction"].shape == (COUNT,)
    analogue = nirjax.from_nir(
        nirjax.NIRGraph(
            {"in": ir.Input((2,)), "li": filled(ir.LI, 2, tau=2, r=2, v_leak=0), "out": ir.Output((2,))},
            [("in", "li"), ("li", "out")],
        ),
        dt=1,
    )
    assert evaluate(analogue, x).metrics == {}
    assert evaluate(analogue, x).samples == COUNT


def test_a_stream_is_scored_in_its_order() -> None:
    stream = evaluate(MODEL, iter(recordings()))
    np.testing.assert_array_equal(
        stream.per_sample["prediction"], evaluate(MODEL, recordings()).per_sample["prediction"]
    )


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"batch_size": 0}, ArgumentError, "batch_size"),
        ({"batch_size": "large"}, ArgumentError, "batch_size"),
        ({"mesh": object()}, ArgumentError, "mesh"),
        ({"metrics": {"mean": lambda run, batch: run.output.mean()}}, ShapeError, "one value a sample"),
        ({"metrics": {"rate": nirjax.metrics.spike_rate}}, PatternError, "record"),
        ({"data": data(3)[0][..., :1]}, DataError, "does not fit"),
        ({"data": (data(3)[0], data(3)[1] + 5)}, DataError, "out of range"),
        ({"data": []}, DataError, "no recordings"),
    ],
)
def test_what_cannot_work_is_refused(options: Any, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        evaluate(MODEL, **{"data": recordings(), **options})
