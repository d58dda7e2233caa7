"""`lint`: what will surprise, and nothing else."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from engine.graphs import affine, conv2d, cubalif, filled, graph, if_, lif, linear, ports
from test_golden import CASES, GOLDEN, LOST

import nirjax
from nirjax import ir, lint
from nirjax.ir.inline import inline
from nirjax.ir.lint import Limit
from nirjax.ir.ranges import highest_membranes

TESTS = Path(__file__).parents[1]
IMPORTS = TESTS / "data" / "imports"
OUTCOMES = json.loads((IMPORTS / "outcomes.json").read_text())


def found(graph, **words):
    """Kind, node and field of every finding."""
    return [(one.kind, one.node, one.field) for one in lint(graph, **words)]


def clean(**changes):
    return graph(ports() | {"fc": affine(), "lif": lif(**changes)}, "in fc lif out")


def test_a_plain_graph_is_not_talked_about():
    assert lint(clean(tau=0.02), dt=1e-3) == []


def test_a_finding_says_where_and_how_grave():
    (finding,) = lint(clean(tau=0.02), dt=0.05)
    assert str(finding).startswith("warning: 'lif', tau: the time constant 0.02 is shorter than dt = 0.05")
    assert str(finding).endswith("[dt]")
    assert str(nirjax.Finding("unit", "", None, "text", "note")) == "note: the graph: text [unit]"


def test_no_jax_is_imported():
    code = (
        "import sys, nirjax; nirjax.lint(sys.argv[1], dt=1, target='norse'); print(*{'jax', 'flax'} & set(sys.modules))"
    )
    path = str(TESTS / "data" / "battery" / "p_lif.nir")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# ----------------------------------------------------------------------------------------------------------- one by one


@pytest.mark.parametrize(("dt", "fields"), [(1, []), (2, ["tau_syn"]), (2.001, ["tau_mem", "tau_syn"])])
def test_dt_larger_than_a_time_constant(dt, fields):
    neuron = cubalif(tau_syn=1.5, tau_mem=2)
    given = graph(ports() | {"fc": affine(), "lif": neuron}, "in fc lif out")
    assert [field for kind, _, field in found(given, dt=dt) if kind == "dt"] == fields


def test_time_constants_in_steps_or_milliseconds():
    assert ("unit", "", None) in found(clean(tau=0.51))
    assert ("unit", "", None) not in found(clean(tau=0.5))
    two = graph(ports() | {"lif": lif(), "lif2": lif(tau=0.02)}, "in lif lif2 out")
    assert ("unit", "", None) not in found(two)


def recurrent(*paths):
    return graph(ports() | {"fc": affine(), "lif": lif(), "w": linear()}, *paths)


def test_an_input_that_enters_the_recurrent_weights():
    (finding,) = [one for one in lint(recurrent("in fc w lif w", "lif out")) if one.kind == "wiring"]
    assert finding.node == "w"
    assert "'fc' -> 'lif'" in finding.message
    right = recurrent("in fc lif w lif out")
    both = recurrent("in fc lif w lif out", "fc w")
    assert "wiring" not in [kind for given in (right, both) for kind, _, _ in found(given)]


def test_reset_above_the_threshold():
    assert ("reset", "lif", "v_reset") in found(clean(tau=0.1, v_reset=1.5))
    assert found(clean(tau=0.1, v_reset=1)) == []


def test_an_edge_that_is_there_twice():
    with pytest.warns(nirjax.NIRWarning, match="appear twice"):
        given = nirjax.NIRGraph(ports() | {"lif": lif(tau=0.1)}, [("in", "lif"), ("lif", "out"), ("in", "lif")])
    assert found(given) == [("edges", "", "edges")]
    nested = graph(ports() | {"sub": given}, "in sub out")
    assert found(nested) == [("edges", "sub", "edges")]


def test_what_nothing_reaches_and_what_no_output_sees():
    nodes = {"fc": affine(), "lif": lif(tau=0.1), "idle": lif(tau=0.1), "aside": linear(), "deep": linear()}
    given = graph(ports() | nodes, "in fc lif out", "idle aside", "lif deep")
    kinds = [one for one in found(given) if one[0] != "dead"]
    assert sorted(kinds) == [
        ("disconnected", "aside", "edges"),
        ("disconnected", "idle", "edges"),
        ("unseen", "deep", "edges"),
    ]


def test_names_that_differ_in_their_unicode_form_only():
    composed, apart, ligature = "caf\u00e9", "cafe\u0301", "\ufb01"
    nodes = {name: lif(tau=0.1) for name in (composed, apart, ligature, "fi", "Fi")}
    given = graph(ports() | nodes, f"in {composed} {apart} {ligature} fi Fi out")
    assert [(kind, node) for kind, node, _ in found(given)] == [("name", apart), ("name", "fi")]


def test_the_gravest_comes_first():
    given = graph(ports() | {"s": filled(ir.Scale, scale=1), "if": if_()}, "in s if out")
    severities = [one.severity for one in lint(given, target="norse")]
    assert severities == sorted(severities, key=("error", "warning", "note").index)
    assert set(severities) == {"error", "note"}


@pytest.mark.parametrize("target", [None, "sinabs", "xylo", "speck", "loihi2", "spinnaker2"])
def test_a_signal_that_no_memory_holds_takes_none(target):
    """Parameters of one number say nothing of how large a signal is; an Input may say anything."""
    one = np.array(1, np.float32)
    neuron = ir.LIF(one, one, 0 * one, one, 0 * one)
    size = 2**27
    nodes = {
        "input": ir.Input((1, size // 64, 64)),
        "pool": ir.SumPool2d(np.array([1, 1]), np.array([1, 1]), np.array([0, 0])),
        "flatten": ir.Flatten((1, size // 64, 64), 0, -1),
        "first": neuron,
        "scale": ir.Scale(one),
        "second": neuron,
        "output": ir.Output((size,)),
    }
    graph = nirjax.NIRGraph(nodes, [*zip(nodes, list(nodes)[1:], strict=False)])
    tracemalloc.start()
    try:
        lint(graph, dt=0.1, target=target)
        assert tracemalloc.get_traced_memory()[1] < size // 4
    finally:
        tracemalloc.stop()


# -------------------------------------------------------------------------------------------------------- dead neurons


def behind_spikes(node, neuron, shape=(3,), output=None):
    """A node and a neuron behind a layer of spikes."""
    first = lif(shape, tau=0.1, v_threshold=0.5)
    nodes = {"in": ir.Input(shape), "first": first, "node": node, "second": neuron}
    return graph(nodes | {"out": ir.Output(output or shape)}, "in first node second out")


def dead(given):
    return [one.message for one in lint(given) if one.kind == "dead"]


def test_a_threshold_out_of_reach():
    weight = np.array([[0.5, 0.25, -9], [0.5, 0.25, 0.25], [-1, -1, -1]], np.float32)
    (message,) = dead(behind_spikes(ir.Linear(weight), lif(tau=0.1, r=1)))
    assert "(2 of 3, first [0])" in message
    assert "reaches 0.75 at most, the threshold is 1" in message
    assert dead(behind_spikes(ir.Linear(weight + 9), lif(tau=0.1, r=1))) == []


@pytest.mark.parametrize(
    "changes", [{"r": 4}, {"v_leak": 1.5}, {"v_reset": 1.5}, {"v_threshold": -0.5}, {"r": -9, "v_threshold": 0.7}]
)
def test_what_brings_it_into_reach(changes):
    weight = np.array([[0.5, 0, -0.1]] * 3, np.float32)
    assert dead(behind_spikes(ir.Linear(weight), lif(tau=0.1, r=1))) != []
    assert dead(behind_spikes(ir.Linear(weight), lif(**{"tau": 0.1, "r": 1} | changes))) == []


def test_an_input_has_no_bounds():
    assert dead(clean(tau=0.1, v_threshold=1e9)) == []
    silent = graph(ports() | {"fc": ir.Linear(np.zeros((3, 3), np.float32)), "lif": lif(tau=0.1)}, "in fc lif out")
    assert len(dead(silent)) == 1


def test_what_is_a_matter_of_gains_is_but_a_note():
    """Under a dialect that takes the input with gain one, a membrane goes further than NIR's equations say."""
    drives = {0.5: "note", 0.0: "warning", -0.5: "warning"}
    for weight, severity in drives.items():
        given = behind_spikes(ir.Linear(np.eye(3, dtype=np.float32) * weight), lif(tau=0.1, r=1))
        assert [one.severity for one in lint(given) if one.kind == "dead"] == [severity]


