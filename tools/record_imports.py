"""Record what frameworks make of NIR files that they import: the evidence for nirjax's import dialects.

Environment: Python 3.11 with norse 1.1.0, snntorch 1.0.0, sinabs 2.0.3, spikingjelly 2.0.0, nirtorch 2.6, nir 1.0.8;
rockpool 3.1.0 and spyx 1.0.0 may each want an environment of their own, so that frameworks can be named::

    python tools/record_imports.py --out tests/data/imports norse snntorch sinabs spikingjelly
    python tools/record_imports.py --out tests/data/imports rockpool
    python tools/record_imports.py --out tests/data/imports spyx

Files written into ``--out``:

``<framework>__<case>.nir``
    a small graph whose parameters the framework takes, heterogeneous where it allows that, and which are not what it
    silently assumes
``<framework>__<case>.npz``
    x (time, batch, ...), y: what the framework's import of that file answered; v_<node>, i_<node>: its membrane and
    current after each step, where the framework hands them out
``outcomes.json``
    for each framework the cases' time steps; for each node type of NIR in a chain ``input -> fc -> node -> output``:
    "runs", "raises <error>", or "cut" where what comes out is the output of ``fc``; for each parameter of each neuron
    that it takes: "used", "ignored" or "raises <error>"; and what becomes of some graphs that are not chains

Weights and spikes lie on a binary grid, so that every product is exact; thresholds do not, so that nothing hangs on
a tie. Graphs are such that the order of execution is well defined: names in alphabetical order (HDF5 lists them so), in
a recurrent layer the edge into the recurrent weights before the edge to the next layer (NIRTorch's executor returns the
last node of a depth-first walk). The cases `skip` and `recurrent` show who does something else.
"""

import argparse
import contextlib
import copy
import dataclasses
import functools
import io
import itertools
import json
import logging
import pathlib
import signal
import tempfile
import warnings
from collections.abc import Callable

import h5py
import nir
import numpy as np

T, B = 50, 2
SNNTORCH_DT = 1e-4


# ---------------------------------------------------------------------------------------------------- what is drawn


