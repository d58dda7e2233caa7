"""Everything that a run of `finetune` carries from step to step, and its form on disk."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.data.processes import here
from nirjax.engine.model import Params
from nirjax.errors import CheckpointError

_TREES = ("params", "optimizer_state", "best")
_NUMBERS = (
    *("step", "epoch", "batch", "count", "sums", "skipped", "skipped_in_a_row"),
    *("best_value", "best_step", "stale", "spike_rate", "evaluations"),
)


@dataclass(frozen=True, eq=False)
class TrainingState:
    """A moment of training: from here on, all that follows is fixed.

    Args:
        params, optimizer_state: after `step` updates.
        best: the parameters with the best monitored value so far.
        step: updates so far.
        epoch: whole passes through the data so far.
        batch: batches of the present pass that are done.
        count, sums: samples of the present pass, and sums of loss and metrics over them.
        skipped: steps of the present pass that were not finite, and so moved nothing.
        skipped_in_a_row: such steps since the last that was finite.
        best_value, best_step: of `best`.
        stale: evaluations since then.
        spike_rate: at the start of the present pass, in spikes per neuron and step; None without spiking nodes.
        losses: the loss of each step; it grows in place.
        evaluations: the history's entries by name, one for each evaluation; they grow in place.
    """

    params: Params
    optimizer_state: Any
    best: Params
    step: int = 0
    epoch: int = 0
    batch: int = 0
    count: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    skipped_in_a_row: int = 0
    best_value: float | None = None
    best_step: int = 0
    stale: int = 0
    spike_rate: float | None = None
    losses: list[float] = field(default_factory=list)
    evaluations: dict[str, list[float]] = field(default_factory=dict)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state as a flat dict of arrays."""
        arrays = {
            f"{tree}.{place:05d}": np.asarray(_plain(here(leaf)))
            for tree in _TREES
            for place, leaf in enumerate(jax.tree.leaves(getattr(self, tree)))
            if leaf.size
        }
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        arrays["numbers"] = np.frombuffer(json.dumps(numbers).encode(), np.uint8)
        arrays["losses"] = np.asarray([np.nan, *self.losses], np.float64)
        return arrays

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> TrainingState:
        """The state in `arrays`, laid out as this one is.

        Raises:
            CheckpointError: other names, shapes or dtypes than this run's.
        """
        trees: dict[str, Any] = {}
        for tree in _TREES:
            leaves, structure = jax.tree.flatten(getattr(self, tree))
            loaded = [_like(leaf, arrays.get(f"{tree}.{place:05d}"), tree) for place, leaf in enumerate(leaves)]
            trees[tree] = jax.tree.unflatten(structure, loaded)
        numbers = json.loads(arrays["numbers"].tobytes().decode())
        losses = arrays["losses"][1:].tolist()
        return dataclasses.replace(self, **trees, **numbers, losses=losses)


def _plain(leaf: Array) -> Array:
    """Random keys as the numbers in them."""
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _like(leaf: Array, found: np.ndarray | None, tree: str) -> Array:
    if not leaf.size:
        return leaf
    wanted = np.asarray(_plain(here(leaf)))
    if found is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
        raise CheckpointError(
            f"the saved {tree} are not this run's",
            found=None if found is None else f"{found.dtype} {found.shape}",
            expected=f"{wanted.dtype} {wanted.shape}",
        )
    restored = jnp.asarray(found)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        restored = jax.random.wrap_key_data(restored, impl=jax.random.key_impl(leaf))
    return restored