def test_an_integrator_reaches_everything_that_something_drives_it_to():
    up, down = np.full((3, 3), 1e-6, np.float32), np.full((3, 3), -1, np.float32)
    assert dead(behind_spikes(ir.Linear(up), if_(v_threshold=1e6))) == []
    assert len(dead(behind_spikes(ir.Linear(down), if_()))) == 1


def test_bounds_go_through_convolution_pools_and_images():
    conv = conv2d()
    reach = np.maximum(conv.weight, 0).sum((1, 2, 3)) + conv.bias
    least, most = float(reach.min()), float(reach.max())

    def image(threshold):
        neuron = lif((2, 4, 4), tau=0.1, r=1, v_threshold=threshold)
        return dead(behind_spikes(conv, neuron, (2, 4, 4)))

    assert image(most - 0.01) != image(least - 0.01)
    assert image(least - 0.01) == []
    assert "(32 of 32" in image(most + 0.01)[0]
    for pool, top in ((ir.SumPool2d, 4), (ir.AvgPool2d, 1)):
        small = [lif((2, 2, 2), tau=0.1, r=1, v_threshold=t) for t in (top - 0.01, top + 0.01)]
        node = pool(2, 2, 0)
        assert [len(dead(behind_spikes(node, one, (2, 4, 4), (2, 2, 2)))) for one in small] == [0, 1]


