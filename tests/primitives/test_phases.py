"""Orders and kinds of phases against the oracle's rules, which say it in other words, and against their equations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from engine.graphs import as_dict, graph

import nirjax
from nirjax.dialects import Dialect, Discretisation, Rule
from nirjax.errors import ArgumentError
from nirjax.ir import nodes as ir
from primitives.sites import params_of, primitive_of, site_of

RANGES = {"tau": (2, 8), "tau_syn": (2, 6), "tau_mem": (2, 8), "r": (0.5, 1.5), "w_in": (0.8, 2)}
RANGES |= {"v_leak": (-0.1, 0.2), "v_threshold": (0.4, 0.8), "v_reset": (-0.2, 0.3)}
GAINS = {ir.LIF: 3, ir.CubaLIF: 4, ir.LI: 3, ir.CubaLI: 4, ir.IF: 0.5, ir.I: 0.5}


def six_neurons() -> Any:
    """One layer of each kind of neuron, each between the same Input and an Output of its own."""
    rng = np.random.default_rng(5)
    nodes: dict[str, ir.NIRNode] = {"in": ir.Input((4,))}
    for cls, gain in GAINS.items():
        fields = {name: rng.uniform(*RANGES[name], 4) for name in cls.parameter_names()}
        nodes[cls.__name__.lower()] = cls(**{**fields, "r": fields["r"] * gain})
    paths = [f"in {name} to_{name}" for name in list(nodes)[1:]]
    return graph(nodes | {path.split()[-1]: ir.Output((4,)) for path in paths}, *paths)


LATE = {"order": ("fire", "decay", "inject", "integrate", "reset", "fire")}
MANY = {"order": ("inject", "decay", "integrate", "fire", "reset", "clamp"), "lowest": -0.25, "spikes": "many"}
MANY |= {"reset": "subtract", "comparison": ">=", "decay": "exp", "synapse_decay": "exp"}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the default": ({}, {}),
    "exponential": ({"decay": "exp", "synapse_decay": "exp"}, {"integrator": "exp"}),
    "reset to zero": ({"reset": "zero"}, {"reset": "zero"}),
    "by subtraction, at ties too": ({"reset": "subtract", "comparison": ">="}, {"reset": "subtract", "cmp": ">="}),
    "the current's old value": ({"order": ("integrate", "decay", "inject", "fire", "reset")}, {"order": "v_first"}),
    "jump, then decay": ({"order": ("inject", "integrate", "decay", "fire", "reset")}, {"order": "jump"}),
    "many, clamped": (
        MANY,
        {"syn_add": "before", "reset": "multi", "cmp": ">=", "v_min": -0.25, "integrator": "exp"},
    ),
    "subtracted a step later": ({**LATE, "reset": "subtract"}, {"reset": "subtract", "reset_when": "delayed"}),
    "to v_reset a step later": (LATE, {"reset_when": "delayed"}),
    "to zero before the update": (
        {"order": ("fire", "reset", "decay", "inject", "integrate", "fire"), "reset": "zero"},
        {"reset": "zero_pre", "reset_when": "delayed"},
    ),
    "settled": (
        {"order": (*LATE["order"], "settle"), "reset": "subtract"},
        {"reset": "subtract", "reset_when": "settle"},
    ),
    "fire first, reset last": (
        {"order": ("fire", "decay", "inject", "integrate", "reset"), "reset": "subtract"},
        {"spike_from": "pre", "reset": "subtract", "reset_when": "delayed"},
    ),
    "fire and reset first": (
        {"order": ("fire", "reset", "decay", "inject", "integrate")},
        {"spike_from": "pre", "reset_when": "same"},
    ),
    "three steps of rest after a spike": ({"refractory": 3}, {"refractory": 3}),
    "fire first, then two steps of rest": (
        {"order": ("fire", "reset", "decay", "inject", "integrate"), "refractory": 2},
        {"spike_from": "pre", "reset_when": "same", "refractory": 2},
    ),
    "the input as it is": (
        {"gain": "unit", "synapse_gain": "unit", "assumed": (("r", 1.0), ("w_in", 1.0))},
        {"gain": "abs1", "syn_gain": "abs1", "if_gain": "r"},
    ),
    "from the leak": ({"start": "v_leak"}, {"v_init": "v_leak"}),
    "from the reset": ({"start": "v_reset"}, {"v_init": "v_reset"}),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES)
def test_orders_and_kinds(case: str) -> None:
    fields, rules = CASES[case]
    made = six_neurons()
    x = np.random.default_rng(2).normal(0.4, 0.8, (25, 2, 4))
    content = as_dict(made)
    if "assumed" in fields:  # the oracle has no word for it where nothing leaks
        for name in ("if", "i"):
            content["nodes"][name]["r"] = np.ones(4)
    expected, traces = oracle.run(content, x, dt=1.0, rules=rules, record=True)
    dialect = Dialect(case, rules=(Rule("*", Discretisation(**fields)),))
    model = nirjax.from_nir(made, dt=1, dtype="float64", dialect=dialect)
    run = model.run(x, record=["*.v", "*.i"])
    rate = np.mean([traces[name] > 0 for name in traces if name.endswith(".spikes")])
    assert 0.01 <= rate <= 0.6
    for name, trace in run.traces.items():
        if "clamp" in case and name.removesuffix(".v") not in ("lif", "cubalif", "if"):
            continue  # a membrane that never fires is left alone
        np.testing.assert_allclose(trace, traces[name], rtol=1e-9, atol=1e-9, err_msg=name)
    for name in ("to_lif", "to_cubalif", "to_if"):
        np.testing.assert_array_equal(run.output[name], expected[name], err_msg=name)


# ------------------------------------------------------------------------------------- what the oracle has no word for


def neuron(**rule: Any) -> Any:
    """One CubaLIF, its constants and its step: (state, x) -> (state, z)."""
    values = {"tau_syn": 2, "tau_mem": 4, "r": 3, "v_leak": 0.5, "v_threshold": 1, "v_reset": 0.25, "w_in": 5}
    node = ir.CubaLIF(**{name: np.float32(value) for name, value in values.items()})
    site = site_of(node, (), rule=rule)
    primitive, constants = primitive_of(site), primitive_of(site).prepare(site, params_of(site))
    return lambda v, i, x=0.0: primitive.step(site, constants, {"v": jnp.float32(v), "i": jnp.float32(i)}, x)


def test_one_step_by_hand() -> None:
    """i = 1/2 0.5 + 5/2 0.125 = 0.5625; v = 3/4 0.25 + 3/4 0.5625 + 1/4 0.5 = 0.734375, and a second step fires."""
    step = neuron()
    state, z = step(0.25, 0.5, 0.125)
    assert (float(state["i"]), float(state["v"]), float(z)) == (0.5625, 0.734375, 0)
    state, z = step(state["v"], state["i"], 0.125)
    assert (float(state["i"]), float(state["v"]), float(z)) == (0.59375, 0.25, 1)


@pytest.mark.parametrize(
    ("kinds", "i", "v"),
    [
        ({"gain": "euler", "decay": "exp"}, 1.5, np.exp(-0.25) * 0.5 + 3 / 4 * 1.5 - np.expm1(-0.25) * 0.5),
        ({"gain": "unit"}, 1.5, 0.75 * 0.5 + 3 * 1.5 + 0.125),
        ({"synapse_gain": "unit"}, 2.75, 0.75 * 0.5 + 0.75 * 2.75 + 0.125),
        ({"synapse_gain": "euler", "synapse_decay": "exp"}, np.exp(-0.5) * 0.5 + 1.25, None),
    ],
)
def test_gains(kinds: dict[str, str], i: float, v: float | None) -> None:
    state, _ = neuron(order=("decay", "inject", "integrate"), **kinds)(0.5, 0.5, 0.5)
    assert float(state["i"]) == pytest.approx(i, rel=1e-6)
    assert v is None or float(state["v"]) == pytest.approx(v, rel=1e-6)


@pytest.mark.parametrize(
    ("reset", "spikes", "after"),
    [
        *(("v_reset", "one", 0.25), ("zero", "one", 0.0), ("subtract", "one", 1.5), ("none", "one", 2.5)),
        *(("v_reset", "many", 0.25), ("zero", "many", 0.0), ("subtract", "many", 0.5), ("none", "many", 2.5)),
    ],
)
def test_resets(reset: str, spikes: str, after: float) -> None:
    state, z = neuron(order=("fire", "reset"), reset=reset, spikes=spikes)(2.5, 0)
    assert (float(state["v"]), float(z)) == (after, 2 if spikes == "many" else 1)
    state, z = neuron(order=("fire", "reset"), reset=reset, spikes=spikes)(-2.5, 0)
    assert (float(state["v"]), float(z)) == (-2.5, 0)


def test_a_detached_fire_passes_no_gradient() -> None:
    """The first fire only resets: v' = v - z threshold, with dz/dv = g(v - threshold) unless it is detached."""
    order = ("fire", "reset", "fire")
    g = float(nirjax.surrogate.atan().derivative(jnp.float32(1.25 - 1)))
    for detached, expected in (((), 1 - g), ((0,), 1), ((2,), 1 - g), ((0, 2), 1)):
        step = neuron(order=order, reset="subtract", detached=detached)
        derivative = jax.grad(lambda v, step=step: step(v, 0.0)[0]["v"])(1.25)
        assert float(derivative) == pytest.approx(expected, rel=1e-6)
        of_spikes = float(jax.grad(lambda v, step=step: step(v, 0.0)[1])(1.25))
        assert (of_spikes == 0) == (2 in detached)


def test_the_output_is_what_the_last_fire_gives() -> None:
    step = neuron(order=("fire", "reset", "integrate", "fire"))
    assert float(step(1.5, 0)[1]) == 0
    assert float(step(0.5, 10)[1]) == 1


@pytest.mark.parametrize(
    "kinds",
    [
        *({"order": ("fire", "spike")}, {"decay": "linear"}, {"gain": "abs1"}, {"synapse_gain": ""}, {"start": "v"}),
        *({"comparison": ">>"}, {"spikes": "few"}, {"reset": "soft"}),
    ],
    ids=lambda kinds: next(iter(kinds)),
)
def test_a_kind_that_is_none_lists_the_kinds(kinds: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="one of") as caught:
        Discretisation(**kinds)
    assert caught.value.field == next(iter(kinds))