class Draw:
    """Random parameters, float32, from few values each."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def of(self, values: list[float], shape: tuple[int, ...]) -> np.ndarray:
        """An array with every element one of the values."""
        return self.rng.choice(np.array(values, np.float64), shape).astype(np.float32)

    def weights(self, shape: tuple[int, ...], size: float) -> np.ndarray:
        """Multiples of size / 8 from -3/4 size to size."""
        return (self.rng.integers(-6, 9, shape) * size / 8).astype(np.float32)

    def affine(self, out: int, into: int, size: float) -> nir.Affine:
        return nir.Affine(self.weights((out, into), size), self.weights((out,), size / 2))


def full(value: float, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, value, np.float32)


Neuron = Callable[[Draw, tuple[int, ...]], nir.NIRNode]


# ------------------------------------------------------------------------------------------------------------ graphs


def pairs(*paths: str) -> list[tuple[str, str]]:
    """Edges read off paths: "in lif out" is in -> lif -> out."""
    return [pair for path in paths for pair in itertools.pairwise(path.split())]


def chain(nodes: dict[str, nir.NIRNode]) -> nir.NIRGraph:
    return nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False)


def layers(draw: Draw, neuron: Neuron, size: float) -> nir.NIRGraph:
    """input 6 -> l1_fc -> l2_lif 8 -> l3_fc -> l4_lif 5 -> output."""
    return chain(
        {
            "input": nir.Input(np.array([6])),
            "l1_fc": draw.affine(8, 6, size),
            "l2_lif": neuron(draw, (8,)),
            "l3_fc": draw.affine(5, 8, size),
            "l4_lif": neuron(draw, (5,)),
            "output": nir.Output(np.array([5])),
        }
    )


def linear_layers(draw: Draw, neuron: Neuron, size: float) -> nir.NIRGraph:
    """The same without biases: Linear nodes. Square, since Norse builds them with their sizes exchanged."""
    return chain(
        {
            "input": nir.Input(np.array([6])),
            "l1_fc": nir.Linear(draw.weights((8, 6), size)),
            "l2_lif": neuron(draw, (8,)),
            "output": nir.Output(np.array([8])),
        }
    )


def recurrent(draw: Draw, neuron: Neuron, size: float) -> nir.NIRGraph:
    """input 6 -> l1_fc -> l2.lif 8 (-> l2.w_rec -> l2.lif) -> l3_fc -> l4_lif 5 -> output."""
    nodes = {
        "input": nir.Input(np.array([6])),
        "l1_fc": draw.affine(8, 6, size),
        "l2.lif": neuron(draw, (8,)),
        "l2.w_rec": draw.affine(8, 8, size / 2),
        "l3_fc": draw.affine(5, 8, size),
        "l4_lif": neuron(draw, (5,)),
        "output": nir.Output(np.array([5])),
    }
    edges = pairs("input l1_fc l2.lif l2.w_rec l2.lif", "l2.lif l3_fc l4_lif output")
    return nir.NIRGraph(nodes, edges, type_check=False)


def nested(draw: Draw, neuron: Neuron, size: float) -> nir.NIRGraph:
    """The recurrent layer as a subgraph whose input goes to the neuron."""
    edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    inner = {
        "input": nir.Input(np.array([8])),
        "lif": neuron(draw, (8,)),
        "output": nir.Output(np.array([8])),
        "w_rec": draw.affine(8, 8, size / 2),
    }
    return chain(
        {
            "input": nir.Input(np.array([6])),
            "l1_fc": draw.affine(8, 6, size),
            "l2_lif": nir.NIRGraph(inner, edges, type_check=False),
            "l3_fc": draw.affine(5, 8, size),
            "l4_lif": neuron(draw, (5,)),
            "output": nir.Output(np.array([5])),
        }
    )


def skip(draw: Draw, neuron: Neuron, size: float) -> nir.NIRGraph:
    """Two ways from l2_lif to l4_lif: l3_fc and l3_skip."""
    graph = layers(draw, neuron, size)
    graph.nodes["l3_skip"] = draw.affine(5, 8, size)
    graph.edges += [("l2_lif", "l3_skip"), ("l3_skip", "l4_lif")]
    return graph


def convolutional(pool: type, first: Neuron, second: Neuron) -> Callable[[Draw, Neuron, float], nir.NIRGraph]:
    """Conv2d -> spikes -> pool -> Flatten -> Affine -> spikes, on (2, 8, 8)."""

    def build(draw: Draw, neuron: Neuron, size: float) -> nir.NIRGraph:
        return chain(
            {
                "input": nir.Input(np.array([2, 8, 8])),
                "l1_conv": nir.Conv2d(
                    (8, 8),
                    draw.weights((4, 2, 3, 3), size),
                    *(np.array([1, 1]), np.array([1, 1]), np.array([1, 1]), 1),
                    draw.weights((4,), size / 2),
                ),
                "l2_lif": first(draw, (4, 8, 8)),
                "l3_pool": pool(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
                "l4_flatten": nir.Flatten({"input": np.array([4, 4, 4])}, -3, -1),
                "l5_fc": draw.affine(5, 64, size),
                "l6_lif": second(draw, (5,)),
                "output": nir.Output(np.array([5])),
            }
        )

    return build


def convolutional_1d(draw: Draw, neuron: Neuron, size: float) -> nir.NIRGraph:
    """Conv1d -> spikes on (2, 8)."""
    fields = (np.array([1]), np.array([1]), np.array([1]), 1)
    return chain(
        {
            "input": nir.Input(np.array([2, 8])),
            "l1_conv": nir.Conv1d(8, draw.weights((3, 2, 3), size), *fields, draw.weights((3,), size / 2)),
            "l2_lif": neuron(draw, (3, 8)),
            "output": nir.Output(np.array([3, 8])),
        }
    )


def readout(draw: Draw, neuron: Neuron, size: float) -> nir.NIRGraph:
    """input 6 -> l1_fc -> l2_lif 8 -> l3_fc -> neuron 5 -> output, the last one without spikes."""
    graph = layers(draw, any_if, size)
    graph.nodes["l4_lif"] = neuron(draw, (5,))
    if neuron is spyx_li:  # Spyx takes it with a Threshold only
        graph.nodes["l5_threshold"] = nir.Threshold(draw.of([0.5321, 0.7713, 1.0319], (5,)))
        graph.edges = pairs("input l1_fc l2_lif l3_fc l4_lif l5_threshold output")
    return graph


# --------------------------------------------------------------------- neurons that each framework takes, as it likes


def norse_lif(draw: Draw, shape: tuple[int, ...]) -> nir.LIF:
    return nir.LIF(
        tau=draw.of([4e-3, 6e-3, 8e-3, 1e-2], shape),
        r=draw.of([0.5, 1, 2], shape),
        v_leak=draw.of([-0.25, 0, 0.25], shape),
        v_threshold=draw.of([0.5321, 0.7713, 1.0319], shape),
        v_reset=draw.of([-0.25, 0, 0.25], shape),
    )


def norse_cuba(draw: Draw, shape: tuple[int, ...]) -> nir.CubaLIF:
    return nir.CubaLIF(
        tau_syn=draw.of([2e-3, 4e-3, 5e-3], shape),
        tau_mem=draw.of([4e-3, 6e-3, 8e-3, 1e-2], shape),
        r=draw.of([0.5, 1, 2], shape),
        v_leak=draw.of([-0.25, 0, 0.25], shape),
        v_threshold=draw.of([0.5321, 0.7713, 1.0319], shape),
        v_reset=draw.of([-0.25, 0, 0.25], shape),
        w_in=draw.of([0.5, 1, 2], shape),
    )


def any_if(draw: Draw, shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(
        r=draw.of([0.5, 1, 2], shape),
        v_threshold=draw.of([0.5321, 0.7713, 1.0319], shape),
        v_reset=draw.of([-0.25, 0, 0.25], shape),
    )


def snntorch_lif(scale: float) -> Neuron:
    """Input gain `scale` for all neurons: snnTorch divides the threshold by it."""

    def neuron(draw: Draw, shape: tuple[int, ...]) -> nir.LIF:
        tau = draw.of([4e-4, 6e-4, 8e-4, 1e-3], shape)
        return nir.LIF(
            tau=tau,
            r=(scale * tau / SNNTORCH_DT).astype(np.float32),
            v_leak=full(0, shape),
            v_threshold=full(1.0319, shape),
            v_reset=draw.of([-0.25, 0, 0.25], shape),
        )

    return neuron


def snntorch_cuba(scale: float) -> Neuron:
    def neuron(draw: Draw, shape: tuple[int, ...]) -> nir.CubaLIF:
        tau_syn, tau_mem = draw.of([2e-4, 4e-4, 5e-4], shape), draw.of([4e-4, 6e-4, 8e-4, 1e-3], shape)
        return nir.CubaLIF(
            tau_syn=tau_syn,
            tau_mem=tau_mem,
            r=(tau_mem / SNNTORCH_DT).astype(np.float32),
            w_in=(scale * tau_syn / SNNTORCH_DT).astype(np.float32),
            v_leak=full(0, shape),
            v_threshold=full(1.0319, shape),
            v_reset=draw.of([-0.25, 0, 0.25], shape),
        )

    return neuron


def sinabs_lif(draw: Draw, shape: tuple[int, ...]) -> nir.LIF:
    return nir.LIF(
        tau=draw.of([4, 6, 8, 12], shape),
        r=draw.of([0.5, 1, 2], shape),
        v_leak=full(0, shape),
        v_threshold=draw.of([0.5321, 0.7713, 1.0319], shape),
        v_reset=draw.of([-0.25, 0, 0.25], shape),
    )


def sinabs_li(draw: Draw, shape: tuple[int, ...]) -> nir.LI:
    return nir.LI(tau=draw.of([4, 6, 8, 12], shape), r=full(1, shape), v_leak=full(0, shape))


def spyx_li(draw: Draw, shape: tuple[int, ...]) -> nir.LI:
    taus = draw.of([4e-3, 6e-3, 8e-3, 1e-2], shape)
    return nir.LI(tau=taus, r=draw.of([0.5, 1, 2], shape), v_leak=draw.of([-0.25, 0, 0.25], shape))


def jelly_lif(decay_input: bool) -> Neuron:
    def neuron(draw: Draw, shape: tuple[int, ...]) -> nir.LIF:
        fields = {"tau": 5e-4, "r": 1 if decay_input else 5, "v_leak": -0.25, "v_threshold": 1.0319, "v_reset": -0.25}
        return nir.LIF(**{name: full(value, shape) for name, value in fields.items()})

    return neuron


def jelly_cuba(draw: Draw, shape: tuple[int, ...]) -> nir.CubaLIF:
    fields = {"tau_syn": 4e-4, "tau_mem": 5e-4, "r": 5, "w_in": 4, "v_leak": 0, "v_threshold": 1.0319, "v_reset": -0.25}
    return nir.CubaLIF(**{name: full(value, shape) for name, value in fields.items()})


def jelly_if(draw: Draw, shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(r=full(1e4, shape), v_threshold=full(1.0319, shape), v_reset=full(-0.25, shape))


@dataclasses.dataclass(frozen=True)
class Case:
    """A graph for a framework, the size of its weights, and the time step to import with."""

    framework: str
    name: str
    build: Callable[[Draw, Neuron, float], nir.NIRGraph]
    neuron: Neuron
    size: float
    dt: float


def rockpool_cuba(draw: Draw, shape: tuple[int, ...]) -> nir.CubaLIF:
    """Its time step is then 4e-3 / (1 + 3) = 1e-3."""
    node = norse_cuba(draw, shape)
    node.tau_mem.flat[0], node.r[...] = 4e-3, draw.of([1, 2, 3], shape)
    node.r.flat[0] = 3
    return node


CASES = [
    Case("norse", "lif", layers, norse_lif, 4, 1e-3),
    Case("norse", "lif_linear", linear_layers, norse_lif, 4, 1e-3),
    Case("norse", "lif_half_step", layers, norse_lif, 4, 5e-4),
    Case("norse", "lif_recurrent", recurrent, norse_lif, 4, 1e-3),
    Case("norse", "lif_nested", nested, norse_lif, 4, 1e-3),
    Case("norse", "cuba", layers, norse_cuba, 4, 1e-3),
    Case("norse", "cuba_subtract", layers, norse_cuba, 4, 1e-3),
    Case("norse", "cuba_recurrent", recurrent, norse_cuba, 4, 1e-3),
    Case("norse", "if", layers, any_if, 0.5, 1e-3),
    Case("norse", "conv", convolutional(nir.SumPool2d, any_if, norse_lif), any_if, 0.5, 1e-3),
    Case("snntorch", "lif", layers, snntorch_lif(1), 1, 1e-4),
    Case("snntorch", "lif_scaled", layers, snntorch_lif(0.5), 2, 1e-4),
    Case("snntorch", "lif_linear", linear_layers, snntorch_lif(1), 1, 1e-4),
    Case("snntorch", "lif_recurrent", recurrent, snntorch_lif(1), 1, 1e-4),
    Case("snntorch", "lif_nested", nested, snntorch_lif(1), 1, 1e-4),
    Case("snntorch", "cuba", layers, snntorch_cuba(1), 0.5, 1e-4),
    Case("snntorch", "cuba_scaled", layers, snntorch_cuba(2), 0.25, 1e-4),
    Case("snntorch", "cuba_recurrent", recurrent, snntorch_cuba(1), 0.5, 1e-4),
    Case("snntorch", "cuba_nested", nested, snntorch_cuba(1), 0.5, 1e-4),
    Case("snntorch", "conv", convolutional(nir.AvgPool2d, snntorch_lif(1), snntorch_lif(1)), any_if, 0.5, 1e-4),
    Case("snntorch", "conv_sum", convolutional(nir.SumPool2d, snntorch_lif(1), snntorch_lif(1)), any_if, 0.125, 1e-4),
    Case("snntorch", "conv1d", convolutional_1d, snntorch_lif(1), 0.5, 1e-4),
    Case("sinabs", "lif", layers, sinabs_lif, 0.5, 1),
    Case("sinabs", "lif_counts", layers, sinabs_lif, 1, 1),
    Case("sinabs", "lif_recurrent", recurrent, sinabs_lif, 0.5, 1),
    Case("sinabs", "if", layers, any_if, 0.5, 1),
    Case("sinabs", "if_lowest", layers, any_if, -1, 1),
    Case("sinabs", "readout", readout, sinabs_li, 0.5, 1),
    Case("sinabs", "conv", convolutional(nir.SumPool2d, any_if, sinabs_lif), any_if, 0.125, 1),
    Case("sinabs", "conv1d", convolutional_1d, any_if, 0.5, 1),
    Case("spikingjelly", "lif", layers, jelly_lif(False), 1.5, 1e-4),
    Case("spikingjelly", "lif_decay_input", layers, jelly_lif(True), 4, 1e-4),
    Case("spikingjelly", "lif_linear", linear_layers, jelly_lif(False), 1, 1e-4),
    Case("spikingjelly", "lif_recurrent", recurrent, jelly_lif(False), 1, 1e-4),
    Case("spikingjelly", "lif_nested", nested, jelly_lif(False), 1, 1e-4),
    Case("spikingjelly", "cuba", layers, jelly_cuba, 0.5, 1e-4),
    Case("spikingjelly", "cuba_recurrent", recurrent, jelly_cuba, 0.5, 1e-4),
    Case("spikingjelly", "if", layers, jelly_if, 0.5, 1e-4),
    Case("spikingjelly", "conv", convolutional(nir.AvgPool2d, jelly_lif(False), jelly_if), any_if, 0.5, 1e-4),
    Case("spikingjelly", "conv_sum", convolutional(nir.SumPool2d, jelly_lif(False), jelly_if), any_if, 0.25, 1e-4),
    Case("spikingjelly", "conv1d", convolutional_1d, jelly_lif(False), 0.5, 1e-4),
    Case("norse", "skip", skip, norse_lif, 4, 1e-3),
    Case("snntorch", "skip", skip, snntorch_lif(1), 1, 1e-4),
    Case("sinabs", "skip", skip, sinabs_lif, 0.5, 1),
    Case("spikingjelly", "skip", skip, jelly_lif(False), 1, 1e-4),
    Case("rockpool", "cuba", layers, rockpool_cuba, 0.25, 1e-3),
    Case("rockpool", "cuba_linear", linear_layers, rockpool_cuba, 0.25, 1e-3),
    Case("rockpool", "cuba_nested", nested, rockpool_cuba, 0.25, 1e-3),
    Case("rockpool", "cuba_recurrent", recurrent, rockpool_cuba, 0.25, 1e-3),
    Case("spyx", "lif", layers, norse_lif, 1, 1e-3),
    Case("spyx", "cuba", layers, norse_cuba, 0.5, 1e-3),
    Case("spyx", "if", layers, any_if, 0.5, 1e-3),
    Case("spyx", "lif_linear", linear_layers, norse_lif, 1, 1e-3),
    Case("spyx", "lif_nested", nested, norse_lif, 1, 1e-3),
    Case("spyx", "cuba_nested", nested, norse_cuba, 0.5, 1e-3),
    Case("spyx", "if_nested", nested, any_if, 0.5, 1e-3),
    Case("spyx", "lif_recurrent", recurrent, norse_lif, 1, 1e-3),
    Case("spyx", "cuba_recurrent", recurrent, norse_cuba, 0.5, 1e-3),
    Case("spyx", "conv", convolutional(nir.SumPool2d, any_if, norse_lif), any_if, 0.125, 1e-3),
    Case("spyx", "li_threshold", readout, spyx_li, 0.5, 1e-3),
]


# --------------------------------------------------------------------------------------------------------- execution


def stepped(model: Callable, x: np.ndarray) -> np.ndarray:
    """A torch model that takes one time step and its state."""
    import torch

    state, outputs = None, []
    for one in torch.tensor(x):
        y, state = model(one, state)
        outputs.append(y)
    return torch.stack(outputs).numpy()


def norse(path: pathlib.Path, x: np.ndarray, dt: float, case: str) -> np.ndarray:
    from norse.torch import from_nir
    from norse.torch.functional import reset

    method = reset.reset_subtract if "subtract" in case else reset.reset_value
    return stepped(from_nir(nir.read(path), dt=dt, reset_method=method), x)


def snntorch(path: pathlib.Path, x: np.ndarray, dt: float, case: str) -> np.ndarray:
    from snntorch.import_nir import import_from_nir

    return stepped(import_from_nir(nir.read(path)), x)


def spikingjelly(path: pathlib.Path, x: np.ndarray, dt: float, case: str) -> np.ndarray:
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return stepped(import_from_nir(nir.read(path), dt=dt), x)


def sinabs(path: pathlib.Path, x: np.ndarray, dt: float, case: str) -> np.ndarray:
    """It takes whole sequences, batch times time."""
    import torch
    from sinabs.nir import from_nir

    whole = torch.tensor(x).transpose(0, 1).reshape(B * len(x), *x.shape[2:])
    y = from_nir(nir.read(path), batch_size=B)(whole)
    y = y[0] if isinstance(y, tuple) else y
    return y.reshape(B, len(x), *y.shape[1:]).transpose(0, 1).numpy()


def rockpool(path: pathlib.Path, x: np.ndarray, dt: float, case: str) -> np.ndarray:
    """It takes whole sequences, (batch, time, ...)."""
    import torch
    from rockpool.nn.modules.torch.nir import from_nir

    y = from_nir(path)(torch.tensor(x).transpose(0, 1))
    y = y[0] if isinstance(y, tuple) else y
    return y.transpose(0, 1).numpy()


def spyx(path: pathlib.Path, x: np.ndarray, dt: float, case: str) -> np.ndarray:
    """It takes images with their channels last."""
    import jax.numpy as jnp
    from spyx.nir import from_nir

    last = np.moveaxis(x, 2, -1) if x.ndim == 5 else x
    y = np.asarray(from_nir(nir.read(path), jnp.asarray(last), dt=dt)[1])
    return np.moveaxis(y, -1, 2) if y.ndim == 5 else y


RUN = {f.__name__: f for f in (norse, snntorch, sinabs, spikingjelly, rockpool, spyx)}


def answers(framework: str, path: pathlib.Path, x: np.ndarray, dt: float, case: str = "") -> np.ndarray:
    """What the framework's import of a file makes of x (time, batch, ...)."""
    return RUN[framework](path, x, dt, case)