def test_bounds_go_through_subgraphs_and_stop_at_what_is_not_known():
    weak = ir.Linear(np.full((3, 3), 0.1, np.float32))
    inner = graph(ports() | {"w": weak, "lif": lif(tau=0.1, r=1)}, "in w lif out")
    given = graph(ports() | {"first": lif(tau=0.1, r=9), "sub": inner}, "in first sub out")
    assert [one.node for one in lint(given) if one.kind == "dead"] == ["sub.lif"]

    @dataclasses.dataclass(frozen=True, eq=False, repr=False)
    class Burst(ir.NIRNode):
        spiking = True
        size: np.ndarray = None

        def accepts(self):
            return (3,)

    nodes = {"burst": Burst(np.ones(3, np.float32)), "w": weak, "lif": lif(tau=0.1, r=1)}
    assert dead(graph(ports() | nodes, "in burst w lif out")) == []


def test_a_dead_neuron_never_fires():
    """What is called dead does not fire under NIR's own equations, whatever comes in; a good part of it is found."""
    rng = np.random.default_rng(0)

    def of(low, high):
        return rng.uniform(low, high, 60).astype(np.float32)

    first = ir.LIF(of(2, 9), of(1, 2), of(0, 1), of(0.1, 0.5), of(-1, 0))
    second = ir.CubaLIF(of(2, 9), of(2, 9), of(-2, 2), of(-1, 1), of(0.5, 2), of(-1, 0.4), of(-1, 2))
    weight = (rng.normal(0, 0.5, (60, 60)) * (rng.random((60, 60)) < 0.05)).astype(np.float32)
    nodes = {"in": ir.Input((60,)), "a": first, "w": ir.Affine(weight, of(-0.5, 0.5)), "b": second}
    given = graph(nodes | {"back": linear(60, 60), "out": ir.Output((60,))}, "in a w b back a", "b out")
    dead = highest_membranes(inline(given))["b"] < second.v_threshold
    x = rng.normal(0, 3, (300, 8, 60)).astype(np.float32)
    fired = np.asarray(nirjax.from_nir(given, dt=1)(x)[0]).any(axis=(0, 1))
    assert not np.any(fired & dead)
    assert dead.sum() > 0.5 * (~fired).sum() > 5


# ---------------------------------------------------------------------------------------------- what the exporter lost


def golden(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nirjax.RepairWarning)
        return nirjax.read(GOLDEN / name / "graph.nir", repair=True, trusted=True)


