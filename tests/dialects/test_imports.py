"""Import dialects against what the frameworks answered after importing the same files (tools/record_imports.py)."""

import dataclasses
import functools
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import nirjax
from nirjax import dialects, ir
from nirjax.ir.nodes import NODE_TYPES

DATA = Path(__file__).parents[1] / "data" / "imports"
OUTCOMES = json.loads((DATA / "outcomes.json").read_text())
CASES = [f"{framework}__{name}" for framework, found in OUTCOMES.items() for name in found["dt"]]
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Half of the time goes into compiling, and these graphs are small."""

ELSEWHERE = {
    "norse__skip": "NIRTorch returns the node that comes last in a depth-first walk",
    "sinabs__skip": "the same",
    "sinabs__lif_recurrent": "recurrence is ignored",
    "rockpool__cuba_recurrent": "recurrence is ignored",
    "snntorch__lif_recurrent": "the layer's input goes through the recurrent weights",
    "snntorch__cuba_recurrent": "the same",
}
"""Files of which a framework makes something else than the graph says."""


@functools.cache
def read(case):
    return nirjax.read(DATA / f"{case}.nir", trusted=True)


def dialect_of(case, **words):
    framework, name = case.split("__")
    if "subtract" in name:
        words["reset_method"] = "subtract"
    if "nested" in name and framework in ("snntorch", "rockpool"):
        words["nested"] = True
    return getattr(dialects, f"{framework}_import")(**words)


def mismatches(case, graph, dialect):
    """How many of the framework's values another model does not give; values that are not spikes to 1e-6."""
    framework, name = case.split("__")
    recorded = np.load(DATA / f"{case}.npz")
    model = nirjax.from_nir(graph, dt=OUTCOMES[framework]["dt"][name], dialect=dialect)
    found = np.asarray(jax.jit(lambda x: model(x)[0]).lower(recorded["x"]).compile(QUICKLY)(recorded["x"]))
    if found.shape != recorded["y"].shape:
        return found.size
    spikes = np.array_equal(recorded["y"], np.round(recorded["y"]))
    return np.count_nonzero(np.abs(found - recorded["y"]) > (0 if spikes else 1e-6))


@pytest.mark.parametrize("case", [case for case in CASES if case not in ELSEWHERE])
def test_a_file_runs_as_in_the_framework_that_imports_it(case):
    assert np.load(DATA / f"{case}.npz")["y"].mean() > 0.02
    assert mismatches(case, read(case), dialect_of(case)) == 0


@pytest.mark.parametrize("case", [case for case in CASES if re.fullmatch("(?!spiki).*__(lif|cuba|if|conv)", case)])
def test_nir_s_own_semantics_would_not_do(case):
    """The recordings tell the dialects apart. (SpikingJelly takes little that it would run differently.)"""
    assert mismatches(case, read(case), "nir") > 0


# -------------------------------------------------------------------------------- what frameworks make of other files


def without(graph, *names, edges=()):
    nodes = {name: node for name, node in graph.nodes.items() if name not in names}
    kept = tuple(edge for edge in graph.edges if not {*edge} & {*names})
    return dataclasses.replace(graph, nodes=nodes, edges=kept + tuple(edges))


@pytest.mark.parametrize("case", ["sinabs__lif_recurrent", "rockpool__cuba_recurrent"])
def test_who_ignores_recurrence_refuses_it_here(case):
    with pytest.raises(nirjax.UnsupportedByTarget) as error:
        nirjax.from_nir(read(case), dt=1, dialect=dialect_of(case))
    assert error.value.node in ("l2.lif", "l2.w_rec")
    assert mismatches(case, without(read(case), "l2.w_rec"), dialect_of(case)) == 0


@pytest.mark.parametrize("case", ["snntorch__lif_recurrent", "snntorch__cuba_recurrent"])
def test_snntorch_sends_a_recurrent_layer_s_input_through_its_weights(case):
    graph = read(case)
    with pytest.raises(nirjax.UnsupportedByTarget):
        nirjax.from_nir(graph, dt=1e-4, dialect=dialect_of(case))
    edges = tuple((a, "l2.w_rec" if (a, b) == ("l1_fc", "l2.lif") else b) for a, b in graph.edges)
    rewired = dataclasses.replace(graph, edges=edges)
    assert mismatches(case, rewired, dialect_of(case, nested=True)) == 0
    assert mismatches(case, graph, dialect_of(case, nested=True)) > 0


@pytest.mark.parametrize("case", ["norse__skip", "sinabs__skip"])
def test_nirtorch_s_executor_returns_the_last_node_of_a_depth_first_walk(case):
    """Which is l3_skip. A dialect does not see edges: it gives what the graph says, and `lint` finds this."""
    assert mismatches(case, read(case), dialect_of(case)) > 0
    cut = without(read(case), "l3_fc", "l4_lif", edges=[("l3_skip", "output")])
    assert mismatches(case, cut, dialect_of(case)) == 0
    framework = case.split("__")[0]
    assert any("l3_skip" in finding.message for finding in nirjax.lint(read(case), target=framework))


# ------------------------------------------------------------------------------------------------------ refused types

TAKEN_BUT_WRONG = {("rockpool", "LI"): "its time constant is cut to an integer, 0: no parameter has an effect"}
ONLY_TOGETHER = {("spyx", "LI"), ("spyx", "Threshold")}


@pytest.mark.parametrize("framework", OUTCOMES)
def test_what_a_framework_fails_on_or_cuts_out_is_refused(framework):
    outcomes = OUTCOMES[framework]["nodes"]
    assert outcomes.keys() == NODE_TYPES.keys() - {"Input", "Output"}
    refused = {name for name, outcome in outcomes.items() if outcome != "runs"}
    refused |= {kind for by, kind in TAKEN_BUT_WRONG if by == framework}
    refused -= {kind for by, kind in ONLY_TOGETHER if by == framework}
    assert dialect_of(f"{framework}__").refused == refused


def test_a_type_that_is_taken_is_recorded_somewhere():
    for framework, found in OUTCOMES.items():
        seen = set()
        for name in found["dt"]:
            nodes = ir_nodes(read(f"{framework}__{name}"))
            seen |= {type(node).__name__ for node in nodes}
        taken = NODE_TYPES.keys() - dialect_of(f"{framework}__").refused
        assert seen >= taken - {"AvgPool2d", "Conv1d"} - ({"LI"} if framework == "rockpool" else set())


def ir_nodes(graph):
    for node in graph.nodes.values():
        yield from ir_nodes(node) if isinstance(node, nirjax.NIRGraph) else [node]


def test_a_refusal_names_the_node_and_the_dialect():
    graph = nirjax.NIRGraph.from_list(ir.Input((3,)), ir.Scale(np.ones(3, np.float32)))
    with pytest.raises(nirjax.UnsupportedByTarget, match=r"'scale'.*norse_import\(reset_method='value'\).*Scale"):
        nirjax.from_nir(graph, dt=1e-3, dialect="norse_import")


def test_all_recordings_together_stay_small():
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 1_000_000
