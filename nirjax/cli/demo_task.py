"""The demo's task: handwritten digits as spikes, another framework's answers to them, and a shift."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nirjax.assets import DIGITS_DATA

VALID_SHARE = 0.12


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings x (sample, time, channels), 0 or 1, and their labels y (sample,)."""

    x: np.ndarray
    y: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """As `nirjax.finetune` and `nirjax.evaluate` take them."""
        return self.x, self.y


@dataclass(frozen=True, eq=False)
class Split:
    """One task in three parts; validation is taken out of the training images."""

    train: Recordings
    valid: Recordings
    test: Recordings


@dataclass(frozen=True, eq=False)
class Home:
    """What the framework that trained the network answered on the test images.

    Attributes:
        counts: output spikes, (sample, class).
        prediction: the class with the most of them, the lowest where tied.
        accuracy: of these predictions.
    """

    counts: np.ndarray
    prediction: np.ndarray
    accuracy: float


@dataclass(frozen=True, eq=False)
class Task:
    """The task as the network was trained for it, the same with every image turned, and home's answers to the first."""

    known: Split
    turned: Split
    home: Home


def encode(images: np.ndarray, steps_per_row: int, silent_steps: int) -> np.ndarray:
    """Images (..., rows, columns), values 0 to 16, as spikes (..., time, columns), uint8.

    The rows are read from the top, each for `steps_per_row` steps, its columns being the channels. In step k of a row
    a channel spikes where the pixel exceeds 16 (k + 0.5) / steps_per_row: the brighter, the more spikes. Silent steps
    follow.
    """
    *lead, rows, columns = images.shape
    thresholds = 16 * (np.arange(steps_per_row) + 0.5) / steps_per_row
    spikes = (images[..., :, None, :] > thresholds[:, None]).reshape(*lead, rows * steps_per_row, columns)
    silence = np.zeros((*lead, silent_steps, columns), bool)
    return np.concatenate([spikes, silence], axis=-2).astype(np.uint8)


def turned(images: np.ndarray) -> np.ndarray:
    """Every image (sample, rows, columns) turned by 90 degrees against the clock."""
    return np.rot90(images, axes=(1, 2))


def task(seed: int, path: Path = DIGITS_DATA) -> Task:
    """The demo's task; the seed draws which training images are held back for validation."""
    with np.load(path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    labels = data["labels"].astype(np.int32)
    train = np.random.default_rng(seed).permutation(data["train_index"])
    held = round(VALID_SHARE * len(train))
    parts = (train[held:], train[:held], data["test_index"])

    def split(images: np.ndarray) -> Split:
        spikes = encode(images, int(data["steps_per_row"]), int(data["silent_steps"]))
        return Split(*(Recordings(spikes[part], labels[part]) for part in parts))

    home = Home(data["home_counts"], data["home_prediction"], float(data["home_accuracy"]))
    return Task(split(data["images"]), split(turned(data["images"])), home)


def telling_sample(labels: np.ndarray, *predictions: tuple[np.ndarray, bool]) -> int:
    """A sample for the picture: for each pair, its prediction is right, or wrong, as the pair says.

    The first that fits all pairs; of none, the first that fits the last pair; of none, the first.
    """
    fits = [(prediction == labels) == right for prediction, right in predictions]
    for wanted in (np.all(fits, axis=0), fits[-1]):
        if wanted.any():
            return int(np.flatnonzero(wanted)[0])
    return 0
