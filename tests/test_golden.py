"""Every golden recording under its framework's home preset: 0 spikes differ, membranes to rounding.

A case is given by its graph file, its dt, the preset, and arguments that a user of the framework knows. What the
exporter lost is put back by an edit of the graph that the case names.
"""

import dataclasses
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import nirjax
from nirjax import dialects, ir

GOLDEN = Path(__file__).parent / "data" / "golden"


# ------------------------------------------------------------------------------------ what the exporters lost


def _edited(graph, changes):
    return dataclasses.replace(graph, nodes={**graph.nodes, **changes})


def v_reset(value):
    """Norse does not write v_reset."""

    def edit(graph, recorded, dt):
        neurons = {name: node for name, node in graph.nodes.items() if isinstance(node, ir.LIF)}
        return _edited(
            graph,
            {n: dataclasses.replace(node, v_reset=np.full_like(node.v_reset, value)) for n, node in neurons.items()},
        )

    return edit


def membrane_bias(value):
    """Rockpool does not write the bias that LIFTorch adds in every step."""

    def edit(graph, recorded, dt):
        neurons = {name: node for name, node in graph.nodes.items() if isinstance(node, ir.CubaLIF)}
        return _edited(
            graph,
            {
                n: dataclasses.replace(node, v_leak=(value / -np.expm1(-dt / node.tau_mem)).astype(np.float32))
                for n, node in neurons.items()
            },
        )

    return edit


def recurrent_weight(neuron):
    """Rockpool does not write the recurrent weights."""

    def edit(graph, recorded, dt):
        weight = ir.Linear(np.asarray(recorded[f"w_rec_{neuron}"].T))
        return dataclasses.replace(
            graph,
            nodes={**graph.nodes, "w_rec": weight},
            edges=(*graph.edges, (neuron, "w_rec"), ("w_rec", neuron)),
        )

    return edit


def synapse(tau_syn):
    """Sinabs does not write tau_syn."""

    def edit(graph, recorded, dt):
        neurons = {name: node for name, node in graph.nodes.items() if isinstance(node, ir.LIF)}
        return _edited(
            graph,
            {
                n: ir.CubaLIF(np.full_like(node.tau, tau_syn), node.tau, node.r, node.v_leak, node.v_threshold)
                for n, node in neurons.items()
            },
        )

    return edit


def channels_first_weights(graph, recorded, dt):
    """Spyx writes the weights behind a Flatten in the order (H, W, C)."""
    (flatten,) = (name for name, node in graph.nodes.items() if isinstance(node, ir.Flatten))
    (behind,) = (target for source, target in graph.edges if source == flatten)
    c, h, w = graph.nodes[flatten].accepts()
    weight = graph.nodes[behind].weight
    ordered = weight.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(weight.shape)
    return _edited(graph, {behind: dataclasses.replace(graph.nodes[behind], weight=ordered)})


def input_into_neuron(graph, recorded, dt):
    """Spyx wires the input of a recurrent layer into its recurrent weights."""
    changed = {}
    for name, node in graph.nodes.items():
        if isinstance(node, ir.NIRGraph):
            (neuron,) = (inner for inner in node.nodes if inner.endswith("lif"))
            edges = tuple((a, neuron if a.endswith(".input") else b) for a, b in node.edges)
            changed[name] = dataclasses.replace(node, edges=edges)
    return _edited(graph, changed)


LOST = {
    "norse/lifbox_mlp_vreset": v_reset(-0.4),
    "rockpool/lif_mlp_neuron_bias_dropped": membrane_bias(0.02),
    "rockpool/lif_recurrent_wrec_dropped": recurrent_weight("1_LIFTorch"),
    "sinabs/lif_mlp_tau_syn_dropped": synapse(5.0),
    "spyx/conv_if_flatten": channels_first_weights,
    "spyx/rcubalif_mlp": input_into_neuron,
    "spyx/rif_mlp": input_into_neuron,
    "spyx/rlif_mlp": input_into_neuron,
}


# ------------------------------------------------------------------------- what a user of the framework knows


def _snntorch(case):
    delayed = "nodelay" not in case and case != "tie_threshold"
    return dialects.snntorch(reset_mechanism="zero" if "zero" in case else "subtract", reset_delay=delayed)


def _sinabs(case, model):
    bound = re.search(r"min_v_mem=(-[\d.]+)", model)
    return dialects.sinabs(
        spike_fn="SingleSpike" if "SingleSpike" in model or "single" in model else "MultiSpike",
        reset_fn="MembraneReset" if "MembraneReset" in model else "MembraneSubtract",
        min_v_mem=float(bound.group(1)) if bound else None,
        norm_input="norm_input=False" not in model,
    )


def dialect_of(framework, case, model):
    if framework == "snntorch":
        return _snntorch(case)
    if framework == "sinabs":
        return _sinabs(case, model)
    return getattr(dialects, framework)()


CASES = sorted(str(path.parent.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*/graph.nir"))


def load(name):
    """The model of a golden case, and its recording."""
    framework, case = name.split("/")
    meta = json.loads((GOLDEN / name / "meta.json").read_text())
    recorded = np.load(GOLDEN / name / "io.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nirjax.RepairWarning)
        graph = nirjax.read(GOLDEN / name / "graph.nir", repair=True, trusted=True)
    if name in LOST:
        graph = LOST[name](graph, recorded, meta["dt"])
    overrides = {}
    if name == "snntorch/rleaky_zero_nodelay":
        # Its output layer was made with the delayed reset.
        overrides["3"] = dialects.snntorch("zero", reset_delay=True).of("3", "LIF", False)
    model = nirjax.from_nir(
        graph, dt=meta["dt"], dialect=dialect_of(framework, case, meta["model"]), overrides=overrides
    )
    return model, recorded


def trace_of(model, label, variable):
    """The name of the trace that the recording calls `<variable>_<label>`."""
    names = {name.rpartition(".")[0] for name in model.variables if name.endswith(".v")}
    for candidate in (label, f"_{label}", f"layer_{label}", f"{label}.lif", f"layer_{label}.layer_{label}.lif"):
        if candidate in names:
            return f"{candidate}.{variable}"
    (found,) = (name for name in names if name.startswith(f"{label}_"))
    return f"{found}.{variable}"


VARIABLES = {"h": "output", "v": "v", "i": "i"}


@pytest.mark.parametrize("name", CASES)
def test_recording(name):
    model, recorded = load(name)
    wanted = {
        key: trace_of(model, key[2:], VARIABLES[key[0]]) for key in recorded.files if key[:2] in ("h_", "v_", "i_")
    }
    if name == "spyx/psu_lif_mlp":
        # A PSU_LIF is an LI with a Threshold behind it, whose spikes are what is recorded.
        wanted |= {key: trace.replace(".output", "_threshold.output") for key, trace in wanted.items() if key[0] == "h"}
    run = model.run(recorded["x"], record=sorted(set(wanted.values())))
    most = max(1.0, float(np.abs(recorded["y"]).max()))
    _compare("y", np.asarray(run.output), recorded["y"], most)
    for key, trace in wanted.items():
        _compare(key, np.asarray(run.traces[trace]), recorded[key], most)


def _compare(key, found, expected, most):
    expected = expected.reshape(found.shape)
    spikes = key[0] in "yh" and np.array_equal(expected, np.round(expected))
    if spikes:
        assert np.count_nonzero(found != expected) == 0, key
        assert key == "y" or expected.any()
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * (1 + most) * max(1, np.abs(expected).max()))
