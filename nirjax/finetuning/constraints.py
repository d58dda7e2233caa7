"""Physical bounds on what is trained, kept by projection after each update.

    tau, tau_mem, tau_syn   at least dt where the dialect decays by Euler, positive where it decays exactly
    r                       positive
    delay                   from 0 to the longest that the model can hold
    v_threshold             above v_reset; above 0 where the dialect resets otherwise
    v_reset                 below v_threshold

Only trained parameters move. A bound that a starting value breaks is widened to that value, so that a projection
leaves the model one starts with as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.engine.model import Model, Params
from nirjax.ir.nodes import Delay
from nirjax.primitives.base import Site
from nirjax.primitives.delay import capacity

SHORTEST = 0.01
"""The shortest time constant of an exact decay, in units of dt: what is left after a step is exp(-100)."""


def projection(model: Model, params: Params) -> Callable[[Params], Params]:
    """The function that brings parameters back within their bounds.

    Args:
        model: with the starting values.
        params: the parameters that are trained, as `partition` gives them; only the names matter.

    Returns:
        a pure function of such parameters.
    """
    bounds = {
        (node, field): (_widened(low, start, np.minimum), _widened(high, start, np.maximum))
        for node, fields in params.items()
        for field in fields
        for start in [np.asarray(model.params[node][field])]
        for low, high in [_bounds(model.program.plan.sites[node], field)]
    }

    def project(trained: Params) -> Params:
        projected = {
            node: {field: jnp.clip(value, *bounds[node, field]) for field, value in fields.items()}
            for node, fields in trained.items()
        }
        for node, fields in projected.items():
            projected[node] = _threshold_above_reset(model, node, fields)
        return projected

    return project


def _bounds(site: Site, field: str) -> tuple[float | None, float | None]:
    kind = {"tau": site.rule.decay, "tau_mem": site.rule.decay, "tau_syn": site.rule.synapse_decay}.get(field)
    if kind is not None:
        return (site.dt if kind == "euler" else SHORTEST * site.dt), None
    if field == "r":
        return float(np.finfo(np.float32).tiny), None
    if field == "delay" and isinstance(site.node, Delay):
        return 0.0, capacity(site) * site.dt
    return None, None


def _widened(bound: float | None, start: np.ndarray, widen: np.ufunc) -> np.ndarray | None:
    return None if bound is None else widen(np.asarray(bound, start.dtype), start)


def _threshold_above_reset(model: Model, node: str, trained: Mapping[str, Array]) -> dict[str, Array]:
    """A trained threshold is lifted just above the reset; a reset trained alone is lowered just below the threshold."""
    fields = dict(trained)
    before = model.params[node]
    if "v_threshold" not in before or not {"v_threshold", "v_reset"} & set(fields):
        return fields
    resets = model.program.plan.sites[node].rule.reset == "v_reset" and "v_reset" in before
    floor = before["v_reset"] if resets else jnp.zeros_like(before["v_threshold"])
    ordered = np.asarray(before["v_threshold"]) > np.asarray(floor)
    if "v_threshold" in fields:
        reset = fields.get("v_reset", floor) if resets else floor
        threshold = fields["v_threshold"]
        fields["v_threshold"] = jnp.where(ordered & (threshold <= reset), _next(reset, 1), threshold)
    elif resets:
        threshold, reset = before["v_threshold"], fields["v_reset"]
        fields["v_reset"] = jnp.where(ordered & (reset >= threshold), _next(threshold, -1), reset)
    return fields


def _next(value: Array, sign: int) -> Array:
    """The nearest number above, or below for a sign of -1, that is not subnormal: XLA takes those for zero."""
    least = jnp.finfo(value.dtype).tiny  # type: ignore[no-untyped-call]
    beyond = jnp.nextafter(sign * value, jnp.asarray(jnp.inf, value.dtype))
    return sign * jnp.maximum(beyond, sign * value + least)
