"""Layers: which weights enter which neurons, and what the neurons make of what enters them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from nirjax.engine.lowering import Plan
from nirjax.ir.nodes import IF, LI, LIF, CubaLI, CubaLIF, Delay, I, NIRNode
from nirjax.primitives.base import Site
from nirjax.primitives.phases import prepare


@dataclass(frozen=True)
class Layer:
    """Neurons, and the weights that enter them, alone or with others.

    Attributes:
        neurons: node paths; none for weights behind which there is no neuron.
        weights: node paths; none for neurons that no weights enter.
    """

    neurons: tuple[str, ...]
    weights: tuple[str, ...]


def has_weight(node: NIRNode) -> bool:
    """Is it a linear map or a convolution?"""
    return "weight" in type(node).parameter_names()


def layers_of(plan: Plan) -> tuple[Layer, ...]:
    """The layers of a plan, in file order. What lies between weights and neurons without weights or a state of its
    own, such as a pooling, is passed through; a Delay too. Weights that enter two neurons join them into one layer."""
    entered = {
        name: frozenset(_neurons_behind(plan, name)) for name, site in plan.sites.items() if has_weight(site.node)
    }
    groups: list[tuple[set[str], list[str]]] = []
    for name in plan.sites:
        if name not in entered and not _is_neuron(plan, name):
            continue
        neurons, weights = {name} if name not in entered else set(entered[name]), [name] if name in entered else []
        joined = [group for group in groups if group[0] & neurons]
        groups = [group for group in groups if group not in joined]
        for group in joined:
            neurons |= group[0]
            weights = [*group[1], *weights]
        groups.append((neurons, weights))
    order = {name: place for place, name in enumerate(plan.sites)}
    made = [Layer(tuple(sorted(n, key=order.__getitem__)), tuple(sorted(w, key=order.__getitem__))) for n, w in groups]
    return tuple(sorted(made, key=lambda layer: min(order[name] for name in (*layer.neurons, *layer.weights))))


def gain(site: Site, params: Mapping[str, Array]) -> Array:
    """What a neuron's membrane takes of its input in one step, by its discretisation: dt/tau r for an Euler LIF, times
    dt/tau_syn w_in for a CubaLIF; 1 for neurons of one's own. Shaped as the parameters are."""
    if not isinstance(site.node, LIF | CubaLIF | IF | LI | CubaLI | I):
        return jnp.ones((), site.dtype)
    constants = prepare(site, site.taken(params))
    total = constants["gain"] * constants.get("synapse_gain", jnp.ones((), constants["gain"].dtype))
    return jnp.where(total > 0, total, 1)


def _is_neuron(plan: Plan, name: str) -> bool:
    return plan.primitives[name].stateful and not isinstance(plan.sites[name].node, Delay)


def _neurons_behind(plan: Plan, weights: str) -> Iterator[str]:
    after: dict[str, list[str]] = {}
    for name, sources in plan.sources.items():
        for source in sources:
            after.setdefault(source, []).append(name)
    todo, seen = list(after.get(weights, ())), set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if _is_neuron(plan, name):
            yield name
        elif not has_weight(plan.sites[name].node):
            todo += after.get(name, ())
