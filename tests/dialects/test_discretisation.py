"""One time step as data, and the closed form against what it is the closed form of."""

import dataclasses

import jax
import numpy as np
import pytest
from engine.graphs import graph

import nirjax
from nirjax import ir
from nirjax.dialects import PHASES, Discretisation


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("order", ("integrate", "spike"), "fire"),
        ("decay", "rk4", "euler, exp"),
        ("synapse_decay", None, "euler, exp"),
        ("gain", "one", "native, euler, unit"),
        ("synapse_gain", "", "native, euler, unit"),
        ("comparison", ">>", ">, >="),
        ("spikes", "two", "one, many"),
        ("reset", "hard", "v_reset, zero, subtract, none"),
        ("start", "rest", "zero, v_leak, v_reset"),
        ("leak_gain", "euler", "native, unit"),
        ("synapse_rest", "v_reset", "zero, v_leak"),
        ("lowest", "v_threshold", "-v_threshold"),
        ("spike_gradient", "none", "crossing, membrane, linear"),
        ("refractory", 1.5, ""),
        ("most_spikes", 0, ""),
    ],
)
def test_an_unknown_kind_is_answered_with_the_known_ones(field, value, allowed):
    with pytest.raises(nirjax.ArgumentError) as error:
        Discretisation(**{field: value})
    assert error.value.field == field
    assert allowed in str(error.value)


def test_a_discretisation_is_a_value():
    one = Discretisation(order=["integrate", "fire"])
    assert one == Discretisation(order=("integrate", "fire"))
    assert len({one, dataclasses.replace(one), Discretisation()}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.order = PHASES


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("decay inject integrate fire reset", False),
        ("fire reset integrate", True),
        ("fire reset decay inject integrate", True),
        ("fire integrate reset", True),
        ("fire decay inject integrate reset fire", False),
        ("fire reset evolve", True),
        ("evolve fire reset", False),
        ("decay inject integrate", False),
        ("fire reset", False),
    ],
)
def test_who_fires_before_the_input_has_come(order, first):
    assert Discretisation(order=order.split()).fires_first == first


# ------------------------------------------------------------------------------------------------------ the closed form

T, N, DT = 30, 4, 0.7


def neuron(kind, tau_syn=None, threshold=1e6):
    """A neuron that does not fire, with something in every field."""
    rng = np.random.default_rng(3)

    def of(low, high):
        return rng.uniform(low, high, N)

    fields = {"r": of(0.5, 2)}
    if kind not in (ir.I, ir.IF):
        fields["v_leak"] = of(-1, 1)
        fields["tau_mem" if kind in (ir.CubaLI, ir.CubaLIF) else "tau"] = of(1, 5)
    if kind in (ir.CubaLI, ir.CubaLIF):
        fields["tau_syn"] = of(1, 5) if tau_syn is None else fields["tau_mem"] * tau_syn
        fields["w_in"] = of(0.5, 2)
    if kind in (ir.IF, ir.LIF, ir.CubaLIF):
        fields["v_threshold"], fields["v_reset"] = np.full(N, threshold), np.zeros(N)
    return kind(**fields)


def exact(node, dt=DT):
    given = graph({"in": ir.Input((N,)), "n": node, "out": ir.Output((N,))}, "in n out")
    return nirjax.from_nir(given, dt=dt, dialect="exact", dtype="float64")


def finely(node, x, steps):
    """Forward Euler at dt / steps, the input held over dt: membranes at the end of every dt."""
    v, i, h, membranes = np.zeros(N), np.zeros(N), DT / steps, []
    tau = getattr(node, "tau", getattr(node, "tau_mem", None))
    for held in x:
        for _ in range(steps):
            drive = held
            if hasattr(node, "tau_syn"):
                i, drive = i + h / node.tau_syn * (node.w_in * held - i), i
            v = v + h * (node.r * drive if tau is None else (node.v_leak - v + node.r * drive) / tau)
        membranes.append(v)
    return np.array(membranes)


