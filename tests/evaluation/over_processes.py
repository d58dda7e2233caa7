"""What only several processes can do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.scenarios import Found, OnDisk, Stream, error_of, events, metrics, on_grid, ragged


class StoppedError(Exception):
    """What a signal does here."""


def parts(folder: Path) -> Found:
    """Each process has its own part of the data: 7 recordings and 4, and, to train, streams of these."""
    import jax
    import optax

    import nirjax
    from nirjax.data import Source

    mine = ragged(11)[:7] if jax.process_index() == 0 else ragged(11)[7:]
    result = nirjax.evaluate(on_grid(), Source(mine, per_process=True), batch_size=4, output=folder / "parts")
    tuned = nirjax.finetune(
        on_grid(), Source(Stream(mine), per_process=True), Source(mine, per_process=True), optimizer=optax.sgd(0.01),
        steps=3, batch_size=4, progress=False,
    )  # fmt: skip
    weights = {f"trained {name}": np.asarray(tuned.model.params[name]["weight"]) for name in ("fc1", "fc2")}
    return {"grid rate": result.per_sample["spike_rate"], "prediction": result.per_sample["prediction"], **weights}


def training_with_checkpoints(folder: Path, resume: bool = False, callbacks: Any = ()) -> Any:
    """Four steps, saved in a folder."""
    import optax

    import nirjax

    return nirjax.finetune(
        on_grid(), ragged(13, 1), optimizer=optax.adam(0.01), steps=4, batch_size=6, progress=False,
        checkpoints=folder / "interrupted", resume=resume, callbacks=callbacks,
    )  # fmt: skip


def uninterrupted(folder: Path) -> Found:
    """The weights after these four steps."""
    return {"(uninterrupted)": np.asarray(training_with_checkpoints(folder).model.params["fc1"]["weight"])}


def interrupted(folder: Path) -> Found:
    """One process gets a signal: both save and stop after the same step, and go on from there."""
    import jax

    def stop(number: int, frame: Any) -> None:
        raise StoppedError

    def struck(moment: Any) -> None:
        if moment.step == 2 and jax.process_index() == 1:
            signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        training_with_checkpoints(folder, callbacks=[struck])
    except StoppedError:
        saved = sorted(path.name for path in (folder / "interrupted").glob("*.json"))
    finally:
        signal.signal(signal.SIGTERM, before)
    result = training_with_checkpoints(folder, resume=True)
    return {"saved": np.array(saved), "trained fc1": np.asarray(result.model.params["fc1"]["weight"])}


def refused(folder: Path) -> Found:
    """What processes must not do, and what each is told."""
    import jax
    import optax

    import nirjax
    from nirjax.data import Source

    index = jax.process_index()
    broken = ragged(8)
    if index == 1:
        broken[6] = (broken[6][0][:, :2], 0)
    cases: dict[str, Callable[[], Any]] = {
        "different": lambda: nirjax.evaluate(on_grid(), ragged(8, index)),
        "different to validate": lambda: nirjax.finetune(
            on_grid(), ragged(8), ragged(8, index), optimizer=optax.sgd(0.01), steps=1, progress=False
        ),
        "same": lambda: nirjax.evaluate(on_grid(), Source(ragged(8), per_process=True)),
        "stream": lambda: nirjax.evaluate(on_grid(), iter(ragged(8))),
        "broken": lambda: nirjax.evaluate(on_grid(), OnDisk(broken), batch_size=2),
        "mesh": lambda: nirjax.evaluate(on_grid(), ragged(8), mesh=1),
        "fitting mesh": lambda: nirjax.evaluate(on_grid(), ragged(8), mesh=2),
        "kinds": lambda: nirjax.finetune(
            on_grid(),
            Source([(x.astype((np.uint8, np.float32)[index]), y) for x, y in ragged(8, index)], per_process=True),
            optimizer=optax.sgd(0.01),
            steps=1,
            progress=False,
        ),
        "unshared": lambda: nirjax.evaluate(on_grid(), ragged(8), output=folder / f"unshared{index}"),
    }
    return {name: np.array(error_of(case)) for name, case in cases.items()}


def programs(folder: Path) -> Found:
    """The shapes of the arrays that this process brings to the steps of training, by recordings of events."""
    import jax
    import optax

    import nirjax
    from nirjax.data import EventSource, Source
    from nirjax.data.placement import Placement

    placed, brought = Placement.placed, []

    def placing(self: Any, batch: Any) -> Any:
        brought.append([leaf.shape for leaf in jax.tree.leaves(batch)])
        return placed(self, batch)

    mine = sorted(events(12), key=lambda pair: len(pair[0]["t"]))[jax.process_index() * 6 :][:6]
    part = Source(EventSource(mine, unit=1, duration=8), per_process=True)
    Placement.placed = placing  # type: ignore[method-assign]
    try:
        nirjax.finetune(on_grid(), part, optimizer=optax.sgd(0.01), epochs=1, batch_size=4, progress=False)
    finally:
        Placement.placed = placed  # type: ignore[method-assign]
    return {"shapes": np.array(repr(brought))}


def together(folder: Path) -> Found:
    """What only several processes can do."""
    found = {}
    for scenario in (parts, programs, interrupted, refused):
        found |= {f"{name} ({scenario.__name__})": values for name, values in scenario(folder).items()}
    return found


def dying(folder: Path) -> Found:
    """The second process dies once it has written two shards."""
    import jax

    import nirjax
    from nirjax.evaluation import folder as folders

    folders.SHARD_SAMPLES = 1
    write, written = folders.Folder.write, []

    def writing(self: Any, parts: Any) -> None:
        write(self, parts)
        written.append(parts)
        if len(written) == 2 and jax.process_index() == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    folders.Folder.write = writing
    nirjax.evaluate(on_grid(), ragged(21), metrics=metrics(), record=["lif*"], batch_size=4, output=folder / "dying")
    return {}
