"""Trains a network in snnTorch and exports it with snnTorch's own exporter. Runs in snnTorch's environment.

    python -m benchmarks.transfer.home NETWORK DATA.npz FOLDER SEED PART

Writes start.nir (before training), home.nir (after it) and home.npz: what snnTorch answers on that part of the data.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import nir
import numpy as np
import snntorch
import torch
from snntorch import surrogate
from snntorch.export_nir import export_to_nir

from benchmarks.transfer import recipe, recordings


def recurrent(inputs: int, classes: int, hidden: int = 96) -> torch.nn.Sequential:
    """Linear, RSynaptic with time constants of its own for each neuron, Linear, Synaptic.

    All of snnTorch's defaults: a threshold is subtracted, in the step after the spike.
    """
    synapse = torch.tensor([2.0, 4.0]).repeat(hidden // 2)
    membrane = torch.tensor([4.0, 8.0, 16.0, 32.0]).repeat_interleave(2).repeat(hidden // 8)
    layers = torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden),
        snntorch.RSynaptic(
            *(1 - 1 / synapse, 1 - 1 / membrane),
            linear_features=hidden,
            threshold=torch.ones(hidden),
            **options(),
        ),
        torch.nn.Linear(hidden, classes),
        snntorch.Synaptic(*(torch.full((classes,), decay) for decay in (0.75, 0.875, 1.0)), **options()),
    )
    scaled(layers[0], 0.1)
    scaled(layers[1].recurrent, 0.1 / hidden**0.5)
    scaled(layers[2], 0.1 / hidden**0.5)
    return layers


def feedforward(inputs: int, classes: int, hidden: int = 96) -> torch.nn.Sequential:
    """Linear, Leaky, Linear, Leaky: one time constant a layer, which is what most importers take."""
    layers = torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden),
        snntorch.Leaky(torch.full((hidden,), 0.9), threshold=torch.ones(hidden), **options()),
        torch.nn.Linear(hidden, classes),
        snntorch.Leaky(torch.full((classes,), 0.9), threshold=torch.ones(classes), **options()),
    )
    scaled(layers[0], 0.7 / inputs**0.5)
    scaled(layers[2], 0.7 / hidden**0.5)
    return layers


def options() -> dict:
    return {"spike_grad": surrogate.fast_sigmoid(slope=recipe.SLOPE), "init_hidden": True}


def scaled(layer: torch.nn.Linear, deviation: float) -> None:
    with torch.no_grad():
        layer.weight.normal_(0, deviation)
        layer.bias.zero_()


NETWORKS = {"recurrent": recurrent, "feedforward": feedforward}


def counts(network: torch.nn.Sequential, x: np.ndarray) -> torch.Tensor:
    """Output spikes (sample, class) of recordings (sample, time, channel), from rest."""
    for layer in network:
        if hasattr(layer, "reset_mem"):
            layer.reset_mem()
    steps = torch.from_numpy(np.moveaxis(x, 1, 0).astype(np.float32))
    return sum(network(step) for step in steps)


def train(network: torch.nn.Sequential, data: recordings.Data, seed: int) -> None:
    """Adam on the cross entropy of the counts; the parameters with the least loss on the validation part are kept."""
    random = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(network.parameters(), recipe.LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.EPOCHS)
    best, kept = np.inf, None
    for epoch in range(recipe.EPOCHS):
        order = random.permutation(len(data.train.y))
        for batch in np.array_split(order, -(-len(order) // recipe.BATCH)):
            loss = cross_entropy(network, recordings.Part(data.train.x[batch], data.train.y[batch]))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.CLIP)
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            held_out = cross_entropy(network, data.valid).item()
        if held_out < best:
            best, kept = held_out, copy.deepcopy(network.state_dict())
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}, validation {held_out:.3f}", flush=True)
    network.load_state_dict(kept)


def cross_entropy(network: torch.nn.Sequential, part: recordings.Part) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(counts(network, part.x), torch.from_numpy(part.y))


def export(network: torch.nn.Sequential, channels: int, path: Path) -> None:
    """snnTorch's exporter; `ignore_dims` takes the sample axis off the Input."""
    for layer in network:
        if hasattr(layer, "reset_mem"):
            layer.reset_mem()
    graph = export_to_nir(network, torch.zeros(1, channels), ignore_dims=[0])
    graph.edges.sort()  # they come in an order of chance
    nir.write(str(path), graph)


def restored(graph: nir.NIRGraph) -> torch.nn.Sequential:
    """The network that `export` made this graph of, with the graph's weights and biases."""
    kind = recurrent if "1.w_rec" in graph.nodes else feedforward
    network = kind(graph.nodes["0"].weight.shape[1], len(graph.nodes["2"].bias))
    places = {"0": network[0], "2": network[2]} | ({"1.w_rec": network[1].recurrent} if kind is recurrent else {})
    with torch.no_grad():
        for name, layer in places.items():
            layer.weight.copy_(torch.as_tensor(graph.nodes[name].weight))
            layer.bias.copy_(torch.as_tensor(graph.nodes[name].bias))
    return network


def main(kind: str, data_file: str, folder: str, seed: str, part: str) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(int(seed))
    data, out = recordings.load(Path(data_file)), Path(folder)
    channels = data.train.x.shape[-1]
    network = NETWORKS[kind](channels, int(data.train.y.max()) + 1)
    export(network, channels, out / "start.nir")
    train(network, data, int(seed))
    export(network, channels, out / "home.nir")
    with torch.no_grad():
        np.savez(out / "home.npz", counts=counts(network, getattr(data, part).x).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