X = np.random.default_rng(8).normal(0, 2, (T, N))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", [ir.LI, ir.LIF, ir.CubaLI, ir.CubaLIF, ir.I, ir.IF])
def test_the_closed_form_is_the_limit_of_fine_steps(kind):
    node = neuron(kind)
    found = np.asarray(exact(node).run(X, record="n.v").traces["n.v"])
    coarse, fine = (np.abs(finely(node, X, steps) - found).max() for steps in (40, 80))
    if kind in (ir.I, ir.IF):
        assert fine < 1e-12
    else:
        assert fine < 0.03
        assert 1.9 < coarse / fine < 2.1  # what is left is Euler's error, of first order


@pytest.mark.usefixtures("x64")
def test_two_steps_are_one_step_of_twice_the_length():
    node = neuron(ir.CubaLI)
    twice = np.asarray(exact(node)(np.repeat(X, 2, axis=0))[0])[1::2]
    np.testing.assert_allclose(np.asarray(exact(node, 2 * DT)(X)[0]), twice, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_a_membrane_by_hand():
    """From rest, input w_in x held: with equal time constants v = r w_in x (1 - e - e dt/tau), e = exp(-dt/tau)."""
    for ratio in (1.0, 1 + 1e-12, 1 + 1e-7, 1 - 1e-4):
        node = dataclasses.replace(neuron(ir.CubaLI, ratio), v_leak=np.zeros(N))
        e = np.exp(-DT / node.tau_mem)
        by_hand = node.r * node.w_in * X[0] * (1 - e - e * DT / node.tau_mem)
        np.testing.assert_allclose(np.asarray(exact(node)(X[:1])[0])[0], by_hand, rtol=max(1e-12, abs(ratio - 1)))


FIELDS = ("tau_syn", "tau_mem", "r", "v_leak", "w_in")


def membranes(model, fields):
    return model.replace(params={**model.params, "n": fields})(X)[0]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("ratio", [1.0, 1 + 1e-9, 1.01, 0.99])
def test_gradients_are_those_of_finite_differences_at_equal_time_constants_too(ratio):
    model = exact(neuron(ir.CubaLI, ratio))
    fields = {name: np.asarray(model.params["n"][name]) for name in FIELDS}
    at = jax.jit(jax.value_and_grad(lambda fields: (membranes(model, fields) ** 2).mean()))
    value, gradients = at(fields)
    assert np.isfinite(value)
    for name in FIELDS:
        for element in range(N):
            step = np.zeros(N)
            step[element] = 1e-4 * max(1, abs(fields[name][element]))
            high, low = (float(at({**fields, name: fields[name] + sign * step})[0]) for sign in (1, -1))
            difference = (high - low) / (2 * step[element])
            np.testing.assert_allclose(gradients[name][element], difference, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("ratio", [1.0, 1 + 1e-6, 0.99])
def test_float32_is_as_good_as_float32_can_be_near_equal_time_constants(ratio):
    node = neuron(ir.CubaLI, ratio)
    given = graph({"in": ir.Input((N,)), "n": node, "out": ir.Output((N,))}, "in n out")
    found = nirjax.from_nir(given, dt=DT, dialect="exact")(X)[0]
    fine = 2 * finely(node, X, 800) - finely(node, X, 400)  # Richardson
    np.testing.assert_allclose(np.asarray(found, np.float64), fine, atol=2e-5)


def test_spikes_come_at_the_end_of_a_step():
    """With the input held, the membrane is right at every step's end, and a spike is seen there, not between."""
    node = ir.LIF(*(np.array([value], np.float32) for value in (2, 1, 0, 0.5, 0)))
    given = graph({"in": ir.Input((1,)), "n": node, "out": ir.Output((1,))}, "in n out")
    x = np.ones((40, 1), np.float32)
    spikes = np.asarray(nirjax.from_nir(given, dt=0.25, dialect="exact")(x)[0])[:, 0]
    steps = int(np.ceil(2 * np.log(2) / 0.25))  # 1 - exp(-t / 2) passes 0.5 at t = 2 log 2
    np.testing.assert_array_equal(np.flatnonzero(spikes), np.arange(steps - 1, 40, steps))
