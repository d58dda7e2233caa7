"""A short run of `finetune` in a process of its own, to be killed: python short_run.py CHECKPOINTS RESULT.npz

It continues from CHECKPOINTS if anything is there, saves after every step, says `training` after the first one, and
writes its last state, whole, and its history to RESULT.npz. Everything that a state holds is in use: noise with a key
in the optimizer and in a transform, ragged data in a shuffled order, validation data, the best so far, skipped steps.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from finetuning.tasks import data, model

import nirjax
from nirjax.finetuning import losses, training
from nirjax.finetuning.callbacks import Moment
from nirjax.finetuning.checkpoints import Checkpoints

EPOCHS = 5


def noisy(whole: nirjax.Model, key: Any) -> nirjax.Model:
    fc1 = whole.params["fc1"]
    noise = 0.05 * jax.random.normal(key, fc1["weight"].shape)
    return whole.replace(params={**whole.params, "fc1": {**fc1, "weight": fc1["weight"] + noise}})


def sometimes_infinite(run: nirjax.Run, batch: nirjax.data.Batch) -> Any:
    """Not finite for a batch whose recordings are all of the first class."""
    return losses.spike_count_cross_entropy(run.output, batch.y, where=batch.where) / (batch.y.max() > 0)


def main(checkpoints: str, result: str) -> None:
    training.SAVE_EVERY = 0.0
    x, y = data(10)
    recordings = [(x[place][: 4 + place % 4], y[place]) for place in range(len(x))]
    said: list[str] = []

    def say(moment: Moment) -> None:
        """Once: all that is to be compiled has been, and from now on every step is saved."""
        if not said:
            said.append("training")
            print(*said, flush=True)

    tuned = nirjax.finetune(
        model(), recordings, data(5, 1), loss=sometimes_infinite, transform=noisy, epochs=EPOCHS, batch_size=2,
        optimizer=optax.chain(optax.add_noise(0.01, 0.5, jax.random.key(1)), optax.adam(0.02)), seed=3,
        skip_nonfinite=9, callbacks=[say], checkpoints=checkpoints, resume=True, progress=False,
    )  # fmt: skip
    folder = Path(checkpoints)
    notes = json.loads(max(folder.glob("step_*.json")).read_text())
    state = Checkpoints(folder, notes["run"]).newest() or {}
    history = {f"history {name}": values for name, values in tuned.history.items()}
    np.savez(result, best_step=tuned.best_step, **state, **history)


if __name__ == "__main__":
    main(*sys.argv[1:])
