"""The data of the two tasks, as spikes: nothing is downloaded.

digits   scikit-learn's 8 x 8 handwritten digits, as nirjax ships them, read row by row from the top
vowels   JapaneseVowels as the aeon package ships it: 12 cepstral coefficients of nine speakers, 7 to 29 frames
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

STEPS_PER_ROW, SILENT_STEPS = 4, 8
LEVELS, STEPS_PER_FRAME, VOWEL_STEPS = (0.2, 0.4, 0.6, 0.8), 2, 64
VALID_DIGITS, VALID_VOWELS = 297, 63
"""How many of the training samples are held out for every choice."""


@dataclass(frozen=True)
class Part:
    """Recordings x (sample, time, channel), uint8 of 0 and 1, and labels y."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Data:
    """What is trained on, what choices are made by, and what is touched once."""

    train: Part
    valid: Part
    test: Part

    def save(self, path: Path) -> None:
        parts = {f"{key}_{name}": value for name, part in vars(self).items() for key, value in vars(part).items()}
        np.savez_compressed(path, **parts)


def load(path: Path) -> Data:
    """What `Data.save` wrote."""
    with np.load(path) as file:
        return Data(*(Part(file[f"x_{name}"], file[f"y_{name}"]) for name in ("train", "valid", "test")))


def digits(images: Path) -> Data:
    """Each row of an image is shown for four steps, its columns being the channels; eight silent steps follow.

    In step k of a row a channel spikes where the pixel (0 to 16) exceeds 16 (k + 1/2) / 4.
    """
    with np.load(images) as file:
        pixels, labels = file["images"], file["labels"].astype(np.int64)
        train, test = file["train_index"], file["test_index"]
    thresholds = 16 * (np.arange(STEPS_PER_ROW) + 0.5) / STEPS_PER_ROW
    shown = (pixels[:, :, None, :] > thresholds[:, None]).reshape(len(pixels), -1, pixels.shape[-1])
    x = np.pad(shown, ((0, 0), (0, SILENT_STEPS), (0, 0))).astype(np.uint8)
    return held_out(Part(x[train], labels[train]), Part(x[test], labels[test]), VALID_DIGITS)


def vowels(folder: Path) -> Data:
    """Each frame is shown for two steps; a channel is on where a coefficient lies above a level.

    Four levels a coefficient, at the 20, 40, 60 and 80 % quantiles of the training frames; silence up to 64 steps.
    """
    train, test = (read_series(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
    levels = np.quantile(np.concatenate([frames for frames, _ in train]), LEVELS, axis=0)
    parts = [
        Part(np.stack([above(x, levels) for x, _ in part]), np.array([y for _, y in part])) for part in (train, test)
    ]
    return held_out(*parts, VALID_VOWELS)


def above(frames: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(time, levels * coefficients) of 0 and 1 from (frame, coefficient)."""
    on = np.repeat(frames[:, None, :] > levels, STEPS_PER_FRAME, axis=0)
    return np.pad(on.reshape(len(on), -1), ((0, VOWEL_STEPS - len(on)), (0, 0))).astype(np.uint8)


def read_series(path: Path) -> list[tuple[np.ndarray, int]]:
    """(frames (frame, coefficient), class from 0) of each line of a .ts file: colons part coefficients."""
    lines = path.read_text().split("@data", 1)[1].split()
    fields = [line.split(":") for line in lines]
    return [(np.array([row.split(",") for row in rows], np.float64).T, int(label) - 1) for *rows, label in fields]


def held_out(train: Part, test: Part, size: int) -> Data:
    """A validation part of about that size, the same share of every class, always the same samples."""
    random = np.random.default_rng(0)
    chosen = np.zeros(len(train.y), bool)
    for label in np.unique(train.y):
        members = np.flatnonzero(train.y == label)
        chosen[random.permutation(members)[: round(size * len(members) / len(train.y))]] = True
    return Data(Part(train.x[~chosen], train.y[~chosen]), Part(train.x[chosen], train.y[chosen]), test)