TOLD = {
    "norse/lifbox_mlp_vreset": ("lost", "v_reset", "Norse"),
    "rockpool/lif_mlp_neuron_bias_dropped": ("lost", "v_leak", "bias"),
    "rockpool/lif_recurrent_wrec_dropped": ("lost", "edges", "w_rec"),
    "sinabs/lif_mlp_tau_syn_dropped": ("lost", "tau", "tau_syn"),
    "spyx/conv_if_flatten": ("lost", "weight", "(H, W, C)"),
    "spyx/rcubalif_mlp": ("wiring", "edges", "recurrent weights"),
    "spyx/rif_mlp": ("wiring", "edges", "recurrent weights"),
    "spyx/rlif_mlp": ("wiring", "edges", "recurrent weights"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_an_edit_of_a_golden_graph_restores_was_warned_of(name):
    kind, field, word = TOLD[name]
    found = [one for one in lint(golden(name)) if (one.kind, one.field) == (kind, field)]
    assert found
    assert all(word in one.message for one in found)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("snntorch/")])
def test_snntorch_s_reset_is_in_no_file(name):
    (finding,) = [one for one in lint(golden(name)) if one.kind == "lost"]
    assert "reset_mechanism and reset_delay" in finding.message


@pytest.mark.parametrize("name", CASES)
def test_golden_files_have_no_grave_findings(name):
    kinds = Counter(one.kind for one in lint(golden(name)) if one.severity != "note")
    assert kinds.keys() <= {"wiring", "unit"}
    assert ("unit" in kinds) == (("sinabs" in name and "lif" in name) or "expleak" in name)


# ------------------------------------------------------------------------------------------------------------- targets

_spec = importlib.util.spec_from_file_location("record_imports", TESTS.parent / "tools" / "record_imports.py")
recorder = importlib.util.module_from_spec(_spec)
sys.modules["record_imports"] = recorder
_spec.loader.exec_module(recorder)

USED_IN_ANOTHER_WAY = {
    ("snntorch", "LIF.r one"): "all thresholds are scaled by one neuron's",
    ("rockpool", "CubaLIF.r"): "for a guess of the time step",
    ("rockpool", "CubaLIF.v_leak"): "as a bias",
}


def about(framework, given):
    return [
        one for one in lint(given, dt=recorder.DT[framework], target=framework) if one.kind in ("ignored", "refused")
    ]


@pytest.mark.parametrize("framework", OUTCOMES)
def test_a_parameter_that_a_framework_drops_or_refuses_is_found(framework):
    for name, outcome in OUTCOMES[framework]["parameters"].items():
        kind, label = name.split(".")
        if (framework, kind) == ("rockpool", "LI"):
            continue
        field, factor, shift = recorder.CHANGES[label]
        node = recorder.neurons_taken(framework)[kind]
        setattr(node, field, (getattr(node, field) * np.float32(factor) + np.float32(shift)).astype(np.float32))
        findings = about(framework, recorder.behind((3,), node, (3,)))
        kinds = {one.kind for one in findings if one.node == "node" and one.field == field}
        if outcome.startswith("raises"):
            assert "refused" in {one.kind for one in findings if one.node == "node"}, name
        elif outcome == "ignored" or (framework, name) in USED_IN_ANOTHER_WAY:
            assert kinds == {"ignored"}, name
        else:
            assert kinds == set(), name


@pytest.mark.parametrize("framework", OUTCOMES)
def test_a_node_that_a_framework_drops_or_refuses_is_found(framework):
    for kind, (shape, node, out) in recorder.single_nodes(framework).items():
        refused = [one for one in about(framework, recorder.behind(shape, node, out)) if one.kind == "refused"]
        runs = OUTCOMES[framework]["nodes"][kind] == "runs"
        if (framework, kind) in (("spyx", "LI"), ("spyx", "Threshold")):
            runs = True  # one behind the other they do
        if (framework, kind) == ("rockpool", "LI"):
            runs = False  # with a time constant of 0
        assert bool(refused) != runs, kind
        assert all(one.severity == "error" for one in refused)


