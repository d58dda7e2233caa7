"""The state of a run: what its nodes and its registers carry from step to step."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array

from nirjax.engine.lowering import Plan
from nirjax.ir.nodes import Shape
from nirjax.primitives.base import Parameters, State

Params = Mapping[str, Mapping[str, Array]]
States = dict[str, State]

REGISTER = "register"


def register_name(edge: tuple[str, str]) -> str:
    """Under which name the state keeps what a feedback edge carries."""
    return f"{edge[0]} -> {edge[1]}"


def initial_state(plan: Plan, params: Params, batch: Shape) -> States:
    """Where a run starts: each stateful node's own start, and each register at rest or at zero."""
    states = {
        name: primitive.init(plan.sites[name], taken(plan, params, name), batch)
        for name, primitive in plan.primitives.items()
        if primitive.init is not None
    }
    resting: dict[str, Array] = {}
    for edge in plan.registers:
        site = plan.sites[edge[0]]
        value = jnp.zeros(site.output_shape, site.dtype)
        if plan.start == "rest":
            value = _at_rest(plan, params, edge[0], resting)
        states[register_name(edge)] = {REGISTER: jnp.broadcast_to(value, (*batch, *site.output_shape))}
    return states


def taken(plan: Plan, params: Params, name: str) -> Parameters:
    """A node's parameters, as its dialect takes them."""
    return plan.sites[name].taken(params.get(name, {}))


def _at_rest(plan: Plan, params: Params, name: str, known: dict[str, Array]) -> Array:
    """What a node emits when nothing has spiked and every input is zero."""
    site, primitive = plan.sites[name], plan.primitives[name]
    if name in known:
        return known[name]
    known[name] = jnp.zeros(site.output_shape, site.dtype)
    if primitive.init is not None and not primitive.spiking:
        known[name] = primitive.init(site, taken(plan, params, name), ()).get("v", known[name])
    if primitive.apply is not None:
        x = jnp.zeros(site.input_shape, site.dtype)
        for source in plan.sources[name]:
            x = x + _at_rest(plan, params, source, known)
        known[name] = primitive.apply(site, taken(plan, params, name), x)
    return known[name]
