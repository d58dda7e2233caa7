"""The workloads: seeded graphs and inputs, the same for every contender.

    python benchmarks/workloads.py          prints, for each workload, how often each spiking layer fires

Weights are scaled so that every spiking layer fires in 1 to 60 % of its steps: a network that is silent, or that fires
always, could be run by doing nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[1]))

import nirjax
from nirjax import ir

ROOT = Path(__file__).parents[1]
PAPER = ROOT.parent / "shared" / "paper"
DT = 1e-4
LOWEST_RATE, HIGHEST_RATE = 0.01, 0.6
FORWARD, TRAINING = "forward", "training"


class AbsentError(Exception):
    """A workload whose file is not on this machine; the message says which."""


@dataclass(frozen=True)
class Workload:
    """One network, one length, one batch.

    Attributes:
        name: of the row.
        graph: makes the network; raises AbsentError where its file is not here.
        time, batch: number of steps and of samples.
        rate: an input is a spike with this probability; None for real numbers in [0, 1).
        dt: the time step, in the graph's unit.
        modes: what is measured: "forward", "training" or both.
        family: the workloads of one family share their bars.
    """

    name: str
    graph: Callable[[], nirjax.NIRGraph]
    time: int
    batch: int
    rate: float | None = 0.05
    dt: float = DT
    modes: tuple[str, ...] = (FORWARD, TRAINING)

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]

    def input(self) -> np.ndarray:
        """(time, batch, *shape), float32."""
        graph = self.graph()
        shape = tuple(int(n) for n in next(iter(graph.inputs.values())).input_type["input"])
        random = np.random.default_rng(7)
        values = random.random((self.time, self.batch, *shape), np.float32)
        if self.rate is None:
            return values
        np.less(values, self.rate, out=values)
        return values

    def target(self) -> np.ndarray:
        """The wished rate of each output, (batch, *shape), float32."""
        graph = self.graph()
        shape = tuple(int(n) for n in next(iter(graph.outputs.values())).output_type["output"])
        return np.random.default_rng(8).random((self.batch, *shape), np.float32) / 2


# ------------------------------------------------------------------------------------------------------- networks


def feedforward(*sizes: int, gain: float = 0.45, bias: float = 0.02) -> nirjax.NIRGraph:
    """Input, then Affine and LIF for each size after the first, then Output."""
    random = np.random.default_rng(sum(sizes))
    nodes: dict[str, ir.NIRNode] = {"input": ir.Input((sizes[0],))}
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes), 1):
        nodes[f"fc{layer}"] = affine(random, inputs, outputs, gain if layer == 1 else 0.7 * gain, bias)
        nodes[f"lif{layer}"] = lif(outputs)
    return chain(nodes | {"output": ir.Output((sizes[-1],))})


def recurrent(inputs: int, hidden: int, outputs: int) -> nirjax.NIRGraph:
    """Input, Affine, CubaLIF with an Affine from its spikes back to itself, Affine, LIF, Output."""
    random = np.random.default_rng(inputs + hidden + outputs)
    nodes: dict[str, ir.NIRNode] = {
        "input": ir.Input((inputs,)),
        "fc1": affine(random, inputs, hidden, 0.2, 0.005),
        "lif1": cubalif(hidden),
        "fc2": affine(random, hidden, outputs, 0.35, 0.03),
        "lif2": lif(outputs),
        "output": ir.Output((outputs,)),
    }
    graph = chain(nodes)
    back = {"w_rec": affine(random, hidden, hidden, 0.05, 0.0)}
    return nirjax.NIRGraph(graph.nodes | back, (*graph.edges, ("lif1", "w_rec"), ("w_rec", "lif1")))


def layer(neurons: int) -> nirjax.NIRGraph:
    """One layer of LIF neurons and nothing else. It has no weights: training differentiates its input."""
    return chain({"input": ir.Input((neurons,)), "lif": lif(neurons), "output": ir.Output((neurons,))})


def paper(file: str) -> nirjax.NIRGraph:
    """One of the NIR paper's own networks, read in place."""
    path = PAPER / file
    if not path.is_file():
        raise AbsentError(f"{path} is not here")
    return nirjax.read(path)


def affine(random: np.random.Generator, inputs: int, outputs: int, gain: float, bias: float) -> ir.Affine:
    """Weights such that inputs which spike in 5 % of the steps add up to a normal variable of deviation `gain`."""
    weight = random.normal(size=(outputs, inputs)) * gain / np.sqrt(0.05 * inputs)
    return ir.Affine(weight.astype(np.float32), np.full(outputs, bias, np.float32))


def lif(size: int) -> ir.LIF:
    """A LIF that keeps 0.9 of its membrane in a step, takes its input whole, and fires above 1."""
    return ir.LIF(**_filled(size, tau=10 * DT, r=10, v_leak=0, v_threshold=1, v_reset=0))


