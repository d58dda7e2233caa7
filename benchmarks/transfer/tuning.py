"""What nirjax does with a network: runs it, fine-tunes it, trains it anew, rounds its weights."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax
import numpy as np
import optax

import nirjax
from benchmarks.transfer import recipe
from benchmarks.transfer.destinations import HOME, Destination
from benchmarks.transfer.recordings import Data, Part
from nirjax.finetuning.scoring import Transform


def files(destination: Destination, folder: Path, data: Data, bits: Sequence[int], seed: int) -> dict[str, Path]:
    """A destination's files by what has been done: "before", "tuned", "scratch", "8 rounded", "8 tuned".

    What lies there already is not made again.

    Args:
        folder: holds home.nir, what snnTorch exported, and start.nir, the same before it was trained.
        bits: of the weights; rounding and its fine-tuning start from what is best in float32.
    """
    found: dict[str, Path] = {}

    def made(stage: str, make: Callable[[], nirjax.Model]) -> nirjax.Model:
        found[stage] = path = folder / (re.sub("[^A-Za-z0-9]+", "-", f"{destination.name} {stage}") + ".nir")
        if not path.exists():
            nirjax.write(path, nirjax.to_nir(make(), provenance=stage != "before"))
        return model_of(nirjax.read(path), destination)

    def untrained() -> nirjax.Model:
        return model_of(destination.form(nirjax.read(folder / "start.nir")), destination)

    best = made("before", lambda: model_of(destination.form(nirjax.read(folder / "home.nir")), destination))
    if destination is not HOME:
        before = best
        best = made("tuned", lambda: tuned(before, data, recipe.EPOCHS, seed))
        made("scratch", lambda: tuned(untrained(), data, recipe.EPOCHS, seed))
    for width in bits if destination.rounded else ():
        made(f"{width} rounded", lambda width=width: rounded(best, width))
        made(f"{width} tuned", lambda width=width: tuned_and_rounded(best, data, width, seed))
    return found


def rounded(model: nirjax.Model, width: int) -> nirjax.Model:
    """With weights of so many bits, one scale for each weight array."""
    return nirjax.quantize(bits=width)(model, jax.random.key(0))


def tuned_and_rounded(model: nirjax.Model, data: Data, width: int, seed: int) -> nirjax.Model:
    """Fine-tuned as it is when rounded."""
    return rounded(tuned(model, data, recipe.ROUNDED_EPOCHS, seed, nirjax.quantize(bits=width)), width)


def model_of(graph: nirjax.NIRGraph, destination: Destination) -> nirjax.Model:
    surrogate = nirjax.surrogate.fast_sigmoid(recipe.SLOPE)
    return nirjax.from_nir(graph, dt=recipe.DT, dialect=destination.dialect, surrogate=surrogate)


def tuned(model: nirjax.Model, data: Data, epochs: int, seed: int, *transform: Transform) -> nirjax.Model:
    """Weights and biases trained; the best by the loss on the validation part."""
    steps = epochs * math.ceil(len(data.train.y) / recipe.BATCH)
    falling = optax.cosine_decay_schedule(recipe.LEARNING_RATE, steps)
    result = nirjax.finetune(
        model,
        (data.train.x, data.train.y),
        (data.valid.x, data.valid.y),
        optimizer=optax.chain(optax.clip_by_global_norm(recipe.CLIP), optax.adam(falling)),
        transform=transform,
        epochs=epochs,
        batch_size=recipe.BATCH,
        seed=seed,
        progress=False,
    )
    return result.model


def counts(paths: Iterable[Path], destination: Destination, part: Part) -> list[np.ndarray]:
    """Output spikes (sample, class) over each recording, of each file."""
    models = [model_of(nirjax.read(path), destination) for path in paths]
    x = np.moveaxis(part.x, 1, 0)
    run = jax.jit(lambda params: models[0].replace(params=params)(x)[0].sum(0))
    return [np.asarray(run(model.params)) for model in models]
