"""A second call of `finetune` or `evaluate` with equal settings traces and compiles nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax
import pytest

import nirjax
from finetuning.tasks import data, model
from nirjax.finetuning import losses
from nirjax.finetuning.compiling import compiled

SLOPE = 1.0


class Compiled:
    """Names of the functions that were compiled, and those of them that are nirjax's own."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def note(self, event: str, seconds: float, **facts: Any) -> None:
        if event.endswith("backend_compile_duration"):
            self.names.append(str(facts.get("fun_name")))

    def new(self) -> list[str]:
        found, self.names = self.names, []
        return found

    def programs(self) -> int:
        return sum("_call" in name for name in self.new())


@pytest.fixture
def seen() -> Iterator[Compiled]:
    found = Compiled()
    jax.monitoring.register_event_duration_secs_listener(found.note)
    yield found
    jax.monitoring.unregister_event_duration_listener(found.note)


def tuned(rate: float = 0.05, weight: float = 1.0, **options: Any) -> nirjax.FinetuneResult:
    """Everything is made anew: model, optimizer, loss, metrics."""

    def loss(run: nirjax.Run, batch: nirjax.data.Batch) -> Any:
        return weight * SLOPE * losses.spike_count_cross_entropy(run.output, batch.y, where=batch.where)

    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    given: dict[str, Any] = {
        "optimizer": optimizer, "loss": loss, "metrics": {"spikes": lambda run, batch: run.output.sum((0, 2))},
        "epochs": 1, "batch_size": 4, "progress": False,
    }  # fmt: skip
    return nirjax.finetune(model(), data(), data(5, 1), **{**given, **options})


def test_a_second_training_of_equal_settings_compiles_nothing(seen: Compiled) -> None:
    first = tuned()
    seen.new()
    second = tuned()
    assert seen.new() == []
    np.testing.assert_array_equal(first.history["loss"], second.history["loss"])
    tuned(seed=1, epochs=2)
    assert seen.new() == []


def test_another_learning_rate_compiles_the_update_and_no_gradient(seen: Compiled) -> None:
    tuned()
    seen.new()
    tuned(rate=0.01)
    assert seen.programs() == 1


def test_another_loss_is_compiled_and_gives_other_numbers(seen: Compiled) -> None:
    one = tuned(weight=3.0)
    seen.new()
    other = tuned(weight=4.0)
    assert seen.programs() == 2  # gradient, score
    np.testing.assert_allclose(other.history["loss"][0], one.history["loss"][0] * 4 / 3, rtol=1e-6)


def test_a_global_that_changed_is_seen(seen: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tuned()
    monkeypatch.setattr(sys.modules[__name__], "SLOPE", 2.0)
    other = tuned()
    np.testing.assert_allclose(other.history["loss"][0], 2 * one.history["loss"][0], rtol=1e-6)


def test_a_second_evaluation_compiles_nothing(seen: Compiled) -> None:
    own = {"mean": lambda run, batch: run.output.mean((0, 2))}
    for metrics in (None, own, {"loss of mine": losses.spike_count_mse}):
        nirjax.evaluate(model(), data(7), metrics=metrics)
        assert seen.programs() == 1
        nirjax.evaluate(model(), data(7), metrics=metrics)
        assert seen.new() == []


def doubled(settings: Any, x: Any) -> Any:
    settings.seen.append(x)
    return 2 * x


class Unknown:
    """Settings of which nothing can be told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []


def test_settings_that_cannot_be_compared_are_compiled_anew() -> None:
    one, other = Unknown(), Unknown()
    for settings in (one, other):
        function = compiled(doubled, settings)
        assert function(2.0) == function(2.0) == 4
    assert (len(one.seen), len(other.seen)) == (1, 1)
