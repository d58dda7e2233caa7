"""What a contender is given, and what it gives back. Imports nothing but NumPy: every environment has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Task:
    """One workload in one mode, as files.

    Attributes:
        workload: its name.
        mode: "forward": outputs from inputs. "training": the loss, the gradient of weights and biases, and one SGD
            update; where the graph has no weights the input stands in for them.
        folder: holds graph.nir, flat.nir (the same without subgraphs), unit.nir (flat, with each LIF's r taken into
            the weights before it), x.npy (time, batch, *shape) and target.npy (batch, *shape).
        dt: the time step, in the graph's unit.
        options: "block=16", say: words for the contender.
    """

    workload: str
    mode: str
    folder: str
    dt: float
    options: tuple[str, ...] = ()

    @property
    def graph(self) -> Path:
        return Path(self.folder, "graph.nir")

    @property
    def flat_graph(self) -> Path:
        return Path(self.folder, "flat.nir")

    @property
    def unit_graph(self) -> Path:
        return Path(self.folder, "unit.nir")

    @property
    def training(self) -> bool:
        return self.mode == "training"

    def x(self) -> np.ndarray:
        return np.load(Path(self.folder, "x.npy"))

    def target(self) -> np.ndarray:
        return np.load(Path(self.folder, "target.npy"))

    def option(self, name: str, default: str = "") -> str:
        """The word behind `name=` among the options."""
        found = [word.partition("=")[2] for word in self.options if word.partition("=")[0] == name]
        return found[-1] if found else default

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Task:
        fields = json.loads(text)
        return cls(**fields | {"options": tuple(fields["options"])})


@dataclass(frozen=True)
class Job:
    """A task made ready to be timed.

    Attributes:
        call: does the work once and returns when it is done.
        output: what the network emits, (time, batch, *shape); None where there is nothing to compare.
        facts: of the compiled program: flops, temporary bytes, seconds to compile.
        dialect: the one under which nirjax must emit the same, as `nirjax.from_nir` takes it.
        graph: the file that it was built from: "graph.nir", "flat.nir", or "unit.nir", whose r is 1.
    """

    call: Callable[[], Any]
    output: Callable[[], np.ndarray] | None
    facts: dict[str, float] = field(default_factory=dict)
    dialect: str = "nir()"
    graph: str = "graph.nir"
