"""Runs saved as NIR data and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirjax
from data_room.nir_examples import same
from nirjax.data import (
    EventData,
    NIRGraphData,
    NIRNodeData,
    TimeGriddedData,
    ValuedEventData,
    from_nir_data,
    read,
    to_nir_data,
    write,
)
from nirjax.errors import ArgumentError, DataError, ShapeError
from nirjax.ir import nodes as ir

SHAPE = (2, 3)


def neurons(shape: tuple[int, ...] = SHAPE) -> ir.LIF:
    ones = np.ones(shape)
    return ir.LIF(tau=10 * ones, r=8 * ones, v_leak=0 * ones, v_threshold=ones)


def model(dt: float = 1.0) -> nirjax.Model:
    """A neuron in a subgraph, one whose name has a dot, and a readout of numbers."""
    inner = nirjax.NIRGraph(
        {"in": ir.Input(SHAPE), "lif": neurons(), "out": ir.Output(SHAPE)}, [("in", "lif"), ("lif", "out")]
    )
    ones = np.ones(6)
    nodes = {
        "input": ir.Input(SHAPE),
        "sub": inner,
        "dot.ted": neurons(),
        "flat": ir.Flatten(input_type=SHAPE, start_dim=0, end_dim=-1),
        "li": ir.LI(tau=5 * ones, r=ones, v_leak=0 * ones),
        "output": ir.Output((6,)),
    }
    edges = [("input", "sub"), ("sub", "dot.ted"), ("dot.ted", "flat"), ("flat", "li"), ("li", "output")]
    return nirjax.from_nir(nirjax.NIRGraph(nodes, edges), dt=dt)


X = (np.random.default_rng(0).random((15, 4, *SHAPE)) < 0.6).astype(np.float32)
RECORD = ["*.spikes", "sub.lif.v", "li.v"]


@pytest.mark.parametrize("batch", [(4,), (2, 2), ()])
def test_a_run_saved_and_read_again(batch: tuple[int, ...], tmp_path: Path) -> None:
    x = X.reshape(15, *batch, *SHAPE) if batch else X[:, 0]
    run = model().run(x, record=RECORD)
    data = to_nir_data(model(), run, x)
    data.check_nodes(model().graph)
    write(tmp_path / "run.nir", data)
    found = from_nir_data(tmp_path / "run.nir", model())
    expected = {**run.traces, "output.output": run.output, "input.output": x}
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].reshape(values.shape), values)


def test_the_form_of_the_data() -> None:
    run = model().run(X, record=RECORD)
    data = to_nir_data(model(), run, X)
    found = {(path, name): one for path, name, one in data.walk()}
    assert set(found) == {
        (("input",), "spikes"), (("sub", "lif"), "spikes"), (("sub", "lif"), "v"), (("dot.ted",), "spikes"),
        (("li",), "v"), (("output",), "output"),
    }  # fmt: skip
    assert all(one.dt == 1 for one in found.values())
    spikes = found[("sub", "lif"), "spikes"]
    assert spikes.data.dtype == bool
    np.testing.assert_array_equal(spikes.data[2, :, 4], np.asarray(run.traces["sub.lif.spikes"])[:, 2, 1, 1])
    assert found[("output",), "output"].data.dtype == np.float32
    same(data, data.to_reference())


def test_a_silent_readout_is_no_spikes_and_a_silent_neuron_is() -> None:
    run = model().run(0 * X, record=["*.spikes"])
    data = to_nir_data(model(), run)
    assert data.nodes["output"].observables.keys() == {"output"}
    assert data.nodes["dot.ted"].observables["spikes"].data.dtype == bool
    lone = small()
    assert to_nir_data(lone, lone.run(0 * X)).nodes["output"].observables.keys() == {"spikes"}


def test_several_spikes_in_a_step_stay_numbers() -> None:
    counts = {"dot.ted.spikes": np.full((3, 1, *SHAPE), 2.0)}
    observable = to_nir_data(model(), counts).nodes["dot.ted"].observables["spikes"]
    assert observable.data.dtype == float
    assert (observable.data == 2).all()


def test_data_of_another_framework() -> None:
    """As nirtorch writes it: spikes by node, and no shapes."""
    events = nir.EventData(np.array([[4, 0, -1]]), np.array([[0.1, 0.3, np.inf]]), 6, 0.5)
    values = nir.ValuedEventData(np.array([[5]]), np.array([[0.2]]), 6, 0.5, np.array([[0.25]]))
    data = nir.NIRGraphData({"input": nir.NIRNodeData({"spikes": events}), "li": nir.NIRNodeData({"v": values})})
    found = from_nir_data(data, model(0.1))
    assert found["input.output"].shape == (5, 1, *SHAPE)
    assert np.argwhere(found["input.output"]).tolist() == [[1, 0, 1, 1], [3, 0, 0, 0]]
    assert np.argwhere(found["li.v"]).tolist() == [[2, 0, 5]]
    flat = from_nir_data(data, dt=0.1)
    assert flat["input.spikes"].shape == (5, 1, 6)
    np.testing.assert_array_equal(flat["li.v"], found["li.v"])


def test_names_of_nested_nodes_have_dots() -> None:
    node = NIRNodeData({"v": TimeGriddedData(np.zeros((2, 3, 4)), 1.0)})
    data = NIRGraphData({"a": NIRGraphData({"b": node}), "c.d": node})
    assert {name: values.shape for name, values in from_nir_data(data).items()} == {
        "a.b.v": (3, 2, 4),
        "c.d.v": (3, 2, 4),
    }


def at(**nodes: Any) -> NIRGraphData:
    return NIRGraphData({name: NIRNodeData({"spikes": one}) for name, one in nodes.items()})


GRID = TimeGriddedData(np.ones((2, 5, 6), bool), 0.1)
EVENTS = EventData(np.array([[5], [1]]), np.array([[0.2], [0.3]]), 6, 0.5)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: to_nir_data(model(), {"lif.v": X}), DataError, "no such trace"),
        (lambda: to_nir_data(model(), {"sub.lif.v": X[..., :2]}), ShapeError, "shape of this trace"),
        (lambda: from_nir_data(at(lif=GRID), model(0.1)), DataError, "no such node"),
        (lambda: from_nir_data(at(input=GRID), model(0.2)), DataError, "another time step"),
        (lambda: from_nir_data(at(input=GRID), dt=0.2), DataError, "another time step"),
        (lambda: from_nir_data(at(input=EVENTS)), ArgumentError, "no time step"),
        (
            lambda: from_nir_data(at(input=TimeGriddedData(np.ones((1, 1, 5)), 0.1)), model(0.1)),
            DataError,
            "number of neurons",
        ),
        (lambda: from_nir_data(at(input=GRID), dt=-1.0), ArgumentError, "positive"),
        (lambda: from_nir_data(3), DataError, "no NIR data"),
    ],
)
def test_what_is_refused(call: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


# ------------------------------------------------------------------------------------------------------ as a source


def small(dt: float = 0.1) -> nirjax.Model:
    nodes = {"input": ir.Input(SHAPE), "lif": neurons(), "output": ir.Output(SHAPE)}
    return nirjax.from_nir(nirjax.NIRGraph(nodes, [("input", "lif"), ("lif", "output")]), dt=dt)


def mean_square(run: nirjax.Run, batch: nirjax.data.Batch) -> Any:
    axes = (0, *range(2, batch.y.ndim))
    return ((run.output - batch.y) ** 2).mean(axes)


@pytest.mark.parametrize("kind", ["grid", "events", "values", "file", "reference"])
def test_data_is_a_source_for_a_model(kind: str, tmp_path: Path) -> None:
    spikes = np.random.default_rng(0).random((5, 12, 6)) < 0.7
    grid = TimeGriddedData(spikes, 0.1)
    events = grid.to_event(time_shift=0.05)
    values = ValuedEventData(events.idx, events.time, 6, events.t_max, np.ones(events.shape))
    signal = {"events": events, "values": values}.get(kind, grid)
    answer = TimeGriddedData(np.roll(spikes, 1, axis=1), 0.1)
    data: Any = at(input=signal, output=answer)
    if kind == "file":
        write(tmp_path / "data.nir", data)
        data = tmp_path / "data.nir"
    if kind == "reference":
        data = data.to_reference()
    x = spikes.reshape(5, 12, *SHAPE)
    y = np.roll(x, 1, axis=1).astype(np.float32)
    expected = nirjax.evaluate(small(), (x, y), metrics={"gap": mean_square}, batch_size=2)
    found = nirjax.evaluate(small(), data, metrics={"gap": mean_square}, batch_size=2)
    assert expected.metrics["gap"] > 0
    np.testing.assert_array_equal(found.per_sample["gap"], expected.per_sample["gap"])


def test_labels_beside_the_data() -> None:
    flat = nirjax.from_nir(
        nirjax.NIRGraph(
            {"input": ir.Input((6,)), "lif": neurons((6,)), "output": ir.Output((6,))},
            [("input", "lif"), ("lif", "output")],
        ),
        dt=0.1,
    )
    spikes = np.random.default_rng(0).random((5, 12, 6)) < 0.7
    y = np.arange(5)
    expected = nirjax.evaluate(flat, (spikes, y))
    for signal in (TimeGriddedData(spikes, 0.1), TimeGriddedData(spikes, 0.1).to_event()):
        found = nirjax.evaluate(flat, (at(input=signal), y))
        assert found.metrics == expected.metrics
        assert "accuracy" in found.metrics
    with pytest.raises(DataError, match="number of samples"):
        nirjax.evaluate(flat, (at(input=TimeGriddedData(spikes, 0.1).to_event()), y[:3]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (at(other=GRID), "nothing at this node"),
        (at(input=TimeGriddedData(np.ones((2, 5, 6), bool), 0.2)), "another time step"),
        (at(input=TimeGriddedData(np.ones((2, 5, 7), bool), 0.1)), "number of neurons"),
        (at(input=EventData(np.array([[6]]), np.array([[0.2]]), 7, 0.5)), "number of neurons"),
        (at(input=EventData(np.array([[5]]), np.array([[0.7]]), 6, 0.5)), "outside the recording"),
        (NIRGraphData({"input": NIRNodeData({"a": GRID, "b": GRID})}), "which of these"),
    ],
)
def test_data_that_is_no_source_for_a_model(data: NIRGraphData, words: str) -> None:
    with pytest.raises(DataError, match=words):
        nirjax.evaluate(small(), data)


def test_without_a_model_data_is_no_source(tmp_path: Path) -> None:
    write(tmp_path / "d.nir", at(input=GRID))
    for source in (tmp_path / "d.nir", read(tmp_path / "d.nir")):
        with pytest.raises(DataError, match="from_nir_data"):
            nirjax.data.batches(source, batch_size=1)


def test_an_array_in_a_file_is_a_source(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((3, 12, *SHAPE)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    found = nirjax.evaluate(small(), tmp_path / "x.npy")
    assert found.metrics == nirjax.evaluate(small(), x).metrics
