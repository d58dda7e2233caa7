"""For each chip a small network that it holds, with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from engine.graphs import cubalif, filled, graph, if_, lif

import nirjax
from nirjax import targets
from nirjax.ir import nodes as ir

DT = 1e-3


def normal(*shape: int, seed: int = 0, std: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, std, shape).astype(np.float32)


def convolutional() -> nirjax.NIRGraph:
    """Convolution, pooling, a dense readout, of neurons without a leak: for Speck."""
    shape = {"input_shape": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    nodes = {
        "in": ir.Input((2, 6, 6)),
        "conv": ir.Conv2d(weight=normal(3, 2, 3, 3), bias=np.zeros(3, np.float32), **shape),
        "if1": if_((3, 4, 4), v_threshold=0.7),
        "pool": ir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flat": ir.Flatten(np.array([3, 2, 2]), 0, -1),
        "fc": ir.Affine(normal(4, 12, seed=1), normal(4, seed=2, std=0.1)),
        "if2": if_(4, v_threshold=1.3),
        "out": ir.Output((4,)),
    }
    return graph(nodes, "in conv if1 pool flat fc if2 out")


def recurrent(bias: bool = False) -> nirjax.NIRGraph:
    """A recurrent layer and a readout of current-based neurons, each with time constants of its own: for Xylo."""
    first = ir.Affine(normal(5, 3), normal(5, seed=9)) if bias else ir.Linear(normal(5, 3))
    hidden = cubalif(5, r=1, w_in=1, v_threshold=0.8)
    times = {"tau_mem": np.linspace(0.004, 0.03, 5), "tau_syn": np.linspace(0.0025, 0.01, 5)}
    times["r"] = times["tau_mem"] / DT - 1  # as Rockpool writes it
    fields = {name: getattr(hidden, name) for name in hidden.field_names()}
    nodes = {
        "in": ir.Input((3,)),
        "fc": first,
        "hidden": ir.CubaLIF(**fields | {name: value.astype(np.float32) for name, value in times.items()}),
        "rec": ir.Linear(normal(5, 5, seed=1, std=0.3)),
        "read": ir.Linear(normal(2, 5, seed=2)),
        "last": cubalif(2, r=11, w_in=1, tau_mem=0.012, tau_syn=0.005, v_threshold=0.6),
        "out": ir.Output((2,)),
    }
    return graph(nodes, "in fc hidden read last out", "hidden rec hidden")


def layered() -> nirjax.NIRGraph:
    """Two dense layers of leaky neurons behind a delay: for Loihi 2 and, without the delay, SpiNNaker2."""
    nodes = {
        "in": ir.Input((3,)),
        "fc": ir.Affine(normal(5, 3), normal(5, seed=3, std=0.1)),
        "lif": lif(5, tau=0.01, r=1, v_threshold=0.1),
        "wait": filled(ir.Delay, 5, delay=0.0034),
        "fc2": ir.Linear(normal(2, 5, seed=1)),
        "lif2": lif(2, tau=0.0231, r=1, v_threshold=0.05),
        "out": ir.Output((2,)),
    }
    return graph(nodes, "in fc lif wait fc2 lif2 out")


def currents() -> nirjax.NIRGraph:
    """A layer of current-based neurons as snnTorch writes them: for Loihi 2."""
    neuron = cubalif(4, tau_mem=0.0123, tau_syn=0.0047, r=12.3, w_in=4.7, v_threshold=0.9)
    nodes = {"in": ir.Input((3,)), "fc": ir.Linear(normal(4, 3)), "n": neuron, "out": ir.Output((4,))}
    return graph(nodes, "in fc n out")


def undelayed() -> nirjax.NIRGraph:
    nodes = {name: node for name, node in layered().nodes.items() if name != "wait"}
    return graph(nodes, "in fc lif fc2 lif2 out")


GRAPHS = {
    "speck": convolutional,
    "xylo": recurrent,
    "xylo_audio2": recurrent,
    "xylo_imu": recurrent,
    "loihi2": layered,
    "spinnaker2": undelayed,
}


def network(chip: str, **options: Any) -> nirjax.Model:
    """The chip's network under the chip's dialect."""
    given = {"dt": DT, "dialect": targets.target_of(chip).dialect} | options
    return nirjax.from_nir(GRAPHS[chip](), **given)
