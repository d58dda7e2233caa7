"""Results on disk: as they come, whole or not at all, each sample once, and never mixed up with others."""

from __future__ import annotations

import functools
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirjax
from evaluation import victim
from evaluation.launching import launch
from evaluation.scenarios import OnDisk, Stream, metrics, on_grid, ragged
from nirjax.errors import CheckpointError, NIRWarning, PatternError
from nirjax.evaluation import Evaluation, evaluate
from nirjax.evaluation import folder as folders

MODEL = on_grid()
RECORD = ["lif1.spikes", "lif2.v"]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SHARD_SAMPLES", 6)


def run(folder: Any, data: Any = None, **options: Any) -> Evaluation:
    given = {"metrics": metrics(), "record": RECORD, "batch_size": 3} | options
    return evaluate(MODEL, ragged(14) if data is None else data, output=folder, **given)


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("samples_*.npz"))}


def equal(one: Evaluation, other: Evaluation) -> None:
    assert one.metrics == other.metrics
    assert one.samples == other.samples
    assert one.per_sample.keys() == other.per_sample.keys()
    for name, values in one.per_sample.items():
        np.testing.assert_array_equal(values, other.per_sample[name], err_msg=name)


STRAIGHT = functools.cache(lambda: run(None))


# ------------------------------------------------------------------------------------------------- what is written


def test_every_sample_is_in_one_shard_with_its_metrics_and_traces(tmp_path: Path) -> None:
    result = run(tmp_path)
    equal(result, STRAIGHT())
    seen = []
    for name in shards(tmp_path):
        with np.load(tmp_path / name) as shard:
            assert set(shard.files) == {
                *("number", "length", "traces/lif1.spikes", "traces/lif2.v"),
                *(f"metrics/{metric}" for metric in metrics()),
            }
            for place, number in enumerate(shard["number"]):
                x, _ = ragged(14)[number]
                alone = MODEL.run(x[:, None], record=RECORD)
                assert shard["length"][place] == len(x)
                for trace in RECORD:
                    found = shard[f"traces/{trace}"][place]
                    np.testing.assert_array_equal(found[: len(x)], alone.traces[trace][:, 0])
                    assert not found[len(x) :].any()
                assert shard["metrics/count"][place] == result.per_sample["count"][number]
                seen.append(int(number))
    assert sorted(seen) == list(range(14))
    assert len(shards(tmp_path)) == 3
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary == {"samples": 14, "metrics": result.metrics}


def test_the_state_that_a_metric_sees_is_that_after_a_recordings_own_last_step() -> None:
    for number, (x, _) in enumerate(ragged(14)):
        _, state = MODEL(x[:, None])
        assert STRAIGHT().per_sample["last"][number] == float(state["lif2"]["v"].sum())


def test_a_finished_evaluation_is_given_back(tmp_path: Path) -> None:
    before = run(tmp_path)
    assert before.samples_moved == 14
    files = shards(tmp_path)
    again = run(tmp_path, batch_size=5)
    equal(again, before)
    assert (again.samples_moved, again.bytes_moved) == (0, 0)
    assert shards(tmp_path) == files


# ----------------------------------------------------------------------------------------------------- continuing


class BrokenError(Exception):
    """What ends an evaluation here."""


class Breaking(OnDisk):
    """Recordings of which one cannot be read."""

    def __init__(self, recordings: list[Any], at: int) -> None:
        super().__init__(recordings)
        self.at, self.read = at, []

    def __getitem__(self, index: int) -> Any:
        if index == self.at:
            raise BrokenError
        self.read.append(index)
        return super().__getitem__(index)


