"""Do the neurons fire at all? Measured on a few samples of a batch."""

from __future__ import annotations

import warnings

import jax
import numpy as np

from nirjax.data.batch import Batch
from nirjax.engine.model import Model
from nirjax.errors import NIRWarning, quoted
from nirjax.finetuning.time_folds import over_time, rate

SAMPLES = 16
"""How many samples are looked at."""


def firing_rates(model: Model, batch: Batch) -> dict[str, float]:
    """Spikes per neuron and time step of every spiking node, over the first samples of a batch."""
    record = [name for name in model.variables if name.endswith(".spikes")]
    if not record:
        return {}
    few = min(SAMPLES, batch.size)
    run = model.run(jax.tree.map(lambda x: x[:, :few], batch.x), record=record)
    where = batch.where
    real = None if where is None else where[:, :few]
    return {
        name.removesuffix(".spikes"): float(np.mean(over_time(rate, trace, real))) for name, trace in run.traces.items()
    }


def warn_of_silence(rates: dict[str, float]) -> None:
    """A NIRWarning that names the nodes without a single spike."""
    silent = [name for name, value in rates.items() if value == 0]
    if silent:
        names = ", ".join(quoted(name) for name in silent)
        warnings.warn(
            f"no neuron of {names} fires in the first batch, so little can be learnt there. Are dt, the dialect and "
            "the scale of the input those that the graph was made for?",
            NIRWarning,
            stacklevel=5,
        )
