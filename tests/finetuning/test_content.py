"""What counts as equal settings: equal code and everything that it can see; nothing where that cannot be told."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from finetuning import tasks
from nirjax.finetuning import losses
from nirjax.finetuning.content import content
from nirjax.finetuning.optimizers import by_pattern

SCALE: Any = 1.0


def scaled(x: Any) -> Any:
    return SCALE * x


def through_another(x: Any) -> Any:
    return [scaled(item) for item in x]


def repeated(x: Any) -> Any:
    return repeated(x[1:]) if len(x) else SCALE


def enclosing(value: Any) -> Callable[..., Any]:
    return lambda x: x * value


def with_attribute(value: Any) -> Callable[..., Any]:
    function = enclosing(1.0)
    function.scale = value  # type: ignore[attr-defined]
    return function


@dataclasses.dataclass(frozen=True)
class Noise:
    size: Any

    def __call__(self, whole: Any, key: Any) -> Any:
        return scaled(whole) + self.size


class Pair(NamedTuple):
    """A type whose methods might see anything."""

    first: float


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return x


OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "adam": optax.adam,
    "clipped": lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate)),
    "scheduled": lambda rate: optax.sgd(optax.cosine_decay_schedule(rate, 10), momentum=0.9),
    "noisy": lambda rate: optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(1)), optax.sgd(rate)),
    "by pattern": lambda rate: by_pattern({"*.weight": optax.adam(rate), "*": optax.sgd(0.1)}),
    "injected": lambda rate: optax.inject_hyperparams(optax.adam)(rate),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_made_twice_are_equal_and_others_are_not(name: str) -> None:
    one, again, other = (content(OPTIMIZERS[name](rate)) for rate in (0.1, 0.1, 0.2))
    assert one is not None
    assert one == again
    assert hash(one) == hash(again)
    assert one != other


PAIRS: dict[str, Callable[[Any], Any]] = {
    "a closure": enclosing,
    "a partial": lambda value: functools.partial(scaled, value),
    "a loss": lambda value: functools.partial(losses.spike_count_mse, correct_rate=value),
    "a dataclass": Noise,
    "an attribute": with_attribute,
    "a jitted function": lambda value: jax.jit(enclosing(value)),
    "a default": lambda value: lambda x, y=value: x * y,
    "a list": lambda value: [1, (value,), {"a": value}],
    "a trace's loss": lambda value: losses.weighted_sum((losses.of_trace(losses.activity_l1, "a.spikes"), value)),
}
VALUES = {
    "floats": (1.0, 1.0, 2.0),
    "int and float": (1, 1, 1.0),
    "zeros": (0.0, 0.0, -0.0),
    "arrays": (np.ones(3), np.ones(3), np.ones(3, np.float32)),
    "shapes": (jnp.ones(4), jnp.ones(4), jnp.ones((2, 2))),
    "numpy's zeros": (np.float32(0.0), np.float32(0.0), np.float32(-0.0)),
    "keys": (jax.random.key(0), jax.random.key(0), jax.random.key(1)),
}


TAKES_FLOATS = ("a loss", "a trace's loss")
CASES = [(kind, values) for kind in PAIRS for values in VALUES if values == "floats" or kind not in TAKES_FLOATS]


@pytest.mark.parametrize(("kind", "values"), CASES)
def test_equal_by_what_is_inside(kind: str, values: str) -> None:
    one, again, other = (content(PAIRS[kind](value)) for value in VALUES[values])
    assert one is not None
    assert one == again
    assert one != other


@pytest.mark.parametrize("function", [scaled, through_another, repeated, Noise(1.0)])
def test_a_global_that_changes_changes_the_content(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(function)
    assert before is not None
    assert before == content(function)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 2.0)
    assert content(function) != before


def test_a_model_inside_is_compared_by_its_parameters() -> None:
    one, again = tasks.model(), tasks.model()
    other = jax.tree.map(lambda leaf: leaf + 1, one)
    assert content(enclosing(one)) == content(enclosing(again)) != content(enclosing(other))


def imports_its_own(x: Any) -> Any:
    from finetuning import tasks

    return tasks.STEPS * x


UNKNOWN: dict[str, Any] = {
    "an object with a state": Counter(),
    "a tuple of a type of one's own": Pair(1.0),
    "a function that sees one": enclosing(Counter()),
    "a method of one": Counter().__call__,
    "an object": object(),
    "a module that is no library": enclosing(tasks),
    "an import of one": imports_its_own,
    "an iterator": iter(""),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_cannot_be_told_is_equal_to_nothing(kind: str) -> None:
    assert content(UNKNOWN[kind]) is None


def test_a_tracer_is_equal_to_nothing() -> None:
    found = []
    jax.eval_shape(lambda x: found.append(content(enclosing(x))), 1.0)
    assert found == [None]
