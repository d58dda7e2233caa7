"""One time step of the nodes with a membrane: LIF, CubaLIF, LI, CubaLI, IF, I.

`rules` says which discrete semantics; what a dict of rules leaves out is as in DEFAULT_RULES (nirjax's own default dialect).

    integrator  "euler": a membrane (current) keeps the share 1 - dt/tau of itself in a step; "exp": exp(-dt/tau)
    gain        what multiplies the input of a leaky membrane: "native": r (1 - share kept); "abs1": 1, r unused
    syn_gain    the same for the current: "native": w_in (1 - share kept); "abs1": 1, w_in unused
    if_gain     IF, I: "dt": dt r; "r": r
    order       "I_first": the membrane sees the new current; "v_first": the old; "jump": current plus input, which then decays
    syn_add     "after": I = share I + input; "before": I = share (I + input)
    spike_from  "post": the updated membrane; "pre": the membrane as it was before this step's update
    reset       "v_reset", "zero" or "subtract" (the threshold); "multi": n = floor(v / threshold) spikes at once, n thresholds
                subtracted; "zero_pre": with reset_when "delayed" or "settle", to zero before the update instead of after it
    reset_when  "same": in the step of the spike (with spike_from "pre": before the update)
                "delayed": in the next step (with spike_from "pre": in the step of the spike, but after the update)
                "settle": as delayed, then at the end of the step once more by the new spike less the reset already applied
    cmp         ">" or ">=": how the membrane is compared with the threshold
    v_init      the membrane at the start: "zero", "v_leak", "v_reset"
    v_min       lower bound of the membrane, imposed at the end of a step; None for none
    refractory  the number of steps after a spike in which the membrane stays where it is and nothing is emitted
"""

import numpy as np

DEFAULT_RULES = {
    "integrator": "euler",
    "gain": "native",
    "syn_gain": "native",
    "if_gain": "dt",
    "order": "I_first",
    "syn_add": "after",
    "spike_from": "post",
    "reset": "v_reset",
    "reset_when": "same",
    "cmp": ">",
    "v_init": "zero",
    "v_min": None,
    "refractory": 0,
}

SPIKING = {"LIF", "CubaLIF", "IF"}
WITH_CURRENT = {"CubaLIF", "CubaLI"}
LEAKY = {"LIF", "LI", "CubaLIF", "CubaLI"}
NEURONS = SPIKING | WITH_CURRENT | LEAKY | {"I"}


def complete(rules):
    """The rules with the defaults filled in; an unknown key is an error."""
    unknown = set(rules) - set(DEFAULT_RULES)
    if unknown:
        raise ValueError(f"unknown rules: {sorted(unknown)}")
    rules = {**DEFAULT_RULES, **rules}
    if rules["reset"] == "multi" and rules["cmp"] != ">=":
        raise ValueError("several spikes in one step are counted by v >= n threshold: cmp must be '>='")
    return rules


def initial_state(node, shape, dtype, rules):
    """v by `v_init` (zero where the node has no such parameter), I = 0."""
    start = 0 if rules["v_init"] == "zero" else node.get(rules["v_init"], 0)
    state = {"v": np.zeros(shape, dtype) + np.asarray(start, dtype)}
    if node["type"] in WITH_CURRENT:
        state["i"] = np.zeros(shape, dtype)
    if rules["refractory"] and node["type"] in SPIKING:
        state["refractory"] = np.zeros(shape, dtype)
    return state


def step(node, state, x, dt, rules):
    """(output, new state, margin): the margin is how near any comparison came to going the other way (None without one)."""
    drive, new = _current(node, state, x, dt, rules)
    if node["type"] not in SPIKING:
        new["v"] = _clamp(_integrate(node, state["v"], drive, dt, rules), rules)
        return new["v"], new, None
    spikes, new["v"], compared = _spiking_membrane(node, state["v"], drive, dt, rules)
    if rules["refractory"]:
        resting = state["refractory"] > 0
        spikes[resting] = 0
        new["v"][resting] = state["v"][resting]
        new["refractory"] = np.where(spikes > 0, rules["refractory"], np.maximum(state["refractory"] - 1, 0))
    return spikes, new, np.min([_margin(node, v, rules) for v in compared], axis=0)


