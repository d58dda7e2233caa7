"""`compare`: equal or not, where two parted, and the reason where one can be told."""

import re

import numpy as np
import pytest
from engine.graphs import affine, graph, if_, lif, linear, ports, spikes
from test_golden import load

import nirjax
from nirjax import ir


def net(**changes):
    """Two layers whose membranes are multiples of 1/4 at first, so that ties happen."""
    nodes = {"fc1": affine(seed=1), "lif1": lif(**changes), "fc2": linear(seed=3), "lif2": lif(**changes)}
    return graph(ports() | nodes, "in fc1 lif1 fc2 lif2 out")


X = spikes(40, 2, 3, seed=2)


def model(source=None, **choices):
    return nirjax.from_nir(net() if source is None else source, dt=1, **choices)


# ----------------------------------------------------------------------------------------------------- equal or not


def test_a_model_equals_itself():
    found = nirjax.compare(model(), model(), X)
    assert found.equal
    assert [one.trace for one in found.traces] == ["lif1.spikes", "lif2.spikes", "output"]
    assert all(one.count == 0 and one.step is None and one.largest == 0 for one in found.traces)
    assert (found.step, found.node, found.element, found.values, found.why) == (None,) * 5
    assert str(found).startswith("equal\n")
    assert "part" not in str(found)


@pytest.mark.usefixtures("x64")
def test_dtypes_may_differ():
    found = nirjax.compare(model(dtype="float32"), model(dtype="float64"), X, record=["*.v", "*.spikes"])
    assert found.equal
    assert len(found.traces) == 5


def test_schedules_do_not_matter():
    assert nirjax.compare(model(schedule=1), model(schedule=7), X, record="*").equal


def test_a_change_in_the_second_layer_parts_there():
    changed = nirjax.partition(model(), ["fc2.weight"])[0]
    other = model().replace(params={**model().params, "fc2": {"weight": -2 * changed["fc2"]["weight"]}})
    found = nirjax.compare(model(), other, X, record=["*.spikes", "fc2.output"])
    counts = {one.trace: one.count for one in found.traces}
    assert counts["lif1.spikes"] == 0
    assert counts["lif2.spikes"] == counts["output"] > 0
    a, b = (np.asarray(m.run(X, record="fc2.output").traces["fc2.output"]) for m in (model(), other))
    step = int(np.argmax((a != b).any(axis=(1, 2))))
    assert (found.step, found.node) == (step, "fc2")
    assert found.element == tuple(np.argwhere(a[step] != b[step])[0])
    assert found.values == (a[step][found.element], b[step][found.element])
    assert found.why is None


def test_the_earliest_step_wins_and_then_the_order_along_the_graph():
    recording = {"lif2.spikes": np.zeros((4, 3)), "lif1.spikes": np.zeros((4, 3)), "output": np.zeros((4, 3))}
    other = {name: trace.copy() for name, trace in recording.items()}
    other["output"][1, 2] = other["lif2.spikes"][1, 1] = other["lif1.spikes"][2, 0] = 1
    found = nirjax.compare(recording, other)
    assert (found.step, found.node, found.element, found.values) == (1, "lif2", (1,), (0.0, 1.0))


def test_nan_equals_nan_and_nothing_else():
    trace = np.array([[0.5], [np.nan], [np.nan]])
    assert nirjax.compare({"lif1.v": trace}, {"lif1.v": trace.copy()}, record="*").equal
    found = nirjax.compare({"lif1.v": trace}, {"lif1.v": np.array([[0.5], [np.nan], [1.0]])}, record="*")
    assert (found.step, found.traces[0].count, found.traces[0].largest) == (2, 1, 0.0)


def test_analogue_traces_are_compared_to_a_part_in_1e5():
    trace = np.linspace(0, 7, 40).reshape(-1, 1)
    assert nirjax.compare({"a.v": trace}, {"a.v": trace + 6e-5}, record="*").equal
    assert not nirjax.compare({"a.v": trace}, {"a.v": trace + 8e-5}, record="*").equal


# ------------------------------------------------------------------------------------------------------------ reasons


def test_why_a_reset():
    a, b = model(), model(overrides={"*": {"reset": "subtract"}})
    found = nirjax.compare(a, b, X)
    assert not found.equal
    assert found.node == "lif1"
    assert "a is reset to zero, and b keeps what was above the threshold" in found.why
    assert "'lif1'" in found.why
    turned = nirjax.compare(b, a, X)
    assert "a keeps what was above the threshold, and b is reset to zero" in turned.why
    assert f"why: {turned.why}" in str(turned)


def test_why_only_the_membrane_differs_after_a_spike():
    changed = {"reset": "zero"}
    found = nirjax.compare(
        model(net(v_reset=-0.25)), model(net(v_reset=-0.25), overrides={"lif2": changed}), X, record="lif2.v"
    )
    assert "is reset to v_reset, and b is reset to zero" in found.why