def no_gradients() -> contextlib.AbstractContextManager:
    try:
        import torch
    except ImportError:
        return contextlib.nullcontext()
    torch.set_num_threads(1)
    return torch.no_grad()


@contextlib.contextmanager
def quiet():
    sink = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        with no_gradients():
            yield


@contextlib.contextmanager
def limited(seconds: int):
    """TimeoutError where something takes too long: nirtorch's import of some graphs never ends."""

    def stop(*_: object) -> None:
        raise TimeoutError("it does not end")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def write(path: pathlib.Path, graph: nir.NIRGraph) -> None:
    """As `nir.write`, in HDF5's later format and with words of fixed length: a sixth of the size for small arrays."""
    with tempfile.TemporaryDirectory() as folder:
        nir.write(f"{folder}/graph.nir", graph)
        with (
            h5py.File(f"{folder}/graph.nir") as source,
            h5py.File(path, "w", libver="latest", fs_strategy="none") as file,
        ):
            _copy(source, file)


def _copy(source: h5py.Group, target: h5py.Group) -> None:
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name))
        else:
            words = h5py.check_string_dtype(item.dtype)
            target.create_dataset(name, data=np.array(item[()]).astype("S") if words else item[()])


# ------------------------------------------------------------------------------------ single nodes, single parameters

