"""The environments that the peers run in, made where they are missing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender

HERE = Path(__file__).parent / ".envs"


@dataclass(frozen=True)
class Environment:
    """A virtual environment by name, what is installed in it, and what is installed before that."""

    name: str
    packages: tuple[str, ...]
    before: tuple[str, ...] = ()

    def python(self, roots: list[Path]) -> str | None:
        """Its interpreter under the first of the folders that has it."""
        for root in roots:
            path = root / self.name / "bin" / "python"
            if path.is_file():
                return str(path)
        return None

    def found_or_made(self, roots: list[Path]) -> str:
        """Its interpreter under one of the folders or under benchmarks/.envs; installed there if it is nowhere."""
        return self.python([*roots, HERE]) or self.make()

    def make(self) -> str:
        """Install it under benchmarks/.envs; its interpreter."""
        folder = HERE / self.name
        python = folder / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for packages in (("--upgrade", "pip"), self.before, self.packages):
            if packages:
                subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
        return str(python)


TORCH = ("torch==2.13.0",)
PEERS = Environment(
    "peers",
    ("norse==1.1.0", "snntorch==1.0.0", "sinabs==2.0.3", "spikingjelly==2.0.0", "nirtorch==2.6", "nir==1.0.8"),
    before=TORCH,
)
SPYX = Environment("spyx", ("spyx==1.0.0", "nir==1.0.8"))
ROCKPOOL = Environment("rockpool", ("rockpool==3.1.0", "nirtorch==2.6", "nir==1.0.8"), before=TORCH)
ROCKPOOL_JAX = Environment("rockpool-jax", ("rockpool==3.1.0", "jax==0.10.2", "nir==1.0.8"))
AEON = Environment("aeon", ("--no-deps", "aeon==1.6.0"))
"""For the data that it ships; nothing of it is run."""

OWN = ("nirjax", "limit", "handwritten")
"""What runs in this interpreter's environment."""

IN_ENVIRONMENT = {
    "spyx": SPYX,
    "norse": PEERS,
    "snntorch": PEERS,
    "sinabs": PEERS,
    "spikingjelly": PEERS,
    "nirtorch": PEERS,
    "rockpool_torch": ROCKPOOL,
    "rockpool_jax": ROCKPOOL_JAX,
}
NAMES = (*OWN, *IN_ENVIRONMENT)


def contender(word: str, roots: list[Path]) -> Contender:
    """The contender of a word from the command line: "spyx", or "nirjax:block=16+recompute=1".

    Args:
        word: a name of NAMES, and options behind a colon.
        roots: folders that may hold the environments already; one that none of them holds is installed.

    Raises:
        ValueError: no such contender.
    """
    name, _, options = word.partition(":")
    words = tuple(option for option in options.split("+") if option)
    if name in OWN:
        return Contender(word, "engine" if name == "nirjax" else name, sys.executable, words)
    if name not in IN_ENVIRONMENT:
        raise ValueError(f"no such contender: {name!r}; known: {', '.join(NAMES)}")
    environment = IN_ENVIRONMENT[name]
    return Contender(word, f"peers.{name}", environment.found_or_made(roots), words)
