"""Neurons: LIF, CubaLIF, IF, and the spikeless LI, CubaLI and I.

    LIF       tau dv/dt = (v_leak - v) + r x;  spike where v > v_threshold, then v := v_reset
    CubaLIF   tau_syn di/dt = -i + w_in x;  tau_mem dv/dt = (v_leak - v) + r i;  spike and reset as LIF
    IF        dv/dt = r x;  spike and reset as LIF
    LI, CubaLI, I   the same without spikes; the output is v

All are one step, composed of the phases of their discretisation (`nirjax.primitives.phases`). The default one is
forward Euler: i := i + dt/tau_syn (w_in x - i); u := v + dt/tau_mem (v_leak - v + r i); z := u > v_threshold;
v := v_reset where z, else u. State starts at v = 0, i = 0.

Shapes: x, v, i and the output are (*batch, *shape). Source: https://neuroir.org/docs/primitives.html.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.ir.nodes import IF, LI, LIF, CubaLI, CubaLIF, I, NIRNode, Shape
from nirjax.primitives.base import Constants, Parameters, Primitive, Site, State
from nirjax.primitives.phases import compose, hold, prepare


def init(site: Site, params: Parameters, batch: Shape) -> State:
    """v at the discretisation's start, i = 0."""
    names = type(site.node).parameter_names()
    shape = (*batch, *site.output_shape)
    start = params[site.rule.start] if site.rule.start in names else jnp.zeros((), site.dtype)
    if site.rule.detached_start:
        start = jax.lax.stop_gradient(start)
    state = {"v": jnp.broadcast_to(start, shape)}
    if "tau_syn" in names:
        rest = params["v_leak"] if site.rule.synapse_rest == "v_leak" else jnp.zeros((), site.dtype)
        state["i"] = jnp.broadcast_to(rest, shape)
    if site.rule.refractory and type(site.node).spiking:
        state["refractory"] = jnp.zeros(shape, site.dtype)
    return state


def step(site: Site, constants: Constants, state: State, x: Array) -> tuple[State, Array]:
    """One time step: the new state, and the spikes (or the membrane, where there is no threshold)."""
    scratch = compose(site, constants, {**state, "x": x})
    if "refractory" in state:
        scratch = hold(site, state, scratch)
    return {name: scratch[name] for name in state}, scratch.get("z", scratch["v"])


def waits(site: Site) -> bool:
    """A neuron that fires before it integrates gives an output that its present input cannot change."""
    return type(site.node).spiking and site.rule.fires_first


def _neuron(node: type[NIRNode]) -> Primitive:
    variables = ("v", "i") if "tau_syn" in node.parameter_names() else ("v",)
    return Primitive(
        node,
        init=init,
        step=step,
        prepare=prepare,
        variables=variables,
        spiking=node.spiking,
        elementwise=True,
        waits=waits,
    )


NEURONS = tuple(_neuron(node) for node in (LIF, CubaLIF, IF, LI, CubaLI, I))