@pytest.mark.parametrize("at", [4, 8, 12])
@pytest.mark.parametrize("batch_size", [3, 4])
def test_what_was_scored_before_an_error_is_not_scored_again(tmp_path: Path, at: int, batch_size: int) -> None:
    data = Breaking(ragged(14), -1)
    data.at = at
    with pytest.raises(BrokenError):
        run(tmp_path, data)
    files = shards(tmp_path)
    written = sum(len(np.load(tmp_path / name)["number"]) for name in files)
    # The batch that was running when the next one could not be read is lost; those before it are not.
    assert written == max(0, at // 3 - 1) * 3
    data.at, data.read = -1, []
    resumed = run(tmp_path, data, batch_size=batch_size)
    equal(resumed, STRAIGHT())
    assert resumed.samples_moved == 14 - written
    assert {name: shards(tmp_path)[name] for name in files} == files


def test_a_stream_is_continued_where_it_stopped(tmp_path: Path) -> None:
    def breaking() -> Iterator[Any]:
        yield from ragged(14)[:10]
        raise BrokenError

    with pytest.raises(BrokenError):
        run(tmp_path, breaking())
    resumed = run(tmp_path, Stream(ragged(14)))
    equal(resumed, STRAIGHT())
    assert resumed.samples_moved == 14 - 6
    assert run(tmp_path, iter(ragged(14))).samples_moved == 0


def test_a_signal_acts_once_what_was_scored_is_written(tmp_path: Path) -> None:
    def stop(number: int, frame: Any) -> None:
        raise BrokenError

    class Striking(OnDisk):
        def __getitem__(self, index: int) -> Any:
            if index == 8:
                signal.raise_signal(signal.SIGTERM)
            return super().__getitem__(index)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(BrokenError):
            run(tmp_path, Striking(ragged(14)))
    finally:
        assert signal.signal(signal.SIGTERM, before) is stop
    assert sum(len(np.load(tmp_path / name)["number"]) for name in shards(tmp_path)) == 6
    equal(run(tmp_path), STRAIGHT())


def test_a_damaged_shard_is_scored_again(tmp_path: Path) -> None:
    whole = run(tmp_path)
    first, second, _ = shards(tmp_path)
    (tmp_path / first).write_bytes((tmp_path / first).read_bytes()[:-200])
    damaged = bytearray((tmp_path / second).read_bytes())
    damaged[60] ^= 255
    (tmp_path / second).write_bytes(damaged)
    with pytest.warns(NIRWarning, match="is damaged") as told:
        again = run(tmp_path)
    assert len(told) == 2
    equal(again, whole)
    assert again.samples_moved == 12


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """What comes of the victim's evaluation where nobody kills it."""
    return victim.evaluated(tmp_path_factory.mktemp("unharmed"))


def killed(folder: Path, *when: str) -> None:
    """One killed evaluation, after which nothing that was written before has changed, and nothing is there twice."""
    before = shards(folder)
    (ended,) = launch([[victim.__file__, str(folder), *when]])
    assert ended.code in (-signal.SIGKILL, -signal.SIGALRM, 0), ended.errors
    after = shards(folder)
    assert {name: after[name] for name in before} == before
    numbers = np.concatenate([np.empty(0, int), *(np.load(folder / name)["number"] for name in after)])
    assert len(np.unique(numbers)) == len(numbers)


def test_killed_while_a_shard_is_written_nothing_is_lost(tmp_path: Path, unharmed: Evaluation) -> None:
    killed(tmp_path, "before", "3")
    assert len(shards(tmp_path)) == 2
    killed(tmp_path, "behind", "2")
    assert len(shards(tmp_path)) == 4
    last = victim.evaluated(tmp_path)
    assert last.samples_moved == victim.COUNT - 4 * 2 * victim.SIZE
    equal(last, unharmed)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_score_nothing_twice(tmp_path: Path, unharmed: Evaluation) -> None:
    chance, progress = random.Random(0), []
    for _ in range(50):
        killed(tmp_path, "after", str(chance.uniform(0.0001, 0.03)))
        progress.append(len(shards(tmp_path)))
    assert len(set(progress)) > 25, progress
    equal(victim.evaluated(tmp_path), unharmed)
    numbers = np.concatenate([np.load(tmp_path / name)["number"] for name in shards(tmp_path)])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(victim.COUNT))


# ------------------------------------------------------------------------------------------------- whose results


def above(least: float) -> Any:
    """A metric that holds a number."""
    return {"above": lambda run, batch: (run.traces["lif2.v"] > least).sum((0, 2))}


def test_metrics_are_known_by_what_they_hold(tmp_path: Path) -> None:
    run(tmp_path, metrics=above(0.5))
    assert run(tmp_path, metrics=above(0.5)).samples_moved == 0
    with pytest.raises(CheckpointError, match="another set of metrics"):
        run(tmp_path, metrics=above(0.25))


def other_model() -> Any:
    fc1 = MODEL.params["fc1"]
    return MODEL.replace(params={**MODEL.params, "fc1": {**fc1, "bias": fc1["bias"] + 0.25}})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": other_model()}, "found another model;"),
        ({"model": MODEL.replace(dt=0.5)}, "found another model;"),
        ({"data": ragged(14, 1)}, "found another data set;"),
        ({"data": ragged(13)}, "found another data set;"),
        ({"metrics": {"count": lambda run, batch: run.output.sum((0, 2))}}, "found another set of metrics;"),
        ({"metrics": None}, "found another set of metrics;"),
        ({"record": ["lif*"]}, "another set of metrics and another set of recorded traces;"),
        ({"resume": False}, "an earlier evaluation"),
    ],
)  # fmt: skip
def test_a_folder_of_another_evaluation_is_refused(started: Path, changes: dict[str, Any], reason: str) -> None:
    files = shards(started)
    given = {"model": MODEL, "data": ragged(14), "metrics": metrics(), "record": RECORD, "output": started} | changes
    with pytest.raises(CheckpointError, match=reason):
        evaluate(**given)
    assert shards(started) == files


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds an evaluation."""
    folder = tmp_path_factory.mktemp("started")
    run(folder)
    return folder


def test_how_a_model_is_run_is_not_what_it_is(started: Path) -> None:
    surrogate = nirjax.surrogate.atan()
    for model in (MODEL.replace(schedule=1), MODEL.replace(surrogate=surrogate)):
        result = evaluate(model, ragged(14), metrics=metrics(), record=RECORD, output=started, mesh=1)
        assert result.samples_moved == 0


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(CheckpointError, match="the folder cannot be used"):
        run(file)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match="the file cannot be read"):
        run(tmp_path)


def test_shards_of_two_evaluations_at_once_are_told(tmp_path: Path) -> None:
    run(tmp_path)
    first = next(iter(shards(tmp_path)))
    (tmp_path / "samples_000000000099.npz").write_bytes((tmp_path / first).read_bytes())
    with pytest.raises(CheckpointError, match="there twice"):
        run(tmp_path)


def test_a_pattern_that_matches_nothing_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(PatternError, match="nothing"):
        run(tmp_path / "new", record="nothing")
    assert not (tmp_path / "new").exists()
