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
    """The first step at which membranes differ by the threshold that one of the runs has subtracted."""
    graph, steps = nirjax.read(path), len(next(iter(ours.values())))
    thresholds = {node: np.asarray(graph.nodes[node].v_threshold) for node in ours}
    apart = {node: np.abs(ours[node] - framework[node]) for node in ours}
    parted = {node: apart[node] > thresholds[node] / 2 for node in ours}
    step = next(t for t in range(steps) if any(parted[node][t].any() for node in ours))
    node = next(node for node in ours if parted[node][step].any())
    neuron = int(parted[node][step].argmax())
    model = nirjax.from_nir(graph, dt=recipe.DT, dialect=destination.dialect)
    decided = step - model.program.plan.sites[node].rule.fires_first  # on the membrane that the step before has left

    def to_threshold(run: Run) -> float:
        """The membrane less the threshold, whether or not that has been subtracted already."""
        v = float(run[node][decided, neuron])
        return min(v, v - float(thresholds[node][neuron]), key=abs)

    until_then = max(float(apart[node][:step].max(initial=0)) for node in ours)
    return Parting(
        sample, node, neuron, step, counts, until_then, to_threshold(ours), to_threshold(framework), to_threshold(exact)
    )
