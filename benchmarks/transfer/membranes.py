"""The membranes of a network that a framework imported. Runs in that framework's environment, without nirjax.

    python -m benchmarks.transfer.membranes FRAMEWORK DT RECORDINGS.npz PART IN.nir OUT.npz

Writes, for each layer of neurons in the order of the network, the membrane after each step, (time, sample, neuron), as
"0", "1", ...; and counts, (sample, class), as `importers` does.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

from benchmarks.transfer import recordings


def at_home(path: str, x: np.ndarray, dt: float) -> tuple[list[np.ndarray], np.ndarray]:
    import nir
    import torch

    from benchmarks.transfer import home

    torch.set_num_threads(1)
    network = home.restored(nir.read(path))
    layers = [layer for layer in network if hasattr(layer, "reset_mem")]
    for layer in layers:
        layer.reset_mem()
    membranes, total = [[] for _ in layers], 0
    with torch.no_grad():
        for step in torch.tensor(x):
            total = total + network(step)
            for layer, found in zip(layers, membranes, strict=True):
                found.append(layer.mem.numpy().copy())
    return [np.stack(found) for found in membranes], total.numpy()


def sinabs(path: str, x: np.ndarray, dt: float) -> tuple[list[np.ndarray], np.ndarray]:
    import nir
    import torch
    from sinabs.layers import StatefulLayer
    from sinabs.nir import from_nir

    torch.set_num_threads(1)
    model = from_nir(nir.read(path), batch_size=x.shape[1])
    layers = [module for module in model.modules() if isinstance(module, StatefulLayer)]
    for layer in layers:
        layer.record_states = True
    with torch.no_grad():
        y = model(torch.tensor(x).transpose(0, 1).flatten(0, 1))
    y = y[0] if isinstance(y, tuple) else y
    membranes = [layer.recordings["v_mem"].transpose(0, 1).numpy() for layer in layers]
    return membranes, y.unflatten(0, (x.shape[1], len(x))).sum(1).numpy()


def spyx(path: str, x: np.ndarray, dt: float) -> tuple[list[np.ndarray], np.ndarray]:
    import jax
    import jax.numpy as jnp
    import nir
    from spyx.nir import from_nir

    _, (outputs, states) = from_nir(nir.read(path), jnp.asarray(x), dt=dt, return_all_states=True)
    return [np.asarray(state) for state in jax.tree.leaves(states)], np.asarray(outputs).sum(0)


RUN = {f.__name__: f for f in (at_home, sinabs, spyx)}


def main(framework: str, dt: str, data: str, part: str, source: str, target: str) -> None:
    x = np.moveaxis(getattr(recordings.load(Path(data)), part).x, 1, 0).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        membranes, counts = RUN[framework](source, x, float(dt))
    np.savez(target, counts=counts, **{str(place): membrane for place, membrane in enumerate(membranes)})


if __name__ == "__main__":
    main(*sys.argv[1:])
