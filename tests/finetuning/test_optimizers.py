"""Several optimizers in one: each parameter moves as under its own alone; every slip in the patterns is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import optax
import pytest

import nirjax
from finetuning.tasks import data, model
from nirjax.errors import ArgumentError, PatternError
from nirjax.finetuning.optimizers import by_pattern

TRAINED = ["*.weight", "*.tau"]


def tuned(optimizer: Any, trainable: Any = TRAINED) -> nirjax.FinetuneResult:
    return nirjax.finetune(
        model(), data(), optimizer=optimizer, trainable=trainable, steps=1, batch_size=12, progress=False
    )


def test_each_parameter_moves_as_under_its_own_optimizer_alone() -> None:
    optimizers = {"*.weight": optax.adam(0.05), "*.tau": optax.sgd(0.3)}
    both = tuned(optimizers).model.params
    for pattern, optimizer in optimizers.items():
        alone = tuned(optimizer).model.params
        for node, fields in alone.items():
            for field, value in fields.items():
                if field == pattern[2:]:
                    np.testing.assert_allclose(both[node][field], value, rtol=1e-6)
    assert np.any(both["lif1"]["tau"] != model().params["lif1"]["tau"])


def test_several_patterns_in_one_and_a_clipping_around_all() -> None:
    optimizers = {("*", "!fc2.*"): optax.sgd(1.0), "fc2.weight": optax.sgd(0.0)}
    before, after = model().params, tuned(optax.chain(optax.clip_by_global_norm(1e-3), by_pattern(optimizers)))
    np.testing.assert_array_equal(after.model.params["fc2"]["weight"], before["fc2"]["weight"])
    moved = np.abs(after.model.params["fc1"]["weight"] - before["fc1"]["weight"])
    assert 0 < moved.max() <= 1e-3


ADAM = optax.adam(1e-3)
BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "matches nothing": ({"*.weight": ADAM, "*.tua": ADAM, "*.tau": ADAM}, PatternError, r"\*\.tua"),
    "not trained": ({"*.weight": ADAM, "*.tau": ADAM, "*.r": ADAM}, PatternError, "trainable"),
    "two": ({"*": ADAM, "*.tau": ADAM}, PatternError, r"two optimizers .*lif1\.tau"),
    "none": ({"*.weight": ADAM}, PatternError, r"no optimizer; found lif1\.tau"),
    "all taken away": ({"*": ADAM, ("*", "!*"): ADAM}, PatternError, "nothing is left"),
    "empty": ({}, ArgumentError, "no optimizer"),
    "a number": ({"*": 1e-3}, ArgumentError, r"optimizer\['\*'\]"),
    "not called": ({"*": optax.adam}, ArgumentError, "called"),
}


@pytest.mark.parametrize("kind", BAD)
def test_slips_are_refused_before_training(kind: str) -> None:
    optimizer, error, reason = BAD[kind]
    with pytest.raises(error, match=reason):
        tuned(optimizer)
