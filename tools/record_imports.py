"""Record what frameworks make of NIR files that they import: the evidence for nirjax's import dialects.

Environment: Python 3.11 with norse 1.1.0, snntorch 1.0.0, sinabs 2.0.3, spikingjelly 2.0.0, nirtorch 2.6, nir 1.0.8::

    python tools/record_imports.py --out tests/data/imports

Files written into ``--out``:

``<framework>__<case>.nir``
    a small graph whose parameters the framework takes, heterogeneous where it allows that, and which are not what it
    silently assumes
``<framework>__<case>.npz``
    x (time, batch, ...), y: what the framework's import of that file answered; v_<node>, i_<node>: its membrane and
    current after each step, where the framework hands them out
``outcomes.json``
    for each framework the case's time step, and for each node type of NIR in a chain ``input -> fc -> node -> output``:
    "runs", "raises <error>", or "cut" where what comes out is the output of ``fc``

Weights and spikes lie on a binary grid, so that every product is exact; thresholds do not, so that nothing hangs on a tie. Graphs are chosen on which the order of
execution is well defined: names in alphabetical order (HDF5 lists them so), in a recurrent layer the edge into the
recurrent weights before the edge to the next layer (Norse returns the last node of a depth-first walk), and no skips.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import logging
import pathlib
import tempfile
import warnings
from collections.abc import Callable

import h5py
import nir
import norse.torch
import numpy as np
import sinabs.nir
import snntorch.import_nir
import torch
from spikingjelly.activation_based import nir_exchange

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


def chain(nodes: dict[str, nir.NIRNode]) -> nir.NIRGraph:
    names = list(nodes)
    return nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)), type_check=False)


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
    paths = "input l1_fc l2.lif l2.w_rec l2.lif", "l2.lif l3_fc l4_lif output"
    edges = [pair for path in paths for pair in zip(path.split(), path.split()[1:], strict=False)]
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
    graph = layers(draw, sinabs_lif, size)
    graph.nodes["l4_lif"] = neuron(draw, (5,))
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
]


# --------------------------------------------------------------------------------------------------------- execution


def imported(framework: str, graph: nir.NIRGraph, dt: float, case: str) -> torch.nn.Module:
    if framework == "norse":
        reset = norse.torch.functional.reset
        method = reset.reset_subtract if "subtract" in case else reset.reset_value
        return norse.torch.from_nir(graph, dt=dt, reset_method=method)
    if framework == "snntorch":
        return snntorch.import_nir.import_from_nir(graph)
    if framework == "sinabs":
        return sinabs.nir.from_nir(graph, batch_size=B)
    return nir_exchange.import_from_nir(graph, dt=dt)


def answers(framework: str, path: pathlib.Path, x: np.ndarray, dt: float, case: str = "") -> np.ndarray:
    """What the framework's import of a file makes of x (time, batch, ...)."""
    model = imported(framework, nir.read(path), dt, case)
    x = torch.tensor(x)
    if framework == "sinabs":  # takes whole sequences, batch times time
        y = model(x.transpose(0, 1).reshape(B * len(x), *x.shape[2:]))
        y = y[0] if isinstance(y, tuple) else y
        return y.reshape(B, len(x), *y.shape[1:]).transpose(0, 1).numpy()
    state, outputs = None, []
    for one in x:
        y, state = model(one, state)
        outputs.append(y)
    return torch.stack(outputs).numpy()


@contextlib.contextmanager
def quiet():
    sink = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def write(path: pathlib.Path, graph: nir.NIRGraph) -> None:
    """As `nir.write`, in HDF5's later format, which is a third of the size for small arrays."""
    with tempfile.TemporaryDirectory() as folder:
        nir.write(f"{folder}/graph.nir", graph)
        with h5py.File(f"{folder}/graph.nir") as source, h5py.File(path, "w", libver="latest") as file:
            _copy(source, file)


def _copy(source: h5py.Group, target: h5py.Group) -> None:
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name))
        else:
            target.create_dataset(name, data=item[()], dtype=item.dtype)


# ------------------------------------------------------------------------------------------ every node type in a chain