def emitted_before(node, state, rules):
    """What a neuron with spike_from "pre" emits in the coming step; it does not depend on that step's input."""
    spikes = _fire(node, state["v"], rules)
    return np.where(state["refractory"] > 0, 0, spikes) if rules["refractory"] else spikes


def _current(node, state, x, dt, rules):
    """(what drives the membrane, {"i": the new current}): tau_syn dI/dt = -I + w_in x. Without a current, x drives."""
    if node["type"] not in WITH_CURRENT:
        return x, {}
    lost = _share_lost(node["tau_syn"], dt, rules)
    kept = 1 - lost
    x = x if rules["syn_gain"] == "abs1" else node.get("w_in", x.dtype.type(1)) * lost * x
    if rules["order"] == "jump":
        return state["i"] + x, {"i": kept * (state["i"] + x)}
    new = kept * (state["i"] + x) if rules["syn_add"] == "before" else kept * state["i"] + x
    return (new if rules["order"] == "I_first" else state["i"]), {"i": new}


def _integrate(node, v, drive, dt, rules):
    """tau dv/dt = (v_leak - v) + r drive, or dv/dt = r drive for IF and I."""
    if node["type"] not in LEAKY:
        return v + (dt * node["r"] if rules["if_gain"] == "dt" else node["r"]) * drive
    lost = _share_lost(node["tau" if "tau" in node else "tau_mem"], dt, rules)
    gain = 1 if rules["gain"] == "abs1" else node["r"] * lost
    return v + lost * (node["v_leak"] - v) + gain * drive


def _share_lost(tau, dt, rules):
    """The share of itself that a decaying quantity loses in one step."""
    return dt / tau if rules["integrator"] == "euler" else -np.expm1(-dt / tau)


def _spiking_membrane(node, v, drive, dt, rules):
    """(spikes, the membrane after the step, the membranes that were compared with the threshold)."""

    def integrate(v):
        return _integrate(node, v, drive, dt, rules)

    def fire(v):
        return _fire(node, v, rules)

    def reset(v, spikes):
        return _reset(node, v, spikes, rules["reset"])

    when, before_update = rules["reset_when"], rules["reset"] == "zero_pre"
    if rules["spike_from"] == "pre":
        spikes, compared = fire(v), [v]
        new = integrate(reset(v, spikes)) if when == "same" else reset(integrate(v), spikes)
    elif when == "same":
        u = integrate(v)
        spikes, compared = fire(u), [u]
        new = reset(u, spikes)
    else:
        late = fire(v)
        u = integrate(reset(v, late)) if before_update else reset(integrate(v), late)
        spikes, compared = fire(u), [v, u]
        new = u if when == "delayed" else _settle(node, u, spikes - late, rules["reset"])
    return spikes, _clamp(new, rules), compared


def _fire(node, v, rules):
    """1 where v > threshold (or >=); under "multi" the number of thresholds that fit into v, none if v is negative."""
    if rules["reset"] == "multi":
        return np.maximum(np.floor(v / node["v_threshold"]), 0)
    fired = v > node["v_threshold"] if rules["cmp"] == ">" else v >= node["v_threshold"]
    return fired.astype(v.dtype)


def _reset(node, v, spikes, kind):
    """The membrane after `spikes` spikes."""
    if kind in ("subtract", "multi"):
        return v - spikes * node["v_threshold"]
    return np.where(spikes > 0, node.get("v_reset", 0) if kind == "v_reset" else 0, v).astype(v.dtype)


def _settle(node, v, difference, kind):
    """snnTorch's reset without delay: v - d threshold, or v - d v, where d is +1, 0 or -1: an early reset may be undone."""
    return v - difference * (node["v_threshold"] if kind == "subtract" else v)


def _clamp(v, rules):
    return v if rules["v_min"] is None else np.maximum(v, v.dtype.type(rules["v_min"]))


def _margin(node, v, rules):
    """Distance to the nearest value at which the number of spikes changes: the threshold; under "multi" its multiples."""
    threshold = node["v_threshold"]
    if rules["reset"] == "multi":
        return np.abs(v - np.maximum(np.round(v / threshold), 1) * threshold)
    return np.abs(v - threshold)