DT = {"sinabs": 1.0, "norse": 1e-3, "rockpool": 1e-3, "spyx": 1e-3, "snntorch": SNNTORCH_DT, "spikingjelly": 1e-4}


def neurons_taken(framework: str) -> dict[str, nir.NIRNode]:
    """Neurons of shape (3,) that offend no framework that takes the type: tau = 5 dt, tau_syn = 4 dt."""
    dt, shape = DT[framework], (3,)
    counting = framework in ("snntorch", "spikingjelly", "rockpool")
    r, w_in = (5, 4) if counting else (1, 1)
    of = functools.partial(full, shape=shape)
    tau, rest = {"tau": of(5 * dt)}, {"r": of(r), "v_leak": of(0)}
    both = {"tau_syn": of(4 * dt), "tau_mem": of(5 * dt), "w_in": of(w_in)}
    spiking = {"v_threshold": of(1.0319), "v_reset": of(0)}
    return {
        "I": nir.I(of(1)),
        "IF": nir.IF(of(1 / dt if framework == "spikingjelly" else 1), **spiking),
        "LI": nir.LI(**tau, **{**rest, "r": of(1)}),
        "LIF": nir.LIF(**tau, **rest, **spiking),
        "CubaLI": nir.CubaLI(**both, **rest),
        "CubaLIF": nir.CubaLIF(**both, **rest, **spiking),
    }


