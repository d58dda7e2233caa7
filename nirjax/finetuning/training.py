"""A run of training: passes through the data, evaluations between them, the best kept, states saved."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import jax

from nirjax.data.batch import Batch
from nirjax.data.checks import Fit
from nirjax.data.padding import to_bucket
from nirjax.data.processes import gathered, here, is_first, together
from nirjax.data.sources import OpenSource
from nirjax.engine.model import Model
from nirjax.errors import CheckpointError, NIRWarning
from nirjax.finetuning.callbacks import Callback, Kind, Moment
from nirjax.finetuning.checkpoints import Checkpoints, digest
from nirjax.finetuning.firing import firing_rates, warn_of_silence
from nirjax.finetuning.monitor import Monitor
from nirjax.finetuning.partition import Rest, combine
from nirjax.finetuning.progress import Progress
from nirjax.finetuning.scoring import Scorer, Transform, check_fit, mean, score, transformed
from nirjax.finetuning.spreading import AnyInterruption, rates_of_all
from nirjax.finetuning.state import TrainingState
from nirjax.finetuning.update import Update, check_finite, warn_of_no_gradient
from nirjax.ir.digest import content_digest

SAVE_EVERY = 60.0
"""Seconds after which a state is saved within a pass."""

_EVALUATION = 2**32 - 1
"""The random keys of an evaluation are those of this step."""


@dataclass(frozen=True, eq=False)
class Training:
    """What is fixed over a run of training; see `nirjax.finetune` for what each means."""

    train: OpenSource
    valid: OpenSource | None
    rest: Rest
    fit: Fit
    update: Update
    scorer: Scorer
    transform: tuple[Transform, ...]
    monitor: Monitor
    epochs: int | None
    steps: int | None
    batch_size: int
    patience: int | None
    seed: int
    truncation: int | None
    skip_nonfinite: int
    callbacks: tuple[Callback, ...]
    checkpoints: Checkpoints | None

    def run(self, state: TrainingState, progress: Progress, interruption: AnyInterruption) -> TrainingState:
        """Trains from a state until the end, or until somebody asks to stop; the state is saved then."""
        stop = False
        if self._is_due(state):
            state, stop = self._evaluated(state, progress, interruption)
        while not stop and not self._over(state):
            state, stop, finished = self._passed(state, progress, interruption)
            if finished:
                state, stopped = self._evaluated(state, progress, interruption)
                stop = stop or stopped
        if interruption.asked is not None and state.step not in state.evaluations.get("step", [])[-1:]:
            self._save(state)
        return state

    def total_steps(self, state: TrainingState) -> int | None:
        """How many updates there will be if nothing stops them, None if nobody knows."""
        count = self.train.count
        if self.train.size is not None:
            count = math.ceil(self.train.size / min(self.batch_size, self.train.size))
        elif count is None and state.epoch:
            count = (state.step - state.batch) // state.epoch
        limits = [self.steps, None if self.epochs is None or count is None else self.epochs * count]
        return min((limit for limit in limits if limit is not None), default=None)

    def identity(self, model: Model, start: TrainingState) -> str:
        """A digest of what fixes the run, as far as it can be told."""
        parts = {
            "graph": content_digest(model.graph),
            "params": digest({f"{n}.{f}": v for n, fields in model.params.items() for f, v in fields.items()}),
            "trained": sorted(f"{node}.{field}" for node, fields in start.params.items() for field in fields),
            "start": digest(start.to_arrays()),
            "run": [model.dt, model.dialect.name, self.batch_size, self.seed, self.train.size, self.truncation],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _is_due(self, state: TrainingState) -> bool:
        """Is the evaluation of this state still missing? It is at the start, and where a run was stopped before it."""
        if not state.step:
            return self.valid is not None and not state.evaluations
        seen = state.evaluations.get("step", [])[-1:] == [state.step]
        return not seen and (state.batch == 0 or state.step == self.steps)

    def _over(self, state: TrainingState) -> bool:
        return (
            (self.epochs is not None and state.epoch >= self.epochs)
            or (self.steps is not None and state.step >= self.steps)
            or (self.patience is not None and state.stale >= self.patience)
        )

    def _passed(
        self, state: TrainingState, progress: Progress, interruption: AnyInterruption
    ) -> tuple[TrainingState, bool, bool]:
        """The rest of a pass through the data: the state, does somebody ask to stop, is an evaluation due?"""
        saved = time.monotonic()
        for batch in self.train.batches(self.batch_size, (self.seed, state.epoch), skip=state.batch):
            check_fit(self.fit, batch)
            state = self._stepped(state, to_bucket(batch))
            progress.show(self._pass(state.epoch + 1), state.step, self.total_steps(state), self._latest(state))
            if self._told("step", state, {"loss": state.losses[-1]}) or state.step == self.steps:
                return state, state.step != self.steps, True
            if interruption.asked is not None:
                return state, True, False
            if time.monotonic() - saved > SAVE_EVERY:
                self._save(state)
                saved = time.monotonic()
        return dataclasses.replace(state, epoch=state.epoch + 1, batch=0), False, True

    def _stepped(self, state: TrainingState, batch: Batch) -> TrainingState:
        key = jax.random.fold_in(jax.random.key(self.seed), state.step)
        if state.batch == 0:
            model = here(combine(state.params, self.rest))
            rates = rates_of_all(firing_rates(transformed(model, self.transform, key), batch), batch.size)
            if state.step == 0:
                warn_of_silence(rates, batch)
            state = dataclasses.replace(state, spike_rate=mean(list(rates.values())) if rates else None)
        updated = self.update(state.params, state.optimizer_state, self.rest, batch, key)
        graded = updated.graded
        with together():
            good = bool(graded.good)
        if not good and state.skipped_in_a_row >= self.skip_nonfinite:
            self._save(state)
            check_finite(graded, state.params, state.step + 1)
        if state.step == 0:
            self.monitor.check(name for name in graded.sums if name != "loss")
            if good:
                warn_of_no_gradient(graded.gradient)
        state.losses.append(float(graded.loss))
        state = dataclasses.replace(state, step=state.step + 1, batch=state.batch + 1)
        if not good:
            return dataclasses.replace(
                state, skipped=state.skipped + 1, skipped_in_a_row=state.skipped_in_a_row + 1
            )  # fmt: skip
        return dataclasses.replace(
            state,
            params=updated.params,
            optimizer_state=updated.optimizer_state,
            skipped_in_a_row=0,
            count=state.count + int(graded.count),
            sums={name: state.sums.get(name, 0.0) + float(total) for name, total in graded.sums.items()},
        )

    def _evaluated(
        self, state: TrainingState, progress: Progress, interruption: AnyInterruption
    ) -> tuple[TrainingState, bool]:
        """The state with an evaluation more, saved: and does somebody ask to stop?"""
        values: dict[str, float] = {f"train_{name}": total / state.count for name, total in state.sums.items()}
        if state.spike_rate is not None:
            values["spike_rate"] = state.spike_rate
        if self.skip_nonfinite:
            values["skipped"] = state.skipped
        if self.valid is not None:
            key = jax.random.fold_in(jax.random.key(self.seed), _EVALUATION)
            batches = interruption.until_asked(self.valid.batches(self.batch_size))
            measured = gathered(score(self.scorer, here(combine(state.params, self.rest)), batches, self.fit, key))
            if interruption.asked is not None:
                return state, True
            if state.step == 0:
                self.monitor.check(name for name in measured if name != "loss")
            values |= {f"valid_{name}": mean(samples) for name, samples in measured.items()}
        _append(state.evaluations, {"step": state.step, **values})
        watched = values.get(f"{'train' if self.valid is None else 'valid'}_{self.monitor.name}", math.nan)
        now = self._pass(state.epoch + bool(state.batch))
        progress.show(now, state.step, self.total_steps(state), self._latest(state), milestone=True)
        state = dataclasses.replace(state, count=0, sums={}, skipped=0, stale=state.stale + 1)
        if self.monitor.better(watched, state.best_value):
            state = dataclasses.replace(state, best=state.params, best_value=watched, best_step=state.step, stale=0)
        self._save(state)
        return state, self._told("evaluation", state, values)

    def _latest(self, state: TrainingState) -> dict[str, float]:
        """What is shown on the way: means over this pass, the latest on the validation data, rate of spikes."""
        metrics = [name for name in (self.monitor.name, *state.sums) if name != "loss" and name in state.sums]
        shown = ["loss", *metrics[:1]]
        values = {name: state.sums[name] / state.count for name in shown if name in state.sums}
        for name in shown:
            held_out = state.evaluations.get(f"valid_{name}", [])
            if held_out:
                values[f"valid {name}"] = held_out[-1]
        if state.spike_rate is not None:
            values["rate"] = state.spike_rate
        if state.skipped:
            values["skipped"] = state.skipped
        return values

    def _pass(self, number: int) -> str:
        """Which pass through the data this is, in words."""
        if not number:
            return "before training"
        return f"epoch {number}" if self.epochs is None else f"epoch {number}/{self.epochs}"

    def _told(self, kind: Kind, state: TrainingState, values: Mapping[str, float]) -> bool:
        moment = Moment(kind, state.step, state.epoch, values, state.params, self.rest)
        answers = [callback(moment) for callback in self.callbacks]
        return any(answers)

    def _save(self, state: TrainingState) -> None:
        if self.checkpoints is not None and is_first():
            self.checkpoints.save(state.step, state.to_arrays())


def restored(state: TrainingState, checkpoints: Checkpoints, resume: bool) -> TrainingState:
    """The newest saved state, if the run is to be resumed; the given one if it is not, or if nothing was saved yet.

    Raises:
        CheckpointError: an earlier run's checkpoints are in the way.
    """
    if not resume:
        if checkpoints.steps():
            raise CheckpointError(
                "the folder holds checkpoints of an earlier run", file=checkpoints.folder,
                hint="resume=True continues it; another folder starts anew",
            )  # fmt: skip
        return state
    arrays = checkpoints.newest()
    if arrays is None:
        warnings.warn(
            f"no checkpoint in {str(checkpoints.folder)!r} yet: training starts anew", NIRWarning, stacklevel=3
        )
        return state
    return state.from_arrays(arrays)


def _append(history: dict[str, list[float]], values: Mapping[str, float]) -> None:
    """Adds an entry to each list; what was not measured is NaN."""
    length = max((len(entries) for entries in history.values()), default=0)
    for name in values:
        history.setdefault(name, [math.nan] * length)
    for name, entries in history.items():
        entries.append(values.get(name, math.nan))
