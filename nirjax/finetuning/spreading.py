"""Training over several devices and processes: what is divided, what lies everywhere, and what all must agree on.

Each device has the parameters and its own samples of every batch; the gradients are summed over all (`update.py`). The
batches are those of one device, so the result is too, to rounding. Validation data is divided among the processes,
each of which scores its share on its own devices. The first process alone writes and shows.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.data import parts, processes
from nirjax.data.batch import Batch
from nirjax.data.checks import Fit
from nirjax.data.fingerprint import fingerprint
from nirjax.data.placement import Placement
from nirjax.data.recordings import Seed
from nirjax.data.sources import OpenSource, fitting_source
from nirjax.engine.model import Model, Params
from nirjax.finetuning.firing import SAMPLES
from nirjax.finetuning.interruption import Interruption
from nirjax.finetuning.scoring import Scorer
from nirjax.finetuning.state import TrainingState


def opened(train: Any, valid: Any, fit: Fit, placement: Placement | None) -> tuple[OpenSource, OpenSource | None]:
    """Training and validation data as this process sees them, checked as far as they are in memory.

    Args:
        train, valid: as `finetune` takes them.
        fit: what the model takes.
        placement: all devices of all processes.

    Raises:
        DataError: data that is malformed or does not fit the model; a stream that nobody has divided among the
            processes; processes with different data, or with the same where each is to have its own.
        FileError: a file that cannot be read.
        DistributedError: another process cannot read its data.
    """

    given = {"train": train} if valid is None else {"train": train, "valid": valid}
    sources = processes.all_or_none(lambda: {name: fitting_source(data, fit, name) for name, data in given.items()})
    if processes.count() > 1:
        assert placement is not None
        own = {name: parts.is_per_process(data) for name, data in given.items()}
        for name, source in sources.items():
            parts.check_alike(fingerprint(source), own[name])
        sources["train"] = parts.SharedSource(sources["train"], own["train"], placement.devices)
        if "valid" in sources:
            sources["valid"] = _own_share(sources["valid"], own["valid"])
    return sources["train"], sources.get("valid")


def _own_share(source: OpenSource, per_process: bool) -> OpenSource:
    if per_process:
        return source
    if not isinstance(source, parts.Indexed):
        raise parts.needs_parts(source)
    return _OwnShare(source)


@dataclass(frozen=True, eq=False)
class _OwnShare:
    """This process's run of the recordings, in their order."""

    source: parts.Indexed

    @property
    def size(self) -> int:
        return len(parts.share(self.source.size))

    @property
    def count(self) -> None:
        return None

    def check(self, fit: Fit) -> None:
        self.source.check(fit)

    def batches(self, batch_size: int | None, seed: Seed = None, skip: int = 0) -> Iterator[Batch]:
        size = max(1, -(-min(batch_size or self.source.size, self.source.size) // processes.count()))
        return parts.chosen(self.source, np.asarray(parts.share(self.source.size))[skip * size :], size)


def placed_state(state: TrainingState, placement: Placement | None) -> TrainingState:
    """The state, with its arrays on all devices."""
    if placement is None:
        return state
    params, optimizer_state, best = placement.replicated((state.params, state.optimizer_state, state.best))
    return dataclasses.replace(state, params=params, optimizer_state=optimizer_state, best=best)


def rates_of_all(rates: dict[str, float], columns: int) -> dict[str, float]:
    """The rates over the first samples of the whole batch, of which each process has so many `columns`."""
    if processes.count() == 1:
        return rates
    looked_at = min(SAMPLES, columns)
    told = processes.gathered({"": np.array([[looked_at, *rates.values()]])})[""]
    weights = np.clip(SAMPLES - columns * np.arange(len(told)), 0, told[:, 0])
    return dict(zip(rates, (weights @ told[:, 1:] / weights.sum()).tolist(), strict=True))


def brought_home(params: Params, placement: Placement | None) -> Params:
    """The parameters on the default device, from all devices."""
    if placement is None:
        return params
    home: Params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), params)
    return home


def placed_scorer(scorer: Scorer, placement: Placement | None) -> Scorer:
    """The scorer, its batches divided over this process's devices."""
    if placement is None:
        return scorer
    divided = jax.jit(placement.over_batch(scorer))

    def score(model: Model, batch: Batch, key: Array) -> dict[str, Any]:
        values = divided(model, placement.placed(batch), key)
        return {name: np.asarray(value)[: batch.size] for name, value in values.items()}

    return score


class AgreedInterruption:
    """An interruption of one process is one of all, after the same step; see `Interruption`."""

    def __init__(self, own: Interruption) -> None:
        self._own = own

    @property
    def asked(self) -> signal.Signals | None:
        """Which signal any of the processes has got. All have to ask at the same time."""
        told = processes.numbers_of_all(self._own.asked or 0)
        if told.any():
            self._own.asked = signal.Signals(int(told.max()))
        return self._own.asked

    def until_asked(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches: each process has a number of its own, so that they cannot agree between two."""
        return batches

    def obey(self) -> None:
        """Lets the signal do what it would have done."""
        self._own.obey()


AnyInterruption = Interruption | AgreedInterruption
