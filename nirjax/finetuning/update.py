"""One step of training: loss, gradient, update, projection.

The gradient and the update are compiled apart, so that another learning rate compiles no gradient anew.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from nirjax.data.batch import Batch
from nirjax.data.placement import EVERYWHERE, Placement
from nirjax.data.processes import here
from nirjax.engine.model import Params
from nirjax.engine.schedule import Schedule
from nirjax.errors import NIRWarning, TrainingError
from nirjax.finetuning.compiling import compiled
from nirjax.finetuning.measures import measured
from nirjax.finetuning.partition import Rest, combine
from nirjax.finetuning.scoring import Scoring, transformed


@dataclass(frozen=True)
class Descent:
    """How a gradient is computed.

    Args:
        scoring: how a batch is scored; among its measures is "loss".
        truncation: time steps through which a gradient flows back at most; None is all.
        placement: the devices that share the batch: each takes the gradient of its own samples' share in the mean,
            and these are summed. None is one device.
    """

    scoring: Scoring
    truncation: int | None = None
    placement: Placement | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Graded:
    """What a batch says of the parameters.

    Args:
        gradient: of the loss, by the trained parameters.
        loss: mean over the samples that are no filling.
        sums: the loss and each metric, summed over those samples.
        count: how many those are.
        finite: for each trained parameter, whether its gradient is.
        good: the loss and all gradients are finite.
    """

    gradient: Params
    loss: Array
    sums: dict[str, Array]
    count: Array
    finite: dict[str, dict[str, Array]]
    good: Array


@dataclass(frozen=True, eq=False)
class Updated:
    """What a step gives: the parameters and the optimizer's state after it, as before where it was not finite."""

    params: Params
    optimizer_state: Any
    graded: Graded


Update = Callable[[Params, Any, Rest, Batch, Array], Updated]


def update_function(
    descent: Descent, optimizer: optax.GradientTransformation, project: Callable[[Params], Params]
) -> Update:
    """The step: `(params, optimizer_state, rest, batch, key) -> Updated`. `project` is a pytree."""
    grade = compiled(_graded, descent)
    move = compiled(_moved, optax.with_extra_args_support(optimizer))
    placement = descent.placement

    def update(params: Params, optimizer_state: Any, rest: Rest, batch: Batch, key: Array) -> Updated:
        graded = grade(params, rest, batch if placement is None else placement.placed(batch), key)
        params, state = move(project, params, optimizer_state, graded.gradient, graded.loss, graded.good)
        return Updated(params, state, graded)

    return update


def _graded(descent: Descent, params: Params, rest: Rest, batch: Batch, key: Array) -> Graded:
    placement, share = descent.placement, functools.partial(_share, descent)
    shared = share if placement is None else placement.over_batch(share, EVERYWHERE)
    (value, sums), gradient, samples = shared(params, rest, batch, key)
    finite = jax.tree.map(lambda leaf: jnp.isfinite(leaf).all(), gradient)
    good = jnp.isfinite(value) & jnp.stack(jax.tree.leaves(finite)).all()
    return Graded(gradient, value, sums, samples, finite, good)


def _share(descent: Descent, params: Params, rest: Rest, batch: Batch, key: Array) -> tuple[Any, Params, Array]:
    """Loss and sums, gradient, and number of samples, over all devices, of which each computes its own samples."""
    scoring, placement = descent.scoring, descent.placement
    total: Callable[[Any], Any] = (lambda values: values) if placement is None else placement.total
    samples = total(jnp.sum(batch.valid))

    def objective(params: Params) -> tuple[Array, dict[str, Array]]:
        model = transformed(combine(params, rest), scoring.transform, key)
        if descent.truncation is not None:
            model = model.replace(schedule=Schedule(descent.truncation, truncate=True))
        values = measured(scoring.measures.functions(model, batch), model, batch, scoring.record, graded="loss")
        sums = {name: jnp.sum(found, where=batch.valid) for name, found in values.items()}
        return sums["loss"] / samples, sums

    found, gradient = total(jax.value_and_grad(objective, has_aux=True)(params))
    return found, gradient, samples


def _moved(
    optimizer: optax.GradientTransformationExtraArgs,
    project: Callable[[Params], Params],
    params: Params,
    state: Any,
    gradient: Params,
    value: Array,
    good: Array,
) -> tuple[Params, Any]:
    def moved() -> tuple[Params, Any]:
        updates, after = optimizer.update(gradient, state, params, value=value)
        return project(optax.apply_updates(params, updates)), after

    new: tuple[Params, Any] = jax.lax.cond(good, moved, lambda: (params, state))
    return new


def check_finite(graded: Graded, params: Params, step: int) -> None:
    """Nothing, if the loss and all gradients are finite.

    Raises:
        TrainingError: the loss or a gradient is not finite; it names the step and the first such parameter.
    """
    if graded.good:
        return
    loss = float(graded.loss)
    gradients = [name for name, finite in _named(graded.finite) if not finite]
    broken = [name for name, value in _named(params) if not jnp.isfinite(value).all()]
    node, field = [*broken, *gradients][0] if broken or gradients else (None, None)
    hint = "A smaller learning rate, or optax.clip_by_global_norm before the optimizer, often helps"
    if step == 1:
        hint = (
            "It is so before any update: are dt, the dialect and the scale of x those that the graph was made for? "
            "nirjax.first_nonfinite(model, x) says where a run leaves the finite numbers"
        )
    raise TrainingError(
        f"the {'gradient' if math.isfinite(loss) else 'loss'} is not finite at step {step}", node=node, field=field,
        found=f"loss {loss}", hint=hint,
    )  # fmt: skip


def warn_of_no_gradient(gradient: Params) -> None:
    """A NIRWarning if the gradient is zero throughout: nothing will be learnt."""
    if not any(np.any(np.asarray(here(leaf))) for leaf in jax.tree.leaves(gradient)):
        warnings.warn(
            "the gradient of the first batch is zero throughout, so nothing can be learnt: does the loss depend on the "
            "output, and has it a derivative (a count of decisions has none)?",
            NIRWarning,
            stacklevel=5,
        )


def _named(params: dict[str, dict[str, Array]]) -> list[tuple[tuple[str, str], Array]]:
    return [((node, field), value) for node, fields in params.items() for field, value in fields.items()]
