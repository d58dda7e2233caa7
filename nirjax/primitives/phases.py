"""The phases of a neuron's time step, and the constants that they use.

A step is a composition of phases in the order of the node's `Discretisation`. Each phase is a function of the site,
the constants and the scratch of the step, and gives a new scratch. The scratch holds the membrane `v`, the current
`i` (of a current-based neuron), the input `x`, and after a fire the spikes `z`.

With the factors k = decay (membrane), k_syn = decay (current), g = gain r, g_syn = synapse_gain w_in:

    decay       i := k_syn i
    inject      i := i + g_syn x
    integrate   v := k v + g i + (1 - k) v_leak         (x in place of i where there is no current; k = 1 without leak)
    evolve      decay, inject and integrate at once, in closed form, with x held over the step
    fire        z := spikes of v over v_threshold
    reset       v := v_reset, or 0, where z; or v - z v_threshold
    settle      v := v - (z - z of the fire before) v_threshold
    clamp       v := max(v, lowest)

and after them, where the neuron has a refractory time of N steps, with the steps n that are left of it:

    hold        where n > 0: v := v before the step, z := 0, n := n - 1; else n := N where z
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.primitives.base import Constants, Parameters, Site

Scratch = dict[str, Array]
Phase = Callable[[Site, Constants, Scratch], Scratch]


# ------------------------------------------------------------------------------------------------------ constants


def _decay(kind: str, dt: float, tau: Array) -> Array:
    """Factor of a leak over one step: 1 - dt/tau ("euler") or exp(-dt/tau) ("exp")."""
    return 1 - dt / tau if kind == "euler" else jnp.exp(-dt / tau)


def prepare(site: Site, params: Parameters) -> Constants:
    """The constants of a neuron's phases, computed once for all steps."""
    names = type(site.node).parameter_names()
    rule, constants = site.rule, dict[str, Array]()
    membrane = next((name for name in ("tau", "tau_mem") if name in names), None)
    if membrane is None:
        step = 1.0 if rule.gain == "unit" else site.dt
        constants["gain"] = step * params["r"]
    else:
        tau = params[membrane]
        constants["keep"] = _decay(rule.decay, site.dt, tau)
        constants["gain"] = _scale(rule.gain, rule.decay, site.dt, tau) * params["r"]
        leak = 1 if rule.leak_gain == "unit" else _leak(rule.decay, site.dt, tau)
        constants["leak"] = leak * params["v_leak"]
    if "tau_syn" in names:
        tau = params["tau_syn"]
        constants["synapse_keep"] = _decay(rule.synapse_decay, site.dt, tau)
        if rule.synapse_rest == "v_leak":
            constants["synapse_leak"] = _leak(rule.synapse_decay, site.dt, tau) * params["v_leak"]
        scale = _scale(rule.synapse_gain, rule.synapse_decay, site.dt, tau)
        constants["synapse_gain"] = scale * params["w_in"]
        if "evolve" in rule.order:
            constants["crossing"] = _crossing(site.dt, tau, params[membrane or "tau_mem"])
            constants["r"], constants["w_in"] = params["r"], params["w_in"]
    for name in ("v_threshold", "v_reset"):
        if name in names:
            constants[name] = params[name]
    return constants


def _leak(kind: str, dt: float, tau: Array) -> Array:
    """1 - decay, without the loss of digits that subtracting would bring."""
    return dt / tau if kind == "euler" else -jnp.expm1(-dt / tau)


def _scale(gain: str, decay: str, dt: float, tau: Array) -> Array:
    """Factor on an input: "native" 1 - decay, "euler" dt/tau, "unit" 1."""
    if gain == "unit":
        return jnp.ones_like(tau)
    return _leak("euler" if gain == "euler" else decay, dt, tau)


def _crossing(dt: float, tau_syn: Array, tau_mem: Array) -> Array:
    """How much of the current's excess over its steady value reaches the membrane in one step.

    m (exp(-s) - exp(-m)) / (m - s) with m = dt/tau_mem and s = dt/tau_syn; where m and s are near each other, as
    m exp(-(m + s)/2) sinh(x)/x with x = (m - s)/2, by its series, which is finite and smooth at m = s.
    """
    m, s = dt / tau_mem, dt / tau_syn
    near = jnp.abs(m - s) < 0.5
    square = ((jnp.where(near, m - s, 0)) / 2) ** 2
    series = 1 + square / 6 * (1 + square / 20 * (1 + square / 42 * (1 + square / 72)))
    direct = (jnp.exp(-s) - jnp.exp(-m)) / jnp.where(near, 1, m - s)
    return m * jnp.where(near, jnp.exp(-(m + s) / 2) * series, direct)


# --------------------------------------------------------------------------------------------------------- phases


