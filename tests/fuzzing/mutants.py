"""A mutant: a pure function of the seeds, a campaign's seed and a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fuzzing import content, damage
from fuzzing.seeds import Seed


@dataclass(frozen=True)
class Mutant:
    """A damaged file.

    Attributes:
        made_from: the seed's name.
        how: which kinds of damage were done.
        in_process: read it with trusted=True, where only the gate stands between it and HDF5.
    """

    number: int
    made_from: str
    how: str
    data: bytes
    in_process: bool


def mutant(seeds: Sequence[Seed], campaign: int, number: int) -> Mutant:
    """The mutant of that number."""
    rng = np.random.default_rng([campaign, number])
    seed, other = (seeds[rng.integers(len(seeds))] for _ in range(2))
    kind, data = rng.integers(10), seed.data
    how = "bytes" if kind < 6 else "content" if kind < 9 else "content, bytes"
    if "content" in how:
        data = content.mutated(data, rng)
    if "bytes" in how:
        data = damage.mutated(data, other.data, rng)
    return Mutant(number, seed.name, how, data, in_process=bool(rng.integers(5) == 0))
