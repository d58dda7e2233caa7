"""What a framework answers after importing a file. Runs in that framework's environment, and imports nothing of nirjax.

    python -m benchmarks.transfer.importers FRAMEWORK DT RECORDINGS.npz PART IN.nir OUT.npz [IN.nir OUT.npz ...]

Writes counts (sample, class): the output's spikes over the recording.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np

from benchmarks.transfer import recordings


def at_home(path: str, x: np.ndarray, dt: float) -> np.ndarray:
    """No import: the snnTorch network of `home`, with the weights and biases of the file."""
    import torch

    from benchmarks.transfer import home

    with torch.no_grad():
        return home.counts(home.restored(nir.read(path)), np.moveaxis(x, 0, 1)).numpy()


def norse(path: str, x: np.ndarray, dt: float) -> np.ndarray:
    from norse.torch import from_nir

    return stepped(from_nir(nir.read(path), ignore_warnings=True, dt=dt), x)


def snntorch(path: str, x: np.ndarray, dt: float) -> np.ndarray:
    """Its time step is always 1e-4."""
    from snntorch.import_nir import import_from_nir

    return stepped(import_from_nir(nir.read(path)), x)


def spikingjelly(path: str, x: np.ndarray, dt: float) -> np.ndarray:
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return stepped(import_from_nir(nir.read(path), dt=dt), x)


def stepped(model: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    """A torch model that takes one step and its state."""
    import torch

    state, total = None, 0
    with torch.no_grad():
        for step in torch.tensor(x):
            y, state = model(step, state)
            total = total + y
    return np.asarray(total)


def sinabs(path: str, x: np.ndarray, dt: float) -> np.ndarray:
    """It counts time in steps, and takes whole sequences, sample times time."""
    import torch
    from sinabs.nir import from_nir

    whole = torch.tensor(x).transpose(0, 1).flatten(0, 1)
    with torch.no_grad():
        y = from_nir(nir.read(path), batch_size=x.shape[1])(whole)
    y = y[0] if isinstance(y, tuple) else y
    return y.unflatten(0, (x.shape[1], len(x))).sum(1).numpy()


def rockpool(path: str, x: np.ndarray, dt: float) -> np.ndarray:
    """It guesses its time step, and takes whole sequences, (sample, time, channel)."""
    import torch
    from rockpool.nn.modules.torch.nir import from_nir

    with torch.no_grad():
        y = from_nir(path)(torch.tensor(x).transpose(0, 1))
    y = y[0] if isinstance(y, tuple) else y
    return y.sum(1).numpy()


def spyx(path: str, x: np.ndarray, dt: float) -> np.ndarray:
    import jax.numpy as jnp
    from spyx.nir import from_nir

    return np.asarray(from_nir(nir.read(path), jnp.asarray(x), dt=dt)[1]).sum(0)


RUN = {f.__name__: f for f in (at_home, norse, snntorch, spikingjelly, sinabs, rockpool, spyx)}


def main(framework: str, dt: str, data: str, part: str, *files: str) -> None:
    if framework != "spyx":
        import torch

        torch.set_num_threads(1)
    x = np.moveaxis(getattr(recordings.load(Path(data)), part).x, 1, 0).astype(np.float32)
    for source, target in zip(files[::2], files[1::2], strict=True):
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            np.savez(target, counts=RUN[framework](source, x, float(dt)))


if __name__ == "__main__":
    main(*sys.argv[1:])