def decay(site: Site, constants: Constants, s: Scratch) -> Scratch:
    """i := k_syn i, or towards v_leak where that is the current's rest."""
    if "i" not in s:
        return s
    i = constants["synapse_keep"] * s["i"]
    return {**s, "i": i + constants["synapse_leak"] if "synapse_leak" in constants else i}


def inject(site: Site, constants: Constants, s: Scratch) -> Scratch:
    """i := i + g_syn x."""
    return {**s, "i": s["i"] + constants["synapse_gain"] * s["x"]} if "i" in s else s


def integrate(site: Site, constants: Constants, s: Scratch) -> Scratch:
    """v := k v + g i + (1 - k) v_leak."""
    driven = constants["gain"] * (s["i"] if "i" in s else s["x"])
    if "keep" not in constants:
        return {**s, "v": s["v"] + driven}
    return {**s, "v": constants["keep"] * s["v"] + driven + constants["leak"]}


def evolve(site: Site, constants: Constants, s: Scratch) -> Scratch:
    """The closed form over one step with x held: i to i_inf + (i - i_inf) k_syn, and v along with it.

    With i_inf = w_in x: v := v_leak + r i_inf + (v - v_leak - r i_inf) k + r (i - i_inf) c, where c is `_crossing`.
    """
    if "i" not in s:
        return integrate(site, constants, s)
    steady = constants["w_in"] * s["x"]
    excess = s["i"] - steady
    v = constants["keep"] * s["v"] + constants["gain"] * steady + constants["leak"]
    v = v + constants["r"] * constants["crossing"] * excess
    return {**s, "v": v, "i": steady + constants["synapse_keep"] * excess}


def fire(site: Site, constants: Constants, s: Scratch) -> Scratch:
    """z := spikes of v over v_threshold."""
    if "v_threshold" not in constants:
        return s
    before = {"z_before": s["z"]} if "z" in s else {}
    return {**s, **before, "z": site.spike(s["v"], constants["v_threshold"])}


def reset(site: Site, constants: Constants, s: Scratch) -> Scratch:
    """v := v_reset where z ("v_reset"), 0 where z ("zero"), v - z v_threshold ("subtract").

    As products, not as choices, so that z passes a gradient; and an infinite v becomes NaN, not v_reset.
    """
    if "z" not in s or site.rule.reset == "none":
        return s
    v, z = s["v"], s["z"]
    if site.rule.reset == "subtract":
        return {**s, "v": v - z * constants["v_threshold"]}
    if site.rule.spikes == "many":
        z = jnp.minimum(z, 1)
    if site.rule.reset == "zero":
        return {**s, "v": v * (1 - z)}
    return {**s, "v": v * (1 - z) + constants["v_reset"] * z}


def settle(site: Site, constants: Constants, s: Scratch) -> Scratch:
    """v := v - (z - z of the fire before) v_threshold: a reset that undoes the one it follows."""
    if "z" not in s:
        return s
    return {**s, "v": s["v"] - (s["z"] - s["z_before"]) * constants["v_threshold"]}


def clamp(site: Site, constants: Constants, s: Scratch) -> Scratch:
    """v := max(v, lowest)."""
    lowest = site.rule.lowest
    if lowest is None or "v_threshold" not in constants:
        return s
    bound = -constants["v_threshold"] if isinstance(lowest, str) else lowest
    return {**s, "v": jnp.maximum(s["v"], bound)}


PHASES: dict[str, Phase] = {
    phase.__name__: phase for phase in (decay, inject, integrate, evolve, fire, reset, settle, clamp)
}


def compose(site: Site, constants: Constants, scratch: Scratch) -> Scratch:
    """One time step: the phases in the order of the site's discretisation."""
    for place, name in enumerate(site.rule.order):
        phase = PHASES[name]
        if place in site.rule.detached and "v_threshold" in constants:
            scratch = _detached(phase, name, site, constants, scratch)
        else:
            scratch = phase(site, constants, scratch)
    return scratch


def hold(site: Site, before: Scratch, s: Scratch) -> Scratch:
    """The refractory time: where n > 0, v as before the step, no spike, n - 1; else n := N where z, 0 elsewhere."""
    held = before["refractory"] > 0
    z = jnp.where(held, 0, s["z"])
    left = jnp.where(held, before["refractory"] - 1, jnp.where(jax.lax.stop_gradient(z) > 0, site.rule.refractory, 0))
    return {**s, "v": jnp.where(held, before["v"], s["v"]), "z": z, "refractory": left.astype(z.dtype)}


def _detached(phase: Phase, name: str, site: Site, constants: Constants, s: Scratch) -> Scratch:
    """A fire whose spikes, or a reset whose reading of the spikes, passes no gradient."""
    if name == "fire":
        after = phase(site, constants, s)
        return {**after, "z": jax.lax.stop_gradient(after["z"])}
    return {**phase(site, constants, {**s, "z": jax.lax.stop_gradient(s["z"])}), "z": s["z"]}
