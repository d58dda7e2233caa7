"""Evaluation: each sample once, exactly what one big batch would give, whatever the batches."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import filled
from finetuning.tasks import data, model

import nirjax
from evaluation.launching import launch
from nirjax.data.padding import bucket
from nirjax.errors import ArgumentError, DataError, PatternError, ShapeError
from nirjax.evaluation import evaluate, loop, measuring, share, streaming
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
        ({"mesh": {}}, ArgumentError, "mesh"),
        ({"mesh": 0}, ArgumentError, "1 to "),
        ({"mesh": {"data": 2, "model": 3000}}, ArgumentError, "would fit"),
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


# ------------------------------------------------------------------------------------------------------- streaming


class Counting:
    """A data set on disk that notes what is read of it."""

    def __init__(self, items: list[Any], seen: list[Any]) -> None:
        self.items, self.seen = items, seen

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.seen.append(("read", index))
        return self.items[index]


def test_the_next_batch_is_read_and_sent_while_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    put, fetch = jax.device_put, streaming._fetched
    monkeypatch.setattr(streaming, "_fetched", lambda running: seen.append("fetched") or fetch(running))
    monkeypatch.setattr(jax, "device_put", lambda *given: seen.append("sent") or put(*given))
    function = measuring.scorer

    def compiled(*given: Any) -> Any:
        run = function(*given)
        return lambda *arguments: seen.append("started") or run(*arguments)

    monkeypatch.setattr(loop, "scorer", compiled)
    x, y = data(6)
    source = Counting([(x[k], y[k]) for k in range(6)], seen)
    monkeypatch.setattr(share, "fingerprint", lambda source: "")
    evaluate(MODEL, source, batch_size=2)
    order = [event if isinstance(event, str) else "read" for event in seen[seen.index("sent") - 2 :]]
    batch = ["read", "read", "sent", "started"]
    assert order == [*batch, *batch, "fetched", *batch, "fetched", "fetched"]


def test_one_program_a_bucket_of_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = []
    x, y = data(80, steps=80)
    lengths = np.random.default_rng(0).integers(20, 80, 80)
    noting = {"steps": lambda run, batch: traced.append(batch.time) or batch.length}
    result = evaluate(MODEL, [(x[k][: lengths[k]], y[k]) for k in range(80)], metrics=noting, batch_size=1)
    np.testing.assert_array_equal(result.per_sample["steps"], lengths)
    assert len(traced) == len(set(traced))
    assert set(traced) <= {bucket(int(length)) for length in lengths} | {lengths[0]}
    traced.clear()
    evaluate(MODEL, (x[:7], y[:7]), metrics=noting, batch_size=3)
    assert traced == [80]


@pytest.mark.parametrize("whole", [False, True])
def test_a_batch_is_as_large_as_memory_allows(monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    x, y = data(COUNT)
    travelling = x[0].nbytes + 4 + 4 + 1
    kept = 4 * len(x[0]) * MODEL.graph.nodes["out"].output_type["output"][0]
    # Two batches as they travel; and the output, which a metric of one's own may look at as a whole.
    monkeypatch.setattr(loop, "MEMORY", 3 * (2 * travelling + whole * kept))
    sizes = []
    counts = {"counts": losses.spike_count_cross_entropy, "spikes": lambda run, batch: run.output.sum((0, 2))}
    run = streaming.check_fit
    monkeypatch.setattr(streaming, "check_fit", lambda fit, batch: sizes.append(batch.size) or run(fit, batch))
    evaluate(MODEL, (x, y), metrics=counts if whole else {"counts": counts["counts"]})
    assert sizes == [3, 3, 3]


def test_bytes_are_those_of_the_batches() -> None:
    x, y = data(6)
    result = evaluate(MODEL, (x, y), batch_size=4)
    # x as uint8, and for each sample a label, a length and whether it is one; the last batch has two that are not.
    assert result.bytes_moved == 8 * (x[0].nbytes + 4 + 4 + 1)
    assert result.samples_moved == 6
    assert result.bytes_per_sample == result.bytes_moved / 6
    assert np.isnan(nirjax.Evaluation({}, {}, 0).bytes_per_sample)


def test_a_chosen_device_is_used() -> None:
    one = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("any",))
    for mesh in (one, 1, {"data": 1}):
        result = evaluate(MODEL, recordings(), mesh=mesh, batch_size=3)
        np.testing.assert_array_equal(
            result.per_sample["spike_rate"], evaluate(MODEL, recordings()).per_sample["spike_rate"]
        )


def endless(count: int) -> Iterator[Any]:
    """`count` recordings, none of which is kept."""
    x, y = data(16)
    return ((x[k % 16], y[k % 16]) for k in range(count))


def test_nothing_piles_up_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = []
    fetch = streaming._fetched

    def counting(running: Any) -> Any:
        alive.append(len(jax.live_arrays()))
        return fetch(running)

    monkeypatch.setattr(streaming, "_fetched", counting)
    result = evaluate(MODEL, endless(600), batch_size=2)
    assert result.samples == 600
    assert max(alive[5:]) - min(alive[5:-1]) <= 1


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_batches(tmp_path: Path) -> None:
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from evaluation.test_loop import MODEL, endless
import nirjax
peaks = []
def noting():
    for number, recording in enumerate(endless(10_000 * 4)):
        if number % 4_000 == 3_999:
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        yield recording
result = nirjax.evaluate(MODEL, noting(), batch_size=4, output={str(tmp_path)!r})
assert result.samples == 40_000
assert len(peaks) == 10
assert peaks[-1] - peaks[0] < 8 * 1024, peaks
"""
    (ended,) = launch([["-c", code]])
    assert ended.code == 0, ended.errors


# -------------------------------------------------------------------------------------------------------- progress


def test_progress_goes_to_stderr_where_that_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("TERM", "xterm")
        evaluate(MODEL, recordings(), batch_size=2)
        text = stream.getvalue()
        assert ("7/7" in text) == ("evaluating" in text) == ("/s" in text) == shown
    quiet = Terminal()
    monkeypatch.setattr(sys, "stderr", quiet)
    evaluate(MODEL, recordings(), progress=False)
    assert quiet.getvalue() == ""
