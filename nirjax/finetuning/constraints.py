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
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.engine.model import Model, Params
from nirjax.ir.nodes import Delay
from nirjax.primitives.base import Site
from nirjax.primitives.delay import capacity

SHORTEST = 0.01
"""The shortest time constant of an exact decay, in units of dt: what is left after a step is exp(-100)."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Order:
    """Threshold above reset, at one node.

    Args:
        threshold, reset: the starting values, for what of them is not trained.
        ordered: where the starting values are in that order.
        resets: the dialect resets to the reset; otherwise the threshold is to be above zero.
    """

    threshold: Array
    reset: Array
    ordered: Array
    resets: bool = field(metadata={"static": True})


def projection(model: Model, params: Params) -> Callable[[Params], Params]:
    """The function that brings parameters back within their bounds.

    Args:
        model: with the starting values.
        params: the parameters that are trained, as `partition` gives them; only the names matter.

    Returns:
        a pure function of such parameters, and a pytree of the bounds, so that jit can take it as an argument.
    """
    low: dict[str, dict[str, Array | None]] = {}
    high: dict[str, dict[str, Array | None]] = {}
    for node, fields in params.items():
        for name in fields:
            start = np.asarray(model.params[node][name])
            least, most = _bounds(model.program.plan.sites[node], name)
            low.setdefault(node, {})[name] = _widened(least, start, np.minimum)
            high.setdefault(node, {})[name] = _widened(most, start, np.maximum)
    trained = [node for node, fields in params.items() if {"v_threshold", "v_reset"} & set(fields)]
    orders = {node: _order(model, node) for node in trained if "v_threshold" in model.params[node]}
    return jax.tree_util.Partial(_projected, low, high, orders)  # type: ignore[no-untyped-call]


def _projected(low: Any, high: Any, orders: Mapping[str, Order], trained: Params) -> Params:
    projected = {
        node: {name: jnp.clip(value, low[node][name], high[node][name]) for name, value in fields.items()}
        for node, fields in trained.items()
    }
    return projected | {node: _in_order(order, projected[node]) for node, order in orders.items()}


def _bounds(site: Site, name: str) -> tuple[float | None, float | None]:
    kind = {"tau": site.rule.decay, "tau_mem": site.rule.decay, "tau_syn": site.rule.synapse_decay}.get(name)
    if kind is not None:
        return (site.dt if kind == "euler" else SHORTEST * site.dt), None
    if name == "r":
        return float(np.finfo(np.float32).tiny), None
    if name == "delay" and isinstance(site.node, Delay):
        return 0.0, capacity(site) * site.dt
    return None, None


def _widened(bound: float | None, start: np.ndarray, widen: np.ufunc) -> Array | None:
    return None if bound is None else jnp.asarray(widen(np.asarray(bound, start.dtype), start))


def _order(model: Model, node: str) -> Order:
    before = model.params[node]
    resets = model.program.plan.sites[node].rule.reset == "v_reset" and "v_reset" in before
    threshold = before["v_threshold"]
    reset = before["v_reset"] if resets else jnp.zeros_like(threshold)
    return Order(threshold, reset, jnp.asarray(threshold > reset), resets)


def _in_order(order: Order, trained: Mapping[str, Array]) -> dict[str, Array]:
    """A trained threshold is lifted just above the reset; a reset trained alone is lowered just below the threshold."""
    fields = dict(trained)
    if "v_threshold" in fields:
        reset = fields.get("v_reset", order.reset) if order.resets else order.reset
        threshold = fields["v_threshold"]
        fields["v_threshold"] = jnp.where(order.ordered & (threshold <= reset), _next(reset, 1), threshold)
    elif order.resets:
        reset = fields["v_reset"]
        fields["v_reset"] = jnp.where(order.ordered & (reset >= order.threshold), _next(order.threshold, -1), reset)
    return fields


def _next(value: Array, sign: int) -> Array:
    """The nearest number above, or below for a sign of -1, that is not subnormal: XLA takes those for zero."""
    least = jnp.finfo(value.dtype).tiny  # type: ignore[no-untyped-call]
    beyond = jnp.nextafter(sign * value, jnp.asarray(jnp.inf, value.dtype))
    return sign * jnp.maximum(beyond, sign * value + least)