def single_nodes(framework: str) -> dict[str, tuple[tuple[int, ...], nir.NIRNode, tuple[int, ...]]]:
    """Node type to (input shape, node, output shape), with parameters that offend no framework that takes the type."""
    one, image, ones = (3,), (2, 4, 4), {"r": full(1, (3,)), "v_leak": full(0, (3,))}
    spiking = {"v_threshold": full(1, (3,))}
    window = (np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    kernel = (np.array([1, 1]), np.array([1, 1]), np.array([1, 1]), 1)
    tau = full(5 if framework == "sinabs" else 5e-4, (3,))
    rate = 1e4 if framework == "spikingjelly" else 1  # it asks for r = 1/dt
    return {
        "Affine": (one, nir.Affine(2 * np.eye(3, dtype=np.float32), full(1, one)), one),
        "Linear": (one, nir.Linear(2 * np.eye(3, dtype=np.float32)), one),
        "Scale": (one, nir.Scale(full(2, one)), one),
        "Conv1d": ((2, 6), nir.Conv1d(6, full(1, (3, 2, 3)), *(np.array([1]),) * 3, 1, full(0, (3,))), (3, 6)),
        "Conv2d": (image, nir.Conv2d((4, 4), full(1, (3, 2, 3, 3)), *kernel, full(0, (3,))), (3, 4, 4)),
        "SumPool2d": (image, nir.SumPool2d(*window), (2, 2, 2)),
        "AvgPool2d": (image, nir.AvgPool2d(*window), (2, 2, 2)),
        "Flatten": (image, nir.Flatten({"input": np.array(image)}, -3, -1), (32,)),
        "Delay": (one, nir.Delay(full(2e-4, one)), one),
        "Threshold": (one, nir.Threshold(full(0.5, one)), one),
        "I": (one, nir.I(full(1, one)), one),
        "IF": (one, nir.IF(full(rate, one), full(1, one)), one),
        "LI": (one, nir.LI(tau=tau, **ones), one),
        "LIF": (one, nir.LIF(tau=tau, **ones, **spiking), one),
        "CubaLI": (one, nir.CubaLI(tau_syn=tau, tau_mem=tau, **ones), one),
        "CubaLIF": (
            one,
            nir.CubaLIF(tau, tau, full(5, one), full(0, one), full(1, one), w_in=full(5, one)),
            one,
        ),
    }


def outcome(framework: str, shape: tuple[int, ...], node: nir.NIRNode, out: tuple[int, ...]) -> str:
    """What becomes of a node behind a node that each framework takes."""
    x = np.random.default_rng(0).integers(0, 4, (10, B, *shape)).astype(np.float32)
    kernel = (np.array([1, 1]), np.array([0, 0]), np.array([1, 1]), 1)
    if len(shape) == 3:
        first = nir.Conv2d(shape[1:], 0.375 * np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1), *kernel, full(0, (2,)))
    elif len(shape) == 1:
        first = nir.Affine(0.375 * np.eye(3, dtype=np.float32), full(0, (3,)))
    else:
        first = None
    nodes = {"input": nir.Input(np.array(shape)), "fc": first, "node": node, "output": nir.Output(np.array(out))}
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = pathlib.Path(folder) / "graph.nir"
        write(path, chain({name: inner for name, inner in nodes.items() if inner is not None}))
        try:
            y = answers(framework, path, x, SNNTORCH_DT)
        except Exception as error:
            return f"raises {type(error).__name__}: {str(error).splitlines()[0][:100]}"
    cut = first is not None and y.shape == x.shape and np.array_equal(y, 0.375 * x)
    return "cut" if cut else "runs"


# -------------------------------------------------------------------------------------------------------------- main


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    outcomes = {}
    for case in CASES:
        draw = Draw(sum(map(ord, case.framework + case.name)))
        path = out / f"{case.framework}__{case.name}.nir"
        graph = case.build(draw, case.neuron, case.size)
        write(path, graph)
        shape = graph.nodes["input"].input_type["input"]
        x = (draw.rng.random((T, B, *shape)) < 0.4).astype(np.float32)
        with quiet():
            y = answers(case.framework, path, x, case.dt, case.name)
        np.savez_compressed(path.with_suffix(".npz"), x=x.astype(np.uint8), y=y.astype(np.float32))
        outcomes.setdefault(case.framework, {"dt": {}, "nodes": {}})["dt"][case.name] = case.dt
        print(f"{path.stem:36} rate {y.mean():.3f} most {y.max():g} shape {y.shape}")
    for framework in outcomes:
        for name, (shape, node, given) in single_nodes(framework).items():
            outcomes[framework]["nodes"][name] = outcome(framework, shape, node, given)
    (out / "outcomes.json").write_text(json.dumps(outcomes, indent=1) + "\n")
    print(f"{sum(file.stat().st_size for file in out.iterdir()) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