def test_why_a_delayed_reset():
    found = nirjax.compare(model(), model(overrides={"lif1": {"order": ("integrate", "fire")}}), X, record="lif1.*")
    assert "b is still above the threshold" in found.why


def test_why_a_lag_that_grows_along_the_graph():
    late = model(overrides={"lif?": {"order": ("fire", "reset", "integrate")}})
    found = nirjax.compare(model(), late, X)
    assert found.why == "b is a, later by 1 in 'lif1.spikes', 2 in 'lif2.spikes', 2 in 'output' steps"
    found = nirjax.compare(late, model(), X, record="lif1.spikes")
    assert found.why.startswith("a is b, later by")


def test_why_one_lag():
    trace = spikes(30, 4, seed=5)
    late = np.concatenate([np.zeros((3, 4)), trace[:-3]])
    found = nirjax.compare({"a.spikes": trace, "b.spikes": trace}, {"a.spikes": late, "b.spikes": late})
    assert found.why == "b is a, 3 steps later"
    found = nirjax.compare({"a.spikes": trace}, {"a.spikes": np.roll(trace, 15, axis=0)[::-1]})
    assert found.why is None


def test_silence_is_not_a_lag():
    silent, once = np.zeros((20, 1)), np.zeros((20, 1))
    once[-1] = 1
    assert nirjax.compare({"a.spikes": silent}, {"a.spikes": once}).why is None


def test_why_another_unit_of_voltage():
    scaled = net(r=50, v_threshold=25)
    found = nirjax.compare(model(), model(scaled), X, record=["lif1.v", "lif1.spikes"])
    assert {one.trace for one in found.traces if one.count} == {"lif1.v"}
    assert found.why == "'lif1.v' is 25 times as large in b"


def test_why_a_tie():
    found = nirjax.compare(model(), model(overrides={"*": {"comparison": ">="}}), X)
    assert found.why == f"the membrane of {found.node!r} lies on the threshold: a tie, or rounding"


def test_no_reason_is_made_up():
    other = graph(dict(net().nodes) | {"fc1": affine(seed=9)}, "in fc1 lif1 fc2 lif2 out")
    found = nirjax.compare(model(), model(other), X)
    assert found.node == "lif1"
    assert found.why is None
    assert "why: not told by the traces" in str(found)


# --------------------------------------------------------------------------------------- recordings and other graphs


def test_a_recording_may_be_a_dict_or_a_file(tmp_path):
    run = model().run(X, record="*.spikes")
    recording = {**{name: np.asarray(trace, bool) for name, trace in run.traces.items()}, "output": run.output}
    np.savez(tmp_path / "run.npz", **recording)
    assert nirjax.compare(model(), recording, X).equal
    assert nirjax.compare(tmp_path / "run.npz", model(), X).equal
    assert nirjax.compare(str(tmp_path / "run.npz"), recording).equal
    recording["lif2.spikes"] = ~recording["lif2.spikes"]
    found = nirjax.compare(model(), recording, X)
    assert (found.step, found.node, found.traces[1].count) == (0, "lif2", 240)


def test_graphs_with_some_names_in_common():
    longer = graph(
        dict(net().nodes) | {"fc3": affine(seed=5), "lif3": if_()}, "in fc1 lif1 fc2 lif2 out", "lif2 fc3 lif3"
    )
    found = nirjax.compare(model(), model(longer), X)
    assert found.equal
    assert found.alone == ("lif3.spikes",)
    assert "only one of the two has 'lif3.spikes'" in str(found)


def test_several_outputs_are_compared_by_name():
    two = graph(dict(net().nodes) | {"out2": ir.Output((3,))}, "in fc1 lif1 fc2 lif2 out", "lif1 out2")
    found = nirjax.compare(model(two), model(two), X, record=["out*.output"])
    assert [one.trace for one in found.traces] == ["out2.output", "out.output"]
    assert found.equal


def test_several_inputs():
    nodes = {"a": ir.Input((3,)), "b": ir.Input((3,)), "lif": lif(r=1.5), "out": ir.Output((3,))}
    two = graph(nodes, "a lif out", "b lif")
    other = model(two, overrides={"lif": {"reset": "subtract"}})
    found = nirjax.compare(model(two), other, {"a": X, "b": X}, record="lif.v")
    assert "reset to zero" in found.why


def test_a_graph_without_neurons():
    plain = graph(ports() | {"fc": affine()}, "in fc out")
    assert [one.trace for one in nirjax.compare(model(plain), model(plain), X).traces] == ["output"]


def test_a_name_that_starts_with_an_exclamation_mark():
    odd = graph(ports() | {"!n[0]*": lif()}, "in !n[0]* out")
    assert [one.trace for one in nirjax.compare(model(odd), model(odd), X).traces] == ["!n[0]*.spikes", "output"]


