"""One step of training: loss, gradient, update, projection. Compiled once a shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from nirjax.data.batch import Batch
from nirjax.engine.model import Params
from nirjax.errors import TrainingError
from nirjax.finetuning.objectives import Objective
from nirjax.finetuning.partition import Rest, combine
from nirjax.finetuning.scoring import Measure, Transform, per_sample, transformed


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Updated:
    """What a step gives.

    Args:
        params, optimizer_state: after the step; as before it where the step was not finite.
        loss: mean over the samples that are no filling.
        sums: the loss and each metric, summed over those samples.
        count: how many those are.
        finite: for each trained parameter, whether its gradient is.
        good: the loss and all gradients are finite.
    """

    params: Params
    optimizer_state: Any
    loss: Array
    sums: dict[str, Array]
    count: Array
    finite: dict[str, dict[str, Array]]
    good: Array


Update = Callable[[Params, Any, Rest, Batch, Array], Updated]


def update_function(
    optimizer: optax.GradientTransformation,
    loss: Objective,
    measure: Measure,
    project: Callable[[Params], Params],
    record: Sequence[str],
    transform: Sequence[Transform],
) -> Update:
    """The compiled step: `(params, optimizer_state, rest, batch, key) -> Updated`."""
    extended = optax.with_extra_args_support(optimizer)

    def objective(params: Params, rest: Rest, batch: Batch, key: Array) -> tuple[Array, dict[str, Array]]:
        batch = batch.binned()
        run = transformed(combine(params, rest), transform, key).run(batch.x, record=record)
        losses = per_sample("loss", loss(run, batch), batch)
        measured = {name: per_sample(name, values, batch) for name, values in measure(run, batch).items()}
        sums = {name: jnp.sum(values, where=batch.valid) for name, values in {"loss": losses, **measured}.items()}
        return batch.mean(losses), sums

    @jax.jit
    def update(params: Params, optimizer_state: Any, rest: Rest, batch: Batch, key: Array) -> Updated:
        (value, sums), gradients = jax.value_and_grad(objective, has_aux=True)(params, rest, batch, key)
        finite = jax.tree.map(lambda gradient: jnp.isfinite(gradient).all(), gradients)

        def moved() -> tuple[Params, Any]:
            updates, state = extended.update(gradients, optimizer_state, params, value=value)
            return project(optax.apply_updates(params, updates)), state

        good = jnp.isfinite(value) & jnp.stack(jax.tree.leaves(finite)).all()
        new_params, state = jax.lax.cond(good, moved, lambda: (params, optimizer_state))
        return Updated(new_params, state, value, sums, jnp.sum(batch.valid), finite, good)

    return update


def check_finite(updated: Updated, params: Params, step: int) -> float:
    """The loss of the step.

    Raises:
        TrainingError: the loss or a gradient is not finite; it names the step and the first such parameter.
    """
    loss = float(updated.loss)
    if updated.good:
        return loss
    gradients = [name for name, finite in _named(updated.finite) if not finite]
    broken = [name for name, value in _named(params) if not jnp.isfinite(value).all()]
    node, field = [*broken, *gradients][0] if broken or gradients else (None, None)
    raise TrainingError(
        f"the {'gradient' if math.isfinite(loss) else 'loss'} is not finite at step {step}", node=node, field=field,
        found=f"loss {loss}",
        hint="A smaller learning rate, or optax.clip_by_global_norm before the optimizer, often helps",
    )  # fmt: skip


def _named(params: dict[str, dict[str, Array]]) -> list[tuple[tuple[str, str], Array]]:
    return [((node, field), value) for node, fields in params.items() for field, value in fields.items()]