def single_nodes(framework: str) -> dict[str, tuple[tuple[int, ...], nir.NIRNode, tuple[int, ...]]]:
    """Node type to (input shape, node, output shape)."""
    one, image = (3,), (2, 4, 4)
    window = (np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    kernel = (np.array([1, 1]), np.array([1, 1]), np.array([1, 1]), 1)
    others = {
        "Affine": (one, nir.Affine(2 * np.eye(3, dtype=np.float32), full(1, one)), one),
        "Linear": (one, nir.Linear(2 * np.eye(3, dtype=np.float32)), one),
        "Scale": (one, nir.Scale(full(2, one)), one),
        "Conv1d": ((2, 6), nir.Conv1d(6, full(1, (3, 2, 3)), *(np.array([1]),) * 3, 1, full(0, (3,))), (3, 6)),
        "Conv2d": (image, nir.Conv2d((4, 4), full(1, (3, 2, 3, 3)), *kernel, full(0, (3,))), (3, 4, 4)),
        "SumPool2d": (image, nir.SumPool2d(*window), (2, 2, 2)),
        "AvgPool2d": (image, nir.AvgPool2d(*window), (2, 2, 2)),
        "Flatten": (image, nir.Flatten({"input": np.array(image)}, -3, -1), (32,)),
        "Delay": (one, nir.Delay(full(2 * DT[framework], one)), one),
        "Threshold": (one, nir.Threshold(full(0.5, one)), one),
    }
    return others | {name: (one, node, one) for name, node in neurons_taken(framework).items()}


def behind(shape: tuple[int, ...], node: nir.NIRNode, out: tuple[int, ...]) -> nir.NIRGraph:
    """The node behind one that every framework takes: y = 0.375 x."""
    kernel = (np.array([1, 1]), np.array([0, 0]), np.array([1, 1]), 1)
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array(shape))}
    if len(shape) == 3:
        weight = 0.375 * np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1)
        nodes["l1_fc"] = nir.Conv2d(shape[1:], weight, *kernel, full(0, (2,)))
    elif len(shape) == 1:
        nodes["l1_fc"] = nir.Affine(0.375 * np.eye(3, dtype=np.float32), full(0, (3,)))
    return chain({**nodes, "node": node, "output": nir.Output(np.array(out))})


