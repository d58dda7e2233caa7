"""Neurons against answers that can be written down."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import filled

from nirjax.dialects import exact
from nirjax.ir import nodes as ir
from primitives.sites import params_of, primitive_of, run, site_of

STEPS = np.arange(1, 31)
EXACT = exact().rules[0].discretisation


def held(value: float, steps: int = 30) -> np.ndarray:
    return np.full((steps, 1), value)


@pytest.fixture(autouse=True)
def double_precision(x64: None) -> None:
    """All of this file in float64."""


def double(node: ir.NIRNode, x: np.ndarray, **choices: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    return run(node, x, dtype=jnp.float64, **choices)


def test_an_integrator_integrates() -> None:
    x = np.random.default_rng(0).normal(size=(30, 1))
    y, states = double(filled(ir.I, 1, np.float64, r=3), x, dt=0.25)
    np.testing.assert_allclose(y, 0.25 * 3 * np.cumsum(x, 0), rtol=1e-12)
    np.testing.assert_array_equal(states["v"], y)


KEPT = [({}, 1 - 0.1 / 0.5), ({"decay": "exp"}, math.exp(-0.1 / 0.5)), (EXACT, math.exp(-0.1 / 0.5))]


@pytest.mark.parametrize(("rule", "kept"), KEPT)
def test_the_step_response_of_a_leaky_integrator(rule: Any, kept: float) -> None:
    y, _ = double(filled(ir.LI, 1, np.float64, tau=0.5, r=3, v_leak=0.25), held(2), dt=0.1, rule=rule)
    np.testing.assert_allclose(y[:, 0], (0.25 + 3 * 2) * (1 - kept**STEPS), rtol=1e-12)


def test_the_impulse_response_of_a_current_based_leaky_integrator() -> None:
    node = filled(ir.CubaLI, 1, np.float64, tau_syn=2, tau_mem=4, r=3, v_leak=0, w_in=5)
    y, states = double(node, np.eye(30, 1))
    np.testing.assert_allclose(states["i"][:, 0], 5 * 0.5**STEPS, rtol=1e-12)
    expected = 5 * 3 / 4 * 0.5 * (0.75**STEPS - 0.5**STEPS) / (0.75 - 0.5)
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-12)


DRIVEN = [(2.0, 1.0, 0.0), (1.5, 1.2, 0.0), (2.0, 1.0, 0.5), (2.0, 1.0, -1.0)]


@pytest.mark.parametrize(("drive", "threshold", "reset"), DRIVEN)
def test_the_interval_between_spikes_of_lif(drive: float, threshold: float, reset: float) -> None:
    """From `reset` the membrane is drive - (drive - reset) 0.9^n after n steps: the first n that is above threshold."""

    def interval(start: float) -> int:
        return math.floor(math.log((drive - threshold) / (drive - start)) / math.log(0.9)) + 1

    node = filled(ir.LIF, 1, np.float64, tau=10, r=1, v_leak=0, v_threshold=threshold, v_reset=reset)
    z, states = double(node, held(drive, 60))
    times = np.flatnonzero(z)
    assert times[0] == interval(0) - 1
    assert set(np.diff(times)) == {interval(reset)}
    assert set(states["v"][times, 0]) == {reset}


def test_if_counts() -> None:
    """0.25 a step above 1 is the fifth step; a membrane that only reaches its threshold waits."""
    node = filled(ir.IF, 1, np.float64, r=0.5, v_threshold=1, v_reset=0)
    z, _ = double(node, held(1), dt=0.5)
    np.testing.assert_array_equal(np.flatnonzero(z), np.arange(4, 30, 5))
    z, _ = double(node, held(1), dt=0.5, rule={"comparison": ">="})
    np.testing.assert_array_equal(np.flatnonzero(z), np.arange(3, 30, 4))


@pytest.mark.parametrize(("tau_syn", "tau_mem"), [(0.3, 0.7), (0.7, 0.3), (0.5, 0.5), (0.5, 0.5 + 1e-9), (0.5, 0.503)])
def test_the_closed_form_does_not_depend_on_the_time_step(tau_syn: float, tau_mem: float) -> None:
    """With the input held, coarse steps and fine ones agree where both are, and with the analytic solution."""
    node = filled(ir.CubaLI, 1, np.float64, tau_syn=tau_syn, tau_mem=tau_mem, r=2, v_leak=0.3, w_in=1.5)
    x = np.random.default_rng(0).normal(size=(8, 1))
    coarse, _ = double(node, x, dt=0.2, rule=EXACT)
    fine, _ = double(node, np.repeat(x, 16, 0), dt=0.2 / 16, rule=EXACT)
    np.testing.assert_allclose(coarse, fine[15::16], rtol=1e-9)
    t = 0.2 * np.arange(1, 31)
    y, _ = double(node, held(1), dt=0.2, rule=EXACT)
    a, b = np.exp(-t / tau_mem), np.exp(-t / tau_syn)
    crossing = t / tau_mem * a if abs(tau_syn - tau_mem) < 1e-6 else tau_syn / (tau_syn - tau_mem) * (b - a)
    np.testing.assert_allclose(y[:, 0], (0.3 + 3) * (1 - a) - 3 * crossing, rtol=1e-7)


def test_the_closed_form_survives_extreme_time_constants() -> None:
    node = filled(ir.CubaLI, 1, np.float32, tau_syn=10, tau_mem=0.005, r=2, v_leak=0, w_in=1)
    y, _ = run(node, held(1), dt=1, rule=EXACT)
    np.testing.assert_allclose(y[:, 0], 2 * (1 - np.exp(-STEPS / 10)), rtol=1e-2)


def test_euler_converges_to_the_closed_form() -> None:
    node = filled(ir.CubaLI, 1, np.float64, tau_syn=3, tau_mem=5, r=2, v_leak=0.3, w_in=1.5)
    error = []
    for fine in (4, 8, 16):
        euler, _ = double(node, held(1, 10 * fine), dt=1 / fine)
        closed, _ = double(node, held(1, 10), dt=1, rule=EXACT)
        error.append(np.abs(euler[fine - 1 :: fine] - closed).max())
    assert error[0] < 0.2
    assert error[1] < 0.6 * error[0]
    assert error[2] < 0.6 * error[1]


@pytest.mark.parametrize("cls", [ir.LIF, ir.CubaLIF, ir.IF, ir.LI, ir.CubaLI, ir.I])
@pytest.mark.parametrize("start", ["zero", "v_leak", "v_reset"])
def test_where_the_membrane_starts(cls: type[ir.NIRNode], start: str) -> None:
    values = dict.fromkeys(cls.parameter_names(), 2.0) | {"v_leak": 0.5, "v_reset": 0.25}
    node = filled(cls, 3, **{name: values[name] for name in cls.parameter_names()})
    site = site_of(node, (3,), rule={"start": start})
    state = primitive_of(site).init(site, params_of(site), (4, 2))
    expected = values[start] if start in cls.parameter_names() else 0
    np.testing.assert_array_equal(state["v"], np.full((4, 2, 3), expected))
    assert set(state) == ({"v", "i"} if "tau_syn" in cls.parameter_names() else {"v"})
    assert all(np.shape(value) == (4, 2, 3) and value.dtype == jnp.float32 for value in state.values())
    assert np.count_nonzero(state.get("i", 0)) == 0


def test_each_neuron_of_a_layer_is_on_its_own() -> None:
    rng = np.random.default_rng(1)
    low = {"tau_syn": 2, "tau_mem": 2, "r": 1, "v_leak": -0.1, "v_threshold": 0.5, "v_reset": -0.2, "w_in": 1}
    fields = {name: rng.uniform(value, value + 1, (2, 3)) for name, value in low.items()}
    x = rng.normal(0.5, 1, (20, 2, 3))
    z, _ = double(ir.CubaLIF(**fields), x)
    assert 0.01 < z.mean() < 0.6
    for at in np.ndindex(2, 3):
        alone, _ = double(ir.CubaLIF(**{name: value[at] for name, value in fields.items()}), x[:, *at])
        np.testing.assert_array_equal(alone, z[:, *at])


def test_a_scalar_gain_beside_arrays() -> None:
    arrays = {"tau_syn": 2, "tau_mem": 2, "r": 2, "v_leak": 0}
    node = filled(ir.CubaLI, 3, **arrays)
    scalar = ir.CubaLI(**{name: getattr(node, name) for name in arrays}, w_in=np.float32(0.5))
    array = ir.CubaLI(**{name: getattr(node, name) for name in arrays}, w_in=np.full(3, 0.5, np.float32))
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(run(scalar, x)[0], run(array, x)[0])


@pytest.mark.parametrize(
    ("order", "waits"),
    [
        (("decay", "inject", "integrate", "fire", "reset"), False),
        (("fire", "decay", "inject", "integrate", "reset"), True),
        (("fire", "reset", "decay", "inject", "integrate"), True),
        (("fire", "decay", "inject", "integrate", "reset", "fire"), False),
        (("evolve", "fire", "reset"), False),
    ],
)
def test_only_a_neuron_that_fires_first_does_not_wait_for_its_input(order: tuple[str, ...], waits: bool) -> None:
    """Told by the order, and shown by running: its present output does not change with its present input."""
    values = {"tau_syn": 2, "tau_mem": 2, "r": 2, "v_leak": 0, "v_threshold": 1, "v_reset": 0, "w_in": 2}
    node = filled(ir.CubaLIF, 3, **values)
    site = site_of(node, (3,), rule={"order": order})
    primitive = primitive_of(site)
    assert primitive.waits(site) == waits
    state = {"v": jnp.array([0.0, 1.5, 0.9]), "i": jnp.zeros(3)}
    constants = primitive.prepare(site, params_of(site))
    none, much = (primitive.step(site, constants, state, jnp.full(3, x, jnp.float32))[1] for x in (0, 9))
    assert np.array_equal(none, much) == waits


def test_spikeless_neurons_never_count_as_waiting() -> None:
    site = site_of(filled(ir.LI, 3, tau=2, r=1, v_leak=0), (3,), rule={"order": ("fire", "integrate", "reset")})
    assert not primitive_of(site).waits(site)