def cubalif(size: int) -> ir.CubaLIF:
    """A CubaLIF that keeps 0.8 of its current and 0.9 of its membrane, takes its input whole, and fires above 1."""
    return ir.CubaLIF(
        **_filled(size, tau_syn=5 * DT, tau_mem=10 * DT, r=10, v_leak=0, v_threshold=1, v_reset=0, w_in=5)
    )


def _filled(size: int, **values: float) -> dict[str, np.ndarray]:
    return {name: np.full(size, value, np.float32) for name, value in values.items()}


def chain(nodes: dict[str, ir.NIRNode]) -> nirjax.NIRGraph:
    """The nodes one behind the other."""
    names = list(nodes)
    return nirjax.NIRGraph(nodes, tuple(itertools.pairwise(names)))


def with_unit_r(graph: nirjax.NIRGraph) -> nirjax.NIRGraph:
    """The same network with the r of each LIF taken into the Affine before it: for peers that leave r out."""
    nodes = dict(graph.nodes)
    for source, target in graph.edges:
        neuron, before = nodes[target], nodes[source]
        if isinstance(neuron, ir.LIF) and isinstance(before, ir.Affine):
            r = neuron.r.astype(np.float32)
            nodes[source] = dataclasses.replace(before, weight=before.weight * r[:, None], bias=before.bias * r)
            nodes[target] = dataclasses.replace(neuron, r=np.ones_like(neuron.r))
    return nirjax.NIRGraph(nodes, graph.edges)


# ------------------------------------------------------------------------------------------------------ the table


CNN = "cnn_sinabs.nir"
BRAILLE = "braille_noDelay_bias_zero.nir"

WORKLOADS = (
    Workload("stream", lambda: feedforward(700, 512, 512, 20), 1000, 1),
    Workload("batch", lambda: feedforward(700, 512, 512, 20), 100, 128),
    Workload("small", lambda: feedforward(64, 64, 64), 1000, 16),
    Workload("recurrent-16", lambda: recurrent(700, 256, 20), 250, 16),
    Workload("recurrent-128", lambda: recurrent(700, 256, 20), 250, 128),
    Workload("conv-1", lambda: paper(CNN), 300, 1, rate=0.1, dt=1.0),
    Workload("conv-16", lambda: paper(CNN), 100, 16, rate=0.1, dt=1.0),
    Workload("braille", lambda: paper(BRAILLE), 256, 64, rate=0.04),
    Workload("wide", lambda: layer(1_000_000), 100, 1, rate=None),
    Workload("long", lambda: feedforward(64, 64, 64), 10_000, 4, modes=(TRAINING,)),
)
"""What is measured."""

SMALL = (
    Workload("stream", lambda: feedforward(70, 48, 48, 20), 64, 1),
    Workload("batch", lambda: feedforward(70, 48, 48, 20), 16, 32),
    Workload("small", lambda: feedforward(16, 16, 16), 128, 4),
    Workload("recurrent", lambda: recurrent(70, 32, 20), 48, 4),
    Workload("conv", lambda: paper(CNN), 12, 2, rate=0.1, dt=1.0),
    Workload("braille", lambda: paper(BRAILLE), 32, 4, rate=0.04),
    Workload("wide", lambda: layer(4096), 32, 1, rate=None),
    Workload("long", lambda: feedforward(16, 16, 16), 1000, 2, modes=(TRAINING,)),
)
"""The same in small, for the tests that compare what compiling costs."""


def named(names: list[str] | None, table: tuple[Workload, ...] = WORKLOADS) -> Iterator[Workload]:
    """The workloads of these names or families, in the table's order; all where nothing is named.

    Raises:
        ValueError: a name that is no workload's.
    """
    known = {word for workload in table for word in (workload.name, workload.family)}
    if unknown := set(names or ()) - known:
        raise ValueError(f"no such workload: {sorted(unknown)}; known: {sorted(known)}")
    for workload in table:
        if not names or {workload.name, workload.family} & set(names):
            yield workload


def rates(workload: Workload) -> dict[str, float]:
    """Spikes a neuron and step of every spiking layer, under nirjax's default dialect."""
    model = nirjax.from_nir(workload.graph(), dt=workload.dt)
    run = model.run(workload.input(), record="*.spikes")
    return {name.removesuffix(".spikes"): float(trace.mean()) for name, trace in run.traces.items()}


def main() -> None:
    for workload in WORKLOADS:
        try:
            found = rates(workload)
        except AbsentError as absent:
            print(f"{workload.name:14} skipped: {absent}")
            continue
        words = ", ".join(f"{name} {100 * rate:.1f} %" for name, rate in found.items())
        fits = all(LOWEST_RATE <= rate <= HIGHEST_RATE for rate in found.values())
        print(f"{workload.name:14} {'' if fits else 'NOT IN RANGE: '}{words}")


if __name__ == "__main__":
    main()