def tried(framework: str, graph: nir.NIRGraph, x: np.ndarray) -> np.ndarray | str:
    """The framework's answer, or how it fails."""
    with tempfile.TemporaryDirectory() as folder, quiet(), limited(20):
        path = pathlib.Path(folder) / "graph.nir"
        try:
            write(path, graph)
            return answers(framework, path, x, DT[framework])
        except Exception as error:
            return f"raises {type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"


def steps(shape: tuple[int, ...], most: int = 8, count: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, most + 1, (count, B, *shape)).astype(np.float32)


def node_outcome(framework: str, shape: tuple[int, ...], node: nir.NIRNode, out: tuple[int, ...]) -> str:
    x = steps(shape)
    y = tried(framework, behind(shape, node, out), x)
    if isinstance(y, str):
        return y
    cut = y.shape == x.shape and (np.array_equal(y, 0.375 * x) or np.array_equal(y, x))
    return "cut" if cut else "runs"


CHANGES = {
    "tau one": ("tau", [1, 1.5, 1], 0),
    "tau_syn one": ("tau_syn", [1, 1.5, 1], 0),
    "tau_mem one": ("tau_mem", [1, 1.5, 1], 0),
    "r": ("r", 0.5, 0),
    "r one": ("r", [1, 0.5, 1], 0),
    "w_in": ("w_in", 0.5, 0),
    "w_in one": ("w_in", [1, 0.5, 1], 0),
    "v_leak": ("v_leak", 1, 0.3),
    "v_threshold one": ("v_threshold", [1, 1.5, 1], 0),
    "v_reset": ("v_reset", 1, 0.3),
}


