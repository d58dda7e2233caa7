"""Do the neurons fire at all? Measured on a few samples of a batch."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.data.batch import Batch
from nirjax.engine.model import Model
from nirjax.errors import NIRWarning, quoted
from nirjax.finetuning.pieces import accumulated
from nirjax.finetuning.time_folds import rate

SAMPLES = 16
"""How many samples are looked at."""


def firing_rates(model: Model, batch: Batch) -> dict[str, float]:
    """Spikes per neuron and time step of every spiking node, over the first samples of a batch."""
    few = slice(0, SAMPLES)
    first = Batch(
        jax.tree.map(lambda x: x[:, few], batch.x), length=None if batch.length is None else batch.length[few]
    )
    return {name: float(value) for name, value in _rates(model, first).items()}


@jax.jit
def _rates(model: Model, batch: Batch) -> dict[str, Array]:
    names = [name for name in model.variables if name.endswith(".spikes")]
    found = accumulated(model, batch, [("trace", name, rate) for name in names])
    return {name.removesuffix(".spikes"): jnp.mean(rates) for (_, name, _), rates in found.items()}


def warn_of_silence(rates: dict[str, float], batch: Batch) -> None:
    """A NIRWarning if all of the input is zero, and one that names the nodes without a single spike."""
    if not any(np.any(x) for x in jax.tree.leaves(batch.x)):
        warnings.warn("the input of the first batch is zero throughout", NIRWarning, stacklevel=5)
    silent = [name for name, value in rates.items() if value == 0]
    if silent:
        names = ", ".join(quoted(name) for name in silent)
        warnings.warn(
            f"no neuron of {names} fires in the first batch, so little can be learnt there. Are dt, the dialect and "
            "the scale of the input those that the graph was made for?",
            NIRWarning,
            stacklevel=5,
        )
