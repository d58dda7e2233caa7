"""The NumPy interpreter in tests/oracle against recorded behaviour and against answers that can be written down."""

import json
from pathlib import Path

import numpy as np
import oracle
import pytest
from oracle.golden import recorded_node, with_lost_information
from oracle.random_census import COMMON, NODE_TYPES, census
from oracle.random_graphs import random_case, spike_rates

DATA = Path(__file__).parent / "data"
BATTERY = sorted((DATA / "battery").glob("*.nir"))
GOLDEN = sorted(path.parent for path in (DATA / "golden").glob("*/*/graph.nir"))


def test_all_the_data_is_there():
    assert len(BATTERY) == 33
    assert len(GOLDEN) == 74


# ---------------------------------------------------------------- the battery: one graph for each primitive


@pytest.mark.parametrize("path", BATTERY, ids=lambda path: path.stem)
def test_battery(path):
    with np.load(path.with_suffix(".npz")) as npz:
        data = dict(npz)
    y, _ = oracle.run(path, data["x_x"], dt=float(data["dt"]))
    expected = data["y_output"]
    assert y.shape == expected.shape
    types = {node["type"] for node in oracle.load(path)["nodes"].values()}
    if types & {"LIF", "CubaLIF", "IF", "Threshold"}:
        assert 0 < expected.mean() < 1
        np.testing.assert_array_equal(y, expected)
    else:
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


# ---------------------------------------------------------------- golden recordings of six frameworks

# What an absent key of meta.json's "dialect" means, where that is not the interpreter's own default.
GOLDEN_DEFAULTS = {"if_gain": "r"}
NOT_RULES = {"dt_effective", "rec_bias_t0", "override_information_not_in_file"}

# The framework's membrane is exactly the threshold, in float32. The file's tau and r are float32, so that in float64
# r dt/tau is 1 + 2.5e-8 and the membrane a little above.
FLOAT32_ONLY = {"snntorch/tie_threshold"}


def golden_run(case):
    """(recorded arrays, y, traces, graph) of a golden case under the dialect that its meta.json gives."""
    name = f"{case.parent.name}/{case.name}"
    meta = json.loads((case / "meta.json").read_text())
    with np.load(case / "io.npz") as npz:
        recorded = dict(npz)
    dialect = meta["dialect"]
    dt = dialect["dt_effective"]
    rules = GOLDEN_DEFAULTS | {key: value for key, value in dialect.items() if key not in NOT_RULES}
    graph = with_lost_information(oracle.load(case / "graph.nir"), dialect, recorded, dt)

    def rules_of(node, kind):
        if name == "snntorch/rleaky_zero_nodelay" and node == "3":  # its output layer used the delayed reset
            return rules | {"reset": "zero_pre", "reset_when": "delayed"}
        return rules

    y, traces = oracle.run(
        graph,
        recorded["x"],
        dt=dt,
        rules=rules_of,
        record=True,
        start="rest" if dialect.get("rec_bias_t0", False) else "zero",
        dtype=np.float32 if name in FLOAT32_ONLY else np.float64,
    )
    return recorded, y, traces, graph


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_golden(case):
    recorded, y, traces, graph = golden_run(case)
    spikes = [array.max() for name, array in recorded.items() if name[0] in "hy" and array.dtype.kind in "ui"]
    tolerance = 1e-5 * (1 + max(spikes, default=0))
    assert_same("y", y, recorded.pop("y"), tolerance)
    compared = 0
    for name, expected in recorded.items():
        if name[:2] not in ("h_", "v_", "i_"):
            continue
        node = recorded_node(graph, name[2:])
        variable = {"h": "output", "v": "v", "i": "i"}[name[0]]
        if (
            variable == "output" and f"{node}_threshold.output" in traces
        ):  # a spiking layer exported as LI and Threshold
            node += "_threshold"
        assert_same(name, traces[f"{node}.{variable}"], expected, tolerance)
        compared += 1
    assert compared > 0


def assert_same(name, actual, expected, tolerance):
    """Spikes (recorded as integers) exactly; what is analogue within tolerance * max(1, max|expected|)."""
    assert actual.shape == expected.shape
    if expected.dtype.kind in "ui":
        assert np.count_nonzero(actual != expected) == 0, name
    else:
        assert np.abs(actual - expected).max() <= tolerance * max(1, np.abs(expected).max()), name


# ---------------------------------------------------------------- answers that can be written down


def ports(*names, shape=(1,)):
    """Input and Output nodes; the names of Outputs begin with "out"."""
    return {name: {"type": "Output" if name.startswith("out") else "Input", "shape": np.array(shape)} for name in names}


def chain(node, shape=(1,)):
    """input -> node -> output"""
    return {"nodes": {**ports("in", "out", shape=shape), "n": node}, "edges": [("in", "n"), ("n", "out")]}