def parameter_outcomes(framework: str, taken: set[str]) -> dict[str, str]:
    """What becomes of each parameter of each neuron that is taken, changed for all neurons or for one: "used",
    "ignored" (the answer is the same) or how it fails. A change of one r goes with one time constant and so on where
    a framework wants a ratio: it then fails for that reason."""
    found = {}
    for kind in sorted(taken):
        for most in (8, 2, 1):  # the first that makes the neuron fire now and then
            x = steps((3,), most)
            before = tried(framework, behind((3,), neurons_taken(framework)[kind], (3,)), x)
            if 0.05 < before.mean() < 0.6:
                break
        for label, (field, factor, shift) in CHANGES.items():
            node = neurons_taken(framework)[kind]
            if not hasattr(node, field):
                continue
            setattr(node, field, (getattr(node, field) * np.float32(factor) + np.float32(shift)).astype(np.float32))
            after = tried(framework, behind((3,), node, (3,)), x)
            same = not isinstance(after, str) and np.array_equal(before, after)
            found[f"{kind}.{label}"] = after if isinstance(after, str) else "ignored" if same else "used"
    return found


def odd_graphs(neuron: nir.NIRNode) -> dict[str, nir.NIRGraph]:
    """Graphs that are legal in NIR and beyond what many importers foresee."""
    fc, port, shape = nir.Affine(np.eye(3, dtype=np.float32), full(0.5, (3,))), nir.Input, np.array([3])
    out, image = nir.Output(shape), np.array([2, 4, 4])
    double = {"input": port(shape), "l1_fc": fc, "node": neuron, "o1": out, "o2": nir.Output(shape)}
    inputs = {"in_a": port(shape), "in_b": port(shape), "l1_fc": fc, "node": neuron, "output": out}
    branch = {"input": port(shape), "l1_fc": fc, "node": neuron, "l9_branch": copy.copy(fc), "output": out}
    loop = {"input": port(shape), "l1_fc": fc, "node": neuron, "output": out, "w_rec": copy.copy(fc)}
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 1]))
    flat = nir.Flatten({"input": image}, 0, -1)
    return {
        "two outputs": nir.NIRGraph(double, pairs("input l1_fc node o1", "node o2"), type_check=False),
        "two inputs": nir.NIRGraph(inputs, pairs("in_a l1_fc node output", "in_b node"), type_check=False),
        "unused branch": nir.NIRGraph(branch, pairs("input l1_fc node output", "node l9_branch"), type_check=False),
        "recurrent": nir.NIRGraph(loop, pairs("input l1_fc node w_rec node output"), type_check=False),
        "padded pool": chain({"input": port(image), "pool": pool, "output": nir.Output(np.array([2, 3, 3]))}),
        "flatten from 0": chain({"input": port(image), "flat": flat, "output": nir.Output(np.array([32]))}),
    }


