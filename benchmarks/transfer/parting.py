"""Where nirjax and a framework part: of each recording whose spike counts differ, the first decision that does.

Two runs in float32 add up the same numbers in another order, so their membranes differ in the last digits. Where a
membrane comes that close to its threshold, one run decides for a spike and the other does not; float64 says how close.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

import nirjax
from benchmarks.transfer import recipe
from benchmarks.transfer.destinations import Destination
from benchmarks.transfer.recordings import Part

APART = 1e-3
"""Membranes that differ by more than this do not differ by rounding."""

Run = dict[str, np.ndarray]
"""Node to its membrane, (time, neuron)."""


@dataclass(frozen=True)
class Parting:
    """The first decision in which a recording's two runs differ.

    Attributes:
        node, neuron, step: where.
        counts: output neurons of the recording that spike more or less often in the end.
        until_then: the largest difference of any membrane of the recording before that step.
        nirjax, framework, exact: the membrane that is compared, less the threshold: in either run, and in float64.
    """

    sample: int
    node: str
    neuron: int
    step: int
    counts: int
    until_then: float
    nirjax: float
    framework: float
    exact: float


def partings(path: Path, destination: Destination, part: Part, theirs: dict[str, np.ndarray]) -> list[Parting]:
    """One for each recording whose counts differ.

    Args:
        path: the file that both ran.
        destination: with a dialect whose reset subtracts the threshold.
        part: the recordings.
        theirs: what `benchmarks.transfer.membranes` wrote of this file.
    """
    ours, counts = membranes(path, destination, part, np.float32)
    with jax.enable_x64(True):
        exact, _ = membranes(path, destination, part, np.float64)
    framework = {node: theirs[str(place)] for place, node in enumerate(ours)}
    differ = np.flatnonzero((counts != theirs["counts"]).any(1))
    return [
        first_parting(path, destination, int(sample), int((counts[sample] != theirs["counts"][sample]).sum()), *runs)
        for sample in differ
        for runs in [tuple({node: v[:, sample] for node, v in run.items()} for run in (ours, framework, exact))]
    ]


def membranes(
    path: Path, destination: Destination, part: Part, dtype: type[np.floating]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """nirjax's run: node to the membrane after each step, (time, sample, neuron), and the output's spike counts."""
    model = nirjax.from_nir(nirjax.read(path), dt=recipe.DT, dialect=destination.dialect, dtype=dtype)
    x = np.moveaxis(part.x, 1, 0)
    run = jax.jit(lambda params: model.replace(params=params).run(x, record="*.v"))(model.params)
    return {name.removesuffix(".v"): np.asarray(v) for name, v in run.traces.items()}, np.asarray(run.output).sum(0)


def first_parting(
    path: Path, destination: Destination, sample: int, counts: int, ours: Run, framework: Run, exact: Run
) -> Parting:
    """The decision that only one of the runs makes for a spike, at the first step that they do not share.

    The one that fires subtracts a threshold: in the same step, or in the next one where the dialect says so. Of all
    neurons whose membranes differ by that much then, it is the one that is nearest to its threshold.
    """
    graph, steps = nirjax.read(path), len(next(iter(ours.values())))
    sites = nirjax.from_nir(graph, dt=recipe.DT, dialect=destination.dialect).program.plan.sites
    apart = {node: np.abs(ours[node] - framework[node]) for node in ours}
    first = next(t for t in range(steps) if any(apart[node][t].max() > APART for node in ours))
    found: list[Parting] = []
    for node in ours:
        delayed = sites[node].rule.order[0] == "fire"
        for reset in range(first, min(first + 1 + delayed, steps)):
            threshold = np.broadcast_to(sites[node].node.v_threshold, apart[node][reset].shape)
            for neuron in np.flatnonzero(apart[node][reset] > threshold / 2):
                step = reset - delayed
                runs = [float(run[node][step, neuron]) for run in (ours, framework, exact)]
                less = [v - float(threshold[neuron]) for v in runs]
                if not delayed:  # the threshold may have been subtracted already
                    less = [min(pair, key=abs) for pair in zip(runs, less, strict=True)]
                until_then = max(float(apart[one][:first].max(initial=0)) for one in ours)
                found.append(Parting(sample, node, int(neuron), step, counts, until_then, *less))
    return min(found, key=lambda one: abs(one.exact))