def series(*values):
    """One channel over time: (T, 1)."""
    return np.array(values, dtype=float)[:, None]


def apply(node, x):
    """A stateless node applied to one sample."""
    y, _ = oracle.run(chain({"groups": 1, **node}, x.shape), x[None], dt=1.0)
    return y[0]


INTEGRATOR = {"type": "I", "r": np.array([1.0])}


def test_delay_of_three_and_a_half_steps():
    y, _ = oracle.run(chain({"type": "Delay", "delay": np.array([0.35])}), series(2, 0, 0, 0, 0, 8), dt=0.1)
    np.testing.assert_allclose(y, series(0, 0, 0, 1, 1, 0), atol=1e-12)


def test_a_float32_multiple_of_dt_is_a_whole_number_of_steps():
    steps = np.arange(1, 41)
    node = {"type": "Delay", "delay": (1e-4 * steps).astype(np.float32)}
    x = np.random.default_rng(0).normal(size=(60, 40))
    y, _ = oracle.run(chain(node, (40,)), x, dt=1e-4)
    for n in steps:
        np.testing.assert_array_equal(y[n:, n - 1], x[:-n, n - 1])


@pytest.mark.parametrize(("integrator", "share"), [("euler", 1 - 0.1 / 0.5), ("exp", np.exp(-0.1 / 0.5))])
def test_step_response_of_li(integrator, share):
    node = {"type": "LI", "tau": np.array([0.5]), "r": np.array([3.0]), "v_leak": np.array([0.25])}
    y, _ = oracle.run(chain(node), np.full((30, 1), 2.0), dt=0.1, rules={"integrator": integrator})
    np.testing.assert_allclose(y[:, 0], (0.25 + 3 * 2) * (1 - share ** np.arange(1, 31)), rtol=1e-12)


def test_impulse_response_of_cuba_li():
    parameters = {"tau_syn": 2.0, "tau_mem": 4.0, "r": 3.0, "v_leak": 0.0, "w_in": 5.0}
    node = {"type": "CubaLI", **{key: np.array([value]) for key, value in parameters.items()}}
    y, traces = oracle.run(chain(node), np.eye(20, 1), dt=1.0, record=True)
    n = np.arange(1, 21)
    np.testing.assert_allclose(traces["n.i"][:, 0], 5 * 0.5**n, rtol=1e-12)
    np.testing.assert_allclose(y[:, 0], 5 * 3 / 4 * 0.5 * (0.75**n - 0.5**n) / (0.75 - 0.5), rtol=1e-12)