def graph_outcome(framework: str, graph: nir.NIRGraph) -> str:
    shape = next(tuple(n.input_type["input"]) for n in graph.nodes.values() if isinstance(n, nir.Input))
    y = tried(framework, graph, steps(shape, count=5))
    return y if isinstance(y, str) else f"gives {y.shape}"


# -------------------------------------------------------------------------------------------------------------- main


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("frameworks", nargs="+", choices=[*RUN])
    given = parser.parse_args()
    out = given.out
    out.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)
    kept = out / "outcomes.json"
    outcomes = json.loads(kept.read_text()) if kept.exists() else {}
    for framework in given.frameworks:
        outcomes[framework] = {"dt": {}, "nodes": {}}
    for case in [case for case in CASES if case.framework in given.frameworks]:
        draw = Draw(given.seed + sum(map(ord, case.framework + case.name)))
        path = out / f"{case.framework}__{case.name}.nir"
        graph = case.build(draw, case.neuron, case.size)
        write(path, graph)
        shape = graph.nodes["input"].input_type["input"]
        x = (draw.rng.random((T, B, *shape)) < 0.4).astype(np.float32)
        with quiet(), limited(120):
            y = answers(case.framework, path, x, case.dt, case.name)
        np.savez_compressed(path.with_suffix(".npz"), x=x.astype(np.uint8), y=y.astype(np.float32))
        outcomes[case.framework]["dt"][case.name] = case.dt
        print(f"{path.stem:36} rate {y.mean():.3f} most {y.max():g} shape {y.shape}")
    for framework in given.frameworks:
        record = outcomes[framework]
        record["nodes"] = {name: node_outcome(framework, *node) for name, node in single_nodes(framework).items()}
        taken = {name for name in neurons_taken(framework) if record["nodes"][name] == "runs"}
        record["parameters"] = parameter_outcomes(framework, taken)
        own = neurons_taken(framework)["CubaLIF" if framework == "rockpool" else "LIF"]
        record["graphs"] = {name: graph_outcome(framework, graph) for name, graph in odd_graphs(own).items()}
    kept.write_text(json.dumps(dict(sorted(outcomes.items())), indent=1) + "\n")
    print(f"{sum(file.stat().st_size for file in out.iterdir()) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