@pytest.mark.parametrize("name", ["snntorch/leaky_subtract_nodelay", "norse/lifbox_mlp_vleak"])
def test_a_golden_recording(name):
    home, recorded = load(name)
    recording = {"1.spikes": recorded["h_1"], "output": recorded["y"]}
    assert nirjax.compare(home, recording, recorded["x"]).equal
    found = nirjax.compare(home.replace(dialect="sinabs"), recording, recorded["x"])
    assert not found.equal
    assert found.node == "1"


# ------------------------------------------------------------------------------------------------------- bad requests


def test_what_is_asked_for_in_vain_is_answered_with_what_there_is(tmp_path):
    with pytest.raises(nirjax.PatternError, match=r"lif9.*lif1\.spikes"):
        nirjax.compare(model(), model(), X, record="lif9.*")
    with pytest.raises(nirjax.PatternError, match=r"no such trace in common.*lif1\.spikes"):
        nirjax.compare(model(), {"lif1.spikes": np.zeros((40, 2, 3))}, X, record="lif2.spikes")
    with pytest.raises(nirjax.PatternError, match="in common"):
        nirjax.compare({"a.spikes": X}, {"b.spikes": X})
    with pytest.raises(nirjax.ArgumentError, match="needs an input"):
        nirjax.compare(model(), model())
    with pytest.raises(nirjax.ArgumentError, match=r"'b'.*neither a model nor a recording.*float"):
        nirjax.compare(model(), 0.5, X)
    with pytest.raises(nirjax.ShapeError, match=r"lif1\.spikes.*\(40, 2, 3\) in a, \(39, 2, 3\) in b"):
        nirjax.compare(model(), {"lif1.spikes": np.zeros((39, 2, 3))}, X, record="lif1.spikes")
    with pytest.raises(nirjax.DataError, match=r"lif1\.spikes.*dtype"):
        nirjax.compare(model(), {"lif1.spikes": np.array(["a"])}, X)
    (tmp_path / "not.npz").write_bytes(b"nothing")
    np.save(tmp_path / "one.npy", X)
    for bad in ("not.npz", "one.npy", "missing.npz"):
        with pytest.raises(nirjax.FileError, match=re.escape(bad)):
            nirjax.compare(model(), tmp_path / bad, X)


# ----------------------------------------------------------------------------------------------------------- NIR data


def recorded(source, x=X):
    run = source.run(x, record=["*.spikes", "lif1.v"])
    return nirjax.data.to_nir_data(source, run, x)


@pytest.mark.parametrize("batch", [(2,), (), (1, 2)])
def test_a_model_equals_its_run_saved_as_nir_data(batch, tmp_path):
    x = X.reshape(40, *batch, 3) if batch else X[:, 0]
    data = recorded(model(), x)
    nirjax.data.write(tmp_path / "run.nir", data)
    for recording in (data, tmp_path / "run.nir", data.to_reference()):
        for pair in ((model(), recording), (recording, model())):
            found = nirjax.compare(*pair, x, record=["*.spikes", "lif1.v"])
            assert found.equal
            assert {one.trace for one in found.traces} == {"lif1.v", "lif1.spikes", "lif2.spikes", "output"}
    assert nirjax.compare(data, tmp_path / "run.nir", record="*").equal


def test_where_nir_data_parts_from_a_model():
    other = model(dialect=nirjax.dialects.snntorch())
    found = nirjax.compare(model(), recorded(other), X)
    expected = nirjax.compare(model(), other, X)
    assert not found.equal
    assert (found.step, found.node, found.element) == (expected.step, expected.node, expected.element)
    assert found.traces == expected.traces


def test_events_are_binned_at_the_model_s_time_step():
    data = recorded(model())
    events = {name: nirjax.data.NIRNodeData({"spikes": node.observables["spikes"].to_event(time_shift=0.5)})
              for name, node in data.nodes.items()}  # fmt: skip
    assert nirjax.compare(model(), nirjax.data.NIRGraphData(events), X).equal
    assert nirjax.compare(data, nirjax.data.NIRGraphData(events)).equal
    with pytest.raises(nirjax.ArgumentError, match="no time step"):
        nirjax.compare(nirjax.data.NIRGraphData(events), nirjax.data.NIRGraphData(events))


def test_nir_data_of_other_nodes_and_steps():
    data = recorded(model())
    more = nirjax.data.NIRGraphData({**data.nodes, "other": data.nodes["lif1"]})
    found = nirjax.compare(model(), more, X)
    assert found.equal
    assert found.alone == ("other.spikes",)
    slow = nirjax.data.to_nir_data(model().replace(dt=2.0), {"lif1.spikes": np.zeros((40, 2, 3))})
    for pair in ((model(), slow), (data, slow)):
        with pytest.raises(nirjax.DataError, match="another time step"):
            nirjax.compare(*pair, X)