@pytest.mark.parametrize(
    ("padding", "before", "shape"),
    [((1, 0), (1, 0), (6, 4, 2)), ("valid", (0, 0), (6, 3, 2)), ("same", (0, 1), (6, 3, 2))],
)
def test_conv2d_against_a_loop(padding, before, shape):
    """Stride 2 along rows and 3 along columns, dilation 1 and 2, a kernel of 2 x 2, two groups; "same" adds 1 row below."""
    rng = np.random.default_rng(1)
    x, weight, bias = rng.normal(size=(4, 6, 6)), rng.normal(size=(6, 2, 2, 2)), rng.normal(size=6)
    node = {"type": "Conv2d", "weight": weight, "bias": bias, "groups": 2, "padding": padding}
    y = apply({**node, "stride": np.array([2, 3]), "dilation": np.array([1, 2])}, x)
    assert y.shape == shape
    for o, i, j in np.ndindex(y.shape):
        expected = bias[o]
        for c, k, m in np.ndindex(2, 2, 2):
            row, column = 2 * i + k - before[0], 3 * j + 2 * m - before[1]
            if 0 <= row < 6 and 0 <= column < 6:
                expected += weight[o, c, k, m] * x[2 * (o // 3) + c, row, column]
        assert abs(y[o, i, j] - expected) < 1e-12


def test_small_stateless_nodes():
    pool = {"type": "AvgPool2d", "kernel_size": np.array([2, 2]), "stride": 2, "padding": np.array([1, 1])}
    np.testing.assert_array_equal(apply(pool, np.full((1, 2, 2), 4.0)), np.ones((1, 2, 2)))
    x, weight = np.arange(6.0).reshape(2, 3), np.arange(24.0).reshape(2, 4, 3)
    np.testing.assert_array_equal(apply({"type": "Linear", "weight": weight}, x), [weight[0] @ x[0], weight[1] @ x[1]])
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(apply({"type": "Flatten", "start_dim": 1, "end_dim": -1}, x), x.reshape(2, 12))
    y, _ = oracle.run(chain({"type": "Threshold", "threshold": np.array([1.0])}), series(0.9, 1, 1.1), dt=1.0)
    np.testing.assert_array_equal(y, series(0, 0, 1))


def test_feedback_starts_at_rest_or_at_zero():
    """A silent neuron's recurrent bias acts at the first step, or one step later."""
    graph = chain({"type": "IF", "r": np.array([1.0]), "v_threshold": np.array([9.0])})
    graph["nodes"]["w"] = {"type": "Affine", "weight": np.array([[4.0]]), "bias": np.array([0.5])}
    graph["edges"] += [("n", "w"), ("w", "n")]
    for start, expected in [("rest", (0.5, 1, 1.5)), ("zero", (0, 0.5, 1))]:
        _, traces = oracle.run(graph, np.zeros((3, 1)), dt=1.0, record=True, start=start)
        np.testing.assert_array_equal(traces["n.v"], series(*expected))


def test_only_the_edge_back_into_the_search_is_delayed():
    """n -> w -> {n, out}: w -> n is late, w -> out is not, in whatever order the edges are written."""
    graph = {"nodes": {**ports("in", "out"), "n": INTEGRATOR, "w": {"type": "Scale", "scale": np.array([0.5])}}}
    edges = [("in", "n"), ("n", "w"), ("w", "n"), ("w", "out")]
    for written in (edges, edges[::-1]):
        y, traces = oracle.run({**graph, "edges": written}, series(4, 0, 0), dt=1.0, record=True)
        np.testing.assert_array_equal(traces["n.v"], series(4, 6, 9))
        np.testing.assert_array_equal(y, series(2, 3, 4.5))


def test_a_delay_of_a_step_or_more_needs_no_register():
    graph = {"nodes": {**ports("in", "out"), "n": INTEGRATOR, "d": {"type": "Delay", "delay": np.array([2.0])}}}
    graph["edges"] = [("in", "n"), ("n", "d"), ("d", "n"), ("n", "out")]
    y, _ = oracle.run(graph, series(1, 0, 0, 0, 0, 0, 0), dt=1.0)
    np.testing.assert_array_equal(y, series(1, 1, 2, 3, 5, 8, 13))


def test_ports_names_fan_in_and_repeated_edges():
    """sub swaps nothing: a -> p -> q, b -> r -> s; the node that is called "sub.p" is not the port p."""
    double, triple = ({"type": "Scale", "scale": np.array([k])} for k in (2.0, 3.0))
    inner = {"type": "NIRGraph", "nodes": {**ports("p", "r", "outq", "outs"), "x2": double, "x3": triple}}
    inner["edges"] = [("p", "x2"), ("x2", "outq"), ("r", "x3"), ("x3", "outs")]
    edges = [
        ("a", "sub.p"),
        ("b", "sub.r"),
        ("b", "sub.r"),
        ("sub.outq", "out1"),
        ("sub.outs", "out1"),
        ("sub.outs", "out2"),
    ]
    graph = {"nodes": {**ports("a", "b", "out1", "out2"), "sub": inner}, "edges": edges}
    x = {"a": series(1, 10), "b": series(100, 1000)}
    y, _ = oracle.run(graph, x, dt=1.0)
    np.testing.assert_array_equal(y["out1"], series(302, 3020))
    np.testing.assert_array_equal(y["out2"], series(300, 3000))
    graph["nodes"]["sub.p"] = triple
    graph["edges"] = [("a", "sub.p"), ("sub.p", "out1"), ("b", "sub.r"), ("sub.outs", "out2")]
    y, _ = oracle.run(graph, x, dt=1.0)
    np.testing.assert_array_equal(y["out1"], series(3, 30))


def test_settling_reset():
    """snnTorch without reset delay: what is still above the threshold after a subtraction is lowered before the next spike."""
    node = {"type": "IF", "r": np.array([1.0]), "v_threshold": np.array([1.0])}
    rules = {"reset": "subtract", "reset_when": "settle"}
    y, traces = oracle.run(chain(node), series(2.5, 0, 0.75, 0), dt=1.0, rules=rules, record=True)
    np.testing.assert_array_equal(y, series(1, 0, 1, 0))
    np.testing.assert_array_equal(traces["n.v"], series(1.5, 1.5, 1.25, 1.25))


def test_random_cases_are_as_they_say(tmp_path):
    count, (found, stats) = 60, census(60)
    assert {name: found[name] for name in COMMON if found[name] < count / 5} == {}
    assert set(NODE_TYPES) - set(found) == set()
    print(dict(stats))
    for seed in range(10):
        graph, x, dt = random_case(np.random.default_rng(seed))
        again, x_again, _ = random_case(np.random.default_rng(seed))
        oracle.save(again, tmp_path / "graph.nir")
        one, _ = oracle.run(graph, x, dt=dt)
        two, _ = oracle.run(tmp_path / "graph.nir", x_again, dt=dt)
        np.testing.assert_equal(one, two)
        assert all(0.01 <= rate <= 0.6 for rate in spike_rates(graph, x, dt).values())
