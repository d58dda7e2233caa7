"""What narrower numbers do to spikes, on the golden recordings.

    python benchmarks/precision.py [--only snntorch,norse]

Every recording's graph runs on its recorded input under its framework's dialect, in float32 and narrower, and the
spikes of all its neurons are compared, neuron by neuron and step by step. Prints a Markdown table, a row a framework:
in what share of the spikes the two differ, (missing + added) / spikes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[1]))

import nirjax
from tests.test_golden import CASES, load

NARROWER: dict[str, dict[str, Any]] = {
    "products in bfloat16": {"product_dtype": "bfloat16"},
    "products in float16": {"product_dtype": "float16"},
    "everything in bfloat16": {"dtype": "bfloat16"},
}


@dataclass
class Counts:
    """What was seen in one framework's recordings."""

    recordings: int = 0
    steps: int = 0
    spikes: int = 0
    differing: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NARROWER, 0))

    def add(self, model: nirjax.Model, x: np.ndarray) -> None:
        """Take up one recording."""
        if not any(name.endswith(".spikes") for name in model.variables):
            return
        expected = spikes(model, x)
        self.recordings += 1
        self.steps += sum(trace.size for trace in expected.values())
        self.spikes += sum(int(trace.sum()) for trace in expected.values())
        for name, choice in NARROWER.items():
            found = spikes(model.replace(**choice), x)
            self.differing[name] += sum(int(np.abs(found[key] - trace).sum()) for key, trace in expected.items())

    def row(self, name: str) -> str:
        """The counts as a row of the table."""
        shares = [f"{100 * count / self.spikes:.2g} %" for count in self.differing.values()]
        return f"| {name} | {self.recordings} | {self.steps:,} | {self.spikes:,} | {' | '.join(shares)} |"


def spikes(model: nirjax.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    """Spikes of every neuron, as float64."""
    traces = model.run(x, record="*.spikes").traces
    return {name: np.asarray(trace, np.float64) for name, trace in traces.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="frameworks, by comma")
    only = parser.parse_args().only
    frameworks: dict[str, Counts] = {}
    for name in CASES:
        framework = name.partition("/")[0]
        if only and framework not in only.split(","):
            continue
        model, recorded = load(name)
        frameworks.setdefault(framework, Counts()).add(model, recorded["x"])
    print(f"| framework | recordings | neurons x steps | spikes | {' | '.join(NARROWER)} |")
    print("|---|" + "---|" * (3 + len(NARROWER)))
    for framework, counts in frameworks.items():
        print(counts.row(framework))


if __name__ == "__main__":
    main()
