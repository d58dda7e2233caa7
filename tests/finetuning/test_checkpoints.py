"""Nothing is lost: a run that was stopped and resumed ends as one that was not, and damage is noticed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

from finetuning.tasks import data, model
from finetuning.test_finetune import equal, noisy, tuned
from nirjax.data import Source
from nirjax.errors import CheckpointError, NIRWarning, TrainingError
from nirjax.finetuning import training
from nirjax.finetuning.callbacks import Moment
from nirjax.finetuning.checkpoints import KEPT, Checkpoints
from nirjax.finetuning.state import TrainingState

OPTIONS: dict[str, Any] = {
    "valid": data(5, 1),
    "epochs": 4,
    "transform": [noisy],
    "optimizer": optax.chain(optax.add_noise(0.01, 0.5, jax.random.key(1)), optax.adam(0.05)),
}


class KilledError(Exception):
    """Stands for the end of the process."""


def kill_at(step: int, kind: str = "step") -> Any:
    def kill(moment: Moment) -> None:
        if moment.step >= step and moment.kind == kind:
            raise KilledError

    return kill


@pytest.fixture(scope="module")
def undisturbed() -> Any:
    return tuned(**OPTIONS)


@pytest.mark.parametrize("step", [1, 4, 6, 11])
def test_a_killed_run_resumed_ends_bit_for_bit_the_same(
    step: int, tmp_path: Path, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0 if step == 11 else 60.0)
    with pytest.raises(KilledError):
        tuned(**OPTIONS, checkpoints=tmp_path, callbacks=[kill_at(step)])
    result = tuned(**OPTIONS, checkpoints=tmp_path, resume=True)
    equal(result.model, undisturbed.model)
    equal(result.history, undisturbed.history)
    assert result.best_step == undisturbed.best_step
    assert result.metrics == undisturbed.metrics


def test_a_run_that_is_over_resumes_to_its_result(tmp_path: Path, undisturbed: Any) -> None:
    first = tuned(**OPTIONS, checkpoints=tmp_path)
    equal(first.model, undisturbed.model)
    equal(tuned(**OPTIONS, checkpoints=tmp_path, resume=True).history, undisturbed.history)
    assert len(list(tmp_path.iterdir())) == 2 * KEPT
    longer = tuned(**{**OPTIONS, "epochs": 5}, checkpoints=tmp_path, resume=True)
    equal(longer.history, tuned(**{**OPTIONS, "epochs": 5}).history)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(number: signal.Signals, tmp_path: Path, undisturbed: Any) -> None:
    heard: list[int] = []
    before = signal.signal(number, lambda found, frame: heard.append(found))
    try:
        interrupted = tuned(
            **OPTIONS, checkpoints=tmp_path,
            callbacks=[lambda moment: signal.raise_signal(number) if moment.step == 5 else None],
        )  # fmt: skip
    finally:
        signal.signal(number, before)
    assert heard == [number]
    assert len(interrupted.history["loss"]) == 5
    assert (tmp_path / "step_0000000005.json").exists()
    equal(tuned(**OPTIONS, checkpoints=tmp_path, resume=True).history, undisturbed.history)


@pytest.mark.parametrize("moment", ["in the evaluation", "before the last one"])
def test_a_signal_during_an_evaluation_leaves_it_to_the_resumed_run(
    moment: str, tmp_path: Path, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        """Validation data in batches that ask to stop once, before the second batch of one pass."""

        def __init__(self, stop_in: int) -> None:
            self.passes, self.stop_in = 0, stop_in

        def __iter__(self) -> Any:
            self.passes += 1
            x, y = OPTIONS["valid"]
            for number, part in enumerate((slice(0, 4), slice(4, 5))):
                if number and self.passes == self.stop_in:
                    signal.raise_signal(signal.SIGTERM)
                yield x[part], y[part]

    options = OPTIONS | {"steps": 11} if moment == "before the last one" else OPTIONS
    expected = undisturbed if options is OPTIONS else tuned(**options)
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda found, frame: heard.append(found))
    try:
        slow = Source(Slow(5 if moment == "before the last one" else 3), time_axis=1, batched=True)
        stopped = tuned(**options | {"valid": slow}, checkpoints=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    assert len(stopped.history["step"]) == len(expected.history["step"]) - (1 if options is not OPTIONS else 3)
    equal(tuned(**options, checkpoints=tmp_path, resume=True).history, expected.history)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def damage(path: Path, how: str) -> None:
    raw = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "missing":
        path.unlink()
    else:
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(how: str, tmp_path: Path, undisturbed: Any) -> None:
    tuned(**OPTIONS, checkpoints=tmp_path)
    written = files(tmp_path / "step_0000000012")
    damage(max(written, key=lambda path: path.stat().st_size), how)
    with pytest.warns(NIRWarning, match="step_0000000012"):
        result = tuned(**OPTIONS, checkpoints=tmp_path, resume=True)
    equal(result.model, undisturbed.model)


@pytest.mark.parametrize("how", ["flipped", "truncated"])
def test_damaged_notes_fall_back_too(how: str, tmp_path: Path, undisturbed: Any) -> None:
    tuned(**OPTIONS, checkpoints=tmp_path)
    damage(tmp_path / "step_0000000012.json", how)
    with pytest.warns(NIRWarning, match="damaged"):
        equal(tuned(**OPTIONS, checkpoints=tmp_path, resume=True).model, undisturbed.model)


def test_a_flipped_bit_in_any_file_is_noticed(tmp_path: Path) -> None:
    older, newer = {"a": np.arange(1000, dtype=np.float32)}, {"a": np.arange(1000, dtype=np.float32) ** 2}
    checkpoints = Checkpoints.at(tmp_path, "run")
    checkpoints.save(1, older)
    checkpoints.save(2, newer)
    rng = np.random.default_rng(0)
    for path in files(tmp_path / "step_0000000002"):
        whole = path.read_bytes()
        raw = bytearray(whole)
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        path.write_bytes(raw)
        with pytest.warns(NIRWarning, match="not those that were written"):
            equal(checkpoints.newest(), older)
        path.write_bytes(whole)
    equal(checkpoints.newest(), newer)


def test_old_checkpoints_and_leftovers_of_kills_are_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints.at(tmp_path, "run")
    for name in ("step_0000000001", "step_0000000009.orbax-checkpoint-tmp-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes of mine").touch()
    for step in range(3, 3 + KEPT + 2):
        checkpoints.save(step, {"a": np.array(step)})
    kept = [3 + 2 + place for place in range(KEPT)]
    names = {f"step_{step:010d}{end}" for step in kept for end in ("", ".json")} | {"notes of mine"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert checkpoints.steps() == kept[::-1]


def test_nothing_whole_is_an_error_and_nothing_at_all_a_warning(tmp_path: Path, undisturbed: Any) -> None:
    with pytest.warns(NIRWarning, match="anew"):
        result = tuned(**OPTIONS, checkpoints=tmp_path, resume=True)
    equal(result.model, undisturbed.model)
    for path in files(tmp_path):
        if path.suffix == ".json":
            damage(path, "truncated")
    with pytest.raises(CheckpointError, match="every checkpoint"), pytest.warns(NIRWarning):
        tuned(**OPTIONS, checkpoints=tmp_path, resume=True)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"batch_size": 3},
        {"trainable": "*.weight"},
        {"optimizer": optax.sgd(0.1)},
        {"whole": model(hidden=6)},
    ],
)
def test_checkpoints_of_another_run_are_refused(other: Any, tmp_path: Path) -> None:
    tuned(**{**OPTIONS, "epochs": 1}, checkpoints=tmp_path)
    with pytest.raises(CheckpointError, match="another run"):
        tuned(**{**OPTIONS, **other}, checkpoints=tmp_path, resume=True)


def test_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    tuned(**{**OPTIONS, "epochs": 1}, checkpoints=tmp_path)
    with pytest.raises(CheckpointError, match="resume=True"):
        tuned(**OPTIONS, checkpoints=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be made"):
        tuned(**OPTIONS, checkpoints=tmp_path / "file")


def test_the_last_good_state_is_saved_when_the_loss_breaks(tmp_path: Path) -> None:
    def breaks(run: Any, batch: Any) -> Any:
        return run.output.sum((0, 2)) * np.nan

    with pytest.raises(TrainingError):
        tuned(loss=breaks, checkpoints=tmp_path)
    assert (tmp_path / "step_0000000000.json").exists()


def test_a_state_survives_the_way_to_arrays_and_back() -> None:
    params = {"a": {"weight": jax.numpy.ones((2, 3), jax.numpy.bfloat16)}}
    start = TrainingState(params, {"key": jax.random.key(3), "nothing": jax.numpy.zeros((0,))}, params)
    state = TrainingState(
        params, start.optimizer_state, params, step=3, sums={"loss": 0.1}, best_value=float("nan"),
        losses=[1.0, 0.1 + 0.2],
        evaluations={"step": [0], "a/b": [float("inf")]},
    )  # fmt: skip
    again = start.from_arrays(state.to_arrays())
    equal(again.to_arrays(), state.to_arrays())
    assert again.losses == state.losses
    assert again.evaluations == state.evaluations
