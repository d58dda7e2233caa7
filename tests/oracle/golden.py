"""What is needed to compare a run with a golden recording: what the exporters lost, and what the recordings call the nodes."""

import copy

import numpy as np


def with_lost_information(graph, dialect, recorded, dt):
    """The graph with what the exporter lost put back (`override_information_not_in_file`)."""
    graph = copy.deepcopy(graph)
    lost = dict(dialect.get("override_information_not_in_file", {}))
    lost.pop("dt", None)  # goes with rp_bias, which is stated for that dt
    for key, value in lost.items():
        if key == "node":  # goes with w_rec
            continue
        {
            "v_reset": restore_v_reset,
            "rp_bias": restore_membrane_bias,
            "w_rec": restore_recurrent_weight,
            "tau_syn": restore_synapse,
            "hwc": restore_channels_last_flatten,
            "rewire": restore_recurrent_wiring,
        }[key](graph, value, lost, recorded, dt)
    return graph


def restore_v_reset(graph, value, lost, recorded, dt):
    for node in graph["nodes"].values():
        if node["type"] == "LIF":
            node["v_reset"] = np.full_like(node["v_reset"], value)


def restore_membrane_bias(graph, value, lost, recorded, dt):
    """v := share v + I + bias is a leak towards v_leak = bias / (1 - share)."""
    for node in graph["nodes"].values():
        if node["type"] == "CubaLIF":
            node["v_leak"] = value / -np.expm1(-dt / node["tau_mem"].astype(float))


def restore_recurrent_weight(graph, value, lost, recorded, dt):
    """Rockpool's recurrent input is spikes @ w_rec, of the step before."""
    weight = recorded[value.removeprefix("io.npz:")].T
    graph["nodes"]["w_rec"] = {"type": "Linear", "weight": weight}
    graph["edges"] += [(lost["node"], "w_rec"), ("w_rec", lost["node"])]


def restore_synapse(graph, value, lost, recorded, dt):
    for node in graph["nodes"].values():
        if node["type"] == "LIF":
            node.update(type="CubaLIF", tau_mem=node.pop("tau"), tau_syn=np.array(value), w_in=np.array(1.0))


def restore_channels_last_flatten(graph, value, lost, recorded, dt):
    """The weight behind the Flatten counts (H, W, C): its columns in the order (C, H, W)."""
    flatten = next(name for name, node in graph["nodes"].items() if node["type"] == "Flatten")
    behind = next(target for source, target in graph["edges"] if source == flatten)
    c, h, w = graph["nodes"][flatten]["input_type"]
    weight = graph["nodes"][behind]["weight"]
    graph["nodes"][behind]["weight"] = weight.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(len(weight), -1)


def restore_recurrent_wiring(graph, value, lost, recorded, dt):
    """The input of a recurrent layer goes to its neuron, not to w_rec."""
    for node in graph["nodes"].values():
        if node["type"] == "NIRGraph":
            (neuron,) = (name for name in node["nodes"] if name.endswith("lif"))
            node["edges"] = [(a, neuron if a.endswith(".input") else b) for a, b in node["edges"]]


def recorded_node(graph, label):
    """The name in the traces of the node that io.npz calls `label`, as in h_<label>: a name, a number, `layer_<number>`."""
    for name in (label, f"_{label}", f"layer_{label}", f"{label}.lif"):
        if name in graph["nodes"]:
            break
    else:
        (name,) = (name for name in graph["nodes"] if name.startswith(f"{label}_"))
    if graph["nodes"][name]["type"] == "NIRGraph":
        (neuron,) = (inner for inner in graph["nodes"][name]["nodes"] if inner.endswith("lif"))
        return f"{name}.{neuron}"
    return name