@pytest.mark.parametrize("framework", OUTCOMES)
def test_a_graph_that_a_framework_walks_over_otherwise_is_found(framework):
    neuron = recorder.neurons_taken(framework)["CubaLIF" if framework == "rockpool" else "LIF"]
    fine = {"sinabs": {"flatten from 0"}, "norse": {"recurrent"}, "spikingjelly": {"recurrent", "flatten from 0"}}
    fine |= {"spyx": {"recurrent", "flatten from 0"}, "rockpool": set(), "snntorch": set()}
    for name, given in recorder.odd_graphs(neuron).items():
        findings = [one for one in about(framework, given) if one.node != "node" or one.field == "edges"]
        assert bool(findings) != (name in fine[framework]), name
        if OUTCOMES[framework]["graphs"][name].startswith("raises"):
            assert {one.kind for one in findings} == {"refused"}, name


@pytest.mark.parametrize("path", sorted(IMPORTS.glob("*.nir")), ids=lambda path: path.stem)
def test_what_a_framework_imported_is_not_refused(path):
    framework, name = path.stem.split("__")
    findings = about(framework, nirjax.read(path, trusted=True))
    assert {one.kind for one in findings} <= {"ignored"}
    elsewhere = name == "skip" and framework in ("norse", "sinabs")
    elsewhere |= "recurrent" in name and framework in ("snntorch", "sinabs", "rockpool")
    assert any(one.field == "edges" for one in findings) == elsewhere


def test_only_values_that_matter_are_talked_about():
    neutral = clean(tau=0.1, r=1)
    assert about("norse", neutral) == []
    assert [one.field for one in about("norse", clean(tau=0.1, r=1.01, v_reset=0.1))] == ["r", "v_reset"]


def test_what_spyx_looks_for_in_a_graph():
    ported = {"input": ir.Input((3,)), "output": ir.Output((3,))}
    loops = "input fc n w n output"
    for neuron, kinds in ((if_(), {"refused"}), (lif(tau=0.1, r=100), set())):
        given = graph(ported | {"fc": affine(), "n": neuron, "w": linear()}, loops)
        assert {one.kind for one in about("spyx", given)} == kinds
    assert [one.field for one in about("spyx", clean(tau=0.1, r=100))] == ["nodes"]


def test_groups_are_more_than_the_reference_package_reads():
    conv = conv2d(groups=2, channels=(1, 2))
    given = graph({"in": ir.Input((2, 4, 4)), "c": conv, "out": ir.Output((2, 4, 4))}, "in c out")
    for framework in ("norse", "snntorch", "sinabs", "spikingjelly"):
        assert [(one.kind, one.field) for one in about(framework, given)] == [("refused", "groups")]


def test_a_long_chain_takes_no_time():
    names = [f"n{i}" for i in range(3000)]
    given = graph(ports() | {name: lif(tau=0.1) for name in names}, " ".join(["in", *names, "out"]))
    start = time.perf_counter()
    assert about("norse", given)[0].field == "r"
    assert time.perf_counter() - start < 20


def test_snntorch_s_time_step_is_fixed():
    given = clean(tau=5e-4, r=5)
    assert lint(given, dt=1e-4, target="snntorch") == lint(given, target="snntorch")
    assert ("ignored", "", "dt") in found(given, dt=1e-3, target="snntorch")


def test_an_unknown_target_is_answered_with_the_known_ones():
    with pytest.raises(nirjax.ArgumentError, match=r"'nrose'.*norse, rockpool, sinabs, snntorch, spikingjelly, spyx"):
        lint(clean(), target="nrose")
    with pytest.raises(nirjax.ArgumentError, match="no such target"):
        lint(clean(), target=object())


def test_a_target_of_one_s_own():
    whole = Limit("LIF", "tau", lambda node, dt: bool(np.all(node.tau % dt == 0)), "whole steps are asked for", True)
    chip = SimpleNamespace(name="chip", limits=[whole])
    (finding,) = [one for one in lint(clean(tau=0.375), dt=0.25, target=chip) if one.kind == "refused"]
    assert (finding.node, finding.field, finding.severity) == ("lif", "tau", "error")
    assert finding.message == "chip: whole steps are asked for"
    assert [one for one in lint(clean(tau=0.5), dt=0.25, target=chip) if one.kind == "refused"] == []


@pytest.mark.parametrize("dt", [0, -1, float("nan"), float("inf"), "1"])
def test_a_time_step_is_positive(dt):
    with pytest.raises(nirjax.ArgumentError, match="positive"):
        lint(clean(), dt=dt)
