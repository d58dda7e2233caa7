"""A mutant: a pure function of the seeds, a campaign's seed and a number."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzzing import content, damage
from fuzzing.seeds import Seed, seeds
from nirjax.errors import NIRError
from nirjax.ir.attributes import DIGEST
from nirjax.ir.digest import content_digest
from nirjax.ir.hdf5 import read


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


def mutant(made_from: Sequence[Seed], campaign: int, number: int) -> Mutant:
    """The mutant of that number."""
    rng = np.random.default_rng([campaign, number])
    seed, other = (made_from[rng.integers(len(made_from))] for _ in range(2))
    kind, data = rng.integers(10), seed.data
    how = "bytes" if kind < 6 else "content" if kind < 9 else "content, bytes"
    if "content" in how:
        data = content.mutated(data, rng)
    if "bytes" in how:
        data = damage.mutated(data, other.data, rng)
    return Mutant(number, seed.name, how, data, in_process=bool(rng.integers(5) == 0))


def main() -> None:
    """Make mutants into files, one for each JSON object a line: HDF5, asked to make odd files, crashes now and then."""
    for line in sys.stdin:
        request = json.loads(line)
        more = Path(request["more"]) if request["more"] else None
        made = mutant(seeds(more), request["campaign"], request["number"])
        content, guarded = _originals(more)[made.made_from]
        Path(request["path"]).write_bytes(made.data)
        told = {"kind": "made", "content": content, "guarded": guarded}
        print(json.dumps({**told, "mutant": {**vars(made), "data": None}}), flush=True)


@functools.cache
def _originals(more: Path | None) -> dict[str, tuple[str | None, bool]]:
    """The digest of each seed's content, None if it is no graph; and whether the file itself carries one."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {seed.name: _original(seed, Path(folder) / "seed.nir") for seed in seeds(more)}


def _original(seed: Seed, path: Path) -> tuple[str | None, bool]:
    path.write_bytes(seed.data)
    try:
        graph = read(path, trusted=True)
    except NIRError:
        return None, False
    return content_digest(graph), DIGEST.encode() in seed.data


if __name__ == "__main__":
    main()
