"""Costs by hand: activity, synaptic operations, size."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import affine, graph, lif, ports

import nirjax
from nirjax import metrics
from nirjax.data import Batch
from nirjax.ir import nodes as ir

WEIGHT = np.array([[1, 0, -1], [0.5, 0, 0]], np.float32)  # fan-out of the inputs: 2, 0, 1


def single(node: Any, shape: tuple[int, ...] = (3,), output: tuple[int, ...] = (2,)) -> nirjax.Model:
    nodes = {"in": ir.Input(shape), "fc": node, "out": ir.Output(output)}
    return nirjax.from_nir(graph(nodes, "in fc out"), dt=1)


def operations(model: nirjax.Model, x: Any, length: Any = None) -> dict[str, np.ndarray]:
    batch = Batch(jnp.asarray(x), length=length)
    run = model.run(batch.x, record=metrics.synaptic_traces(model))
    return {name: np.asarray(metric(run, batch)) for name, metric in metrics.synaptic_operations(model).items()}


@pytest.mark.parametrize("node", [ir.Linear(WEIGHT), ir.Affine(WEIGHT, np.ones(2, np.float32))])
def test_operations_are_nonzero_activations_times_nonzero_weights(node: Any) -> None:
    x = np.zeros((4, 2, 3), np.float32)
    x[0, 0], x[1, 0], x[2, 0] = [1, 1, 1], [0, 1, 0], [-1, 0, 0]  # 3 + 0 + 2
    x[0, 1], x[3, 1] = [0, 0, 1], [0.5, 1, 1]  # 1, and 3 at a step at which one activation is not binary
    found = operations(single(node), x)
    np.testing.assert_array_equal(found["effective_acs"], [5, 1])
    np.testing.assert_array_equal(found["effective_macs"], [0, 3])
    np.testing.assert_array_equal(found["dense"], [24, 24])
    cut = operations(single(node), x, np.array([1, 3]))
    np.testing.assert_array_equal(cut["effective_acs"], [3, 1])
    np.testing.assert_array_equal(cut["dense"], [6, 18])


def test_operations_of_a_convolution_end_at_its_border() -> None:
    weight = np.ones((1, 1, 3), np.float32)
    weight[0, 0, 2] = 0
    node = ir.Conv1d(
        input_shape=4, weight=weight, stride=1, padding=1, dilation=1, groups=1, bias=np.ones(1, np.float32)
    )
    x = np.zeros((1, 1, 1, 4), np.float32)
    x[..., 0] = 1
    found = operations(single(node, (1, 4), (1, 4)), x)
    # The input at the border is seen by taps 1 and 0 of two windows; all weights: 2 + 3 + 3 + 2.
    np.testing.assert_array_equal(found["effective_acs"], [2])
    np.testing.assert_array_equal(found["dense"], [10])


def test_operations_in_a_recurrent_network() -> None:
    nodes = {**ports(), "lif": lif(r=2.5), "w": ir.Linear(np.ones((3, 3), np.float32) / 64)}
    model = nirjax.from_nir(graph(nodes, "in lif w lif", "lif out"), dt=1)
    x = np.zeros((5, 2, 3), np.float32)
    x[0], x[2, 1] = 1, 1
    spikes = np.asarray(model(jnp.asarray(x))[0]).sum((0, 2))
    assert (spikes > 0).all()
    found = operations(model, x)
    np.testing.assert_array_equal(found["effective_acs"], spikes * 3)
    np.testing.assert_array_equal(found["dense"], [45, 45])


def test_what_arrives_over_a_feedback_edge_is_a_step_late() -> None:
    nodes = {"in": ir.Input((3,)), "a": affine(), "lif": lif(), "out": ir.Output((3,))}
    model = nirjax.from_nir(graph(nodes, "in a lif a", "lif out"), dt=1)
    assert model.feedback == (("lif", "a"),)
    x = np.ones((6, 1, 3), np.float32) * 0.25
    batch = Batch(jnp.asarray(x))
    run = model.run(batch.x, record=metrics.synaptic_traces(model))
    late = np.concatenate([np.zeros((1, 1, 3)), np.asarray(run.output)[:-1]]) + x
    fan_out = np.count_nonzero(np.asarray(model.params["a"]["weight"]), axis=0)
    expected = ((late != 0) * fan_out).sum()
    assert np.asarray(run.output).any()
    np.testing.assert_array_equal(metrics.synaptic_operations(model)["effective_macs"](run, batch), [expected])


def test_activity() -> None:
    traces = {
        "a.spikes": jnp.array([[[1.0, 0, 0]], [[0, 2, 0]], [[9, 9, 9]]]),
        "b.spikes": jnp.array([[[1.0]], [[1]], [[0]]]),
        "a.v": jnp.ones((3, 1, 3)),
    }
    run, batch = nirjax.Run(jnp.zeros((3, 1, 1)), {}, traces), Batch(jnp.zeros((3, 1, 1)), length=jnp.array([2]))
    np.testing.assert_allclose(metrics.spike_rate(run, batch), [5 / 8])
    np.testing.assert_allclose(metrics.activation_sparsity(run, batch), [1 - 4 / 8])
    with pytest.raises(nirjax.PatternError, match="record"):
        metrics.activation_sparsity(nirjax.Run(run.output, {}, {}), batch)


def deep() -> nirjax.Model:
    """Two layers of spiking neurons, a convolution of numbers between them, a readout."""
    lif1 = ir.LIF(
        tau=np.full((1, 6), 2.0), r=np.full((1, 6), 3.0), v_leak=np.zeros((1, 6)), v_threshold=np.ones((1, 6))
    )
    conv = ir.Conv1d(
        input_shape=6, weight=np.array([[[0.5, 0, -1]], [[0, 0, 2]]], np.float32), stride=2, padding=1, dilation=1,
        groups=1, bias=np.zeros(2, np.float32),
    )  # fmt: skip
    nodes = {
        "in": ir.Input((1, 6)), "lif1": lif1, "scale": ir.Scale(np.full((1, 6), 0.5)), "conv": conv,
        "lif2": lif((2, 3), r=3.0), "flat": ir.Flatten(input_type=(2, 3), start_dim=0, end_dim=1),
        "fc": affine(2, 6, seed=5), "li": ir.LI(tau=np.ones(2), r=np.ones(2), v_leak=np.zeros(2)),
        "out": ir.Output((2,)),
    }  # fmt: skip
    return nirjax.from_nir(graph(nodes, "in lif1 scale conv lif2 flat fc li out"), dt=0.5)


def ragged(seed: int = 0) -> list[tuple[np.ndarray, int]]:
    random = np.random.default_rng(seed)
    return [((random.random((steps, 1, 6)) < 0.6).astype(np.float32), 0) for steps in (9, 4, 13, 6, 1)]


def test_a_workload_over_a_ragged_evaluation_is_that_of_each_recording_alone() -> None:
    model, data = deep(), ragged()
    metrics_ = metrics.workload(model)
    assert list(metrics_) == [
        "activation_sparsity", "spike_rate", "membrane_updates", "effective_acs", "effective_macs", "dense",
    ]  # fmt: skip
    record = metrics.workload_traces(model)
    found = nirjax.evaluate(model, data, metrics=metrics_, record=record, batch_size=3)
    for place, (x, _) in enumerate(data):
        expected = by_hand(model, x)
        for name in metrics_:
            assert found.per_sample[name][place] == pytest.approx(expected[name], rel=1e-6), name
    assert found.metrics["effective_macs"] > 0 < found.metrics["effective_acs"]


def by_hand(model: nirjax.Model, x: np.ndarray) -> dict[str, float]:
    """NeuroBench's definitions, number by number, for one recording."""
    run = model.run(x[:, None], record=["*.spikes", "*.v", "*.output"])
    traces = {name: np.asarray(trace)[:, 0] for name, trace in run.traces.items()}
    spikes = [traces["lif1.spikes"], traces["lif2.spikes"]]
    neurons = sum(one.size for one in spikes)
    counts = {"effective_acs": 0.0, "effective_macs": 0.0, "dense": 0.0}
    for inputs, weight in (
        (traces["scale.output"], toeplitz(np.asarray(model.params["conv"]["weight"]))),
        (traces["flat.output"], np.asarray(model.params["fc"]["weight"])),
    ):
        present = weight == weight
        for entering in inputs.reshape(len(inputs), -1):
            kind = "effective_acs" if set(entering.tolist()) <= {-1.0, 0.0, 1.0} else "effective_macs"
            for j, activation in enumerate(entering):
                counts[kind] += np.count_nonzero(np.nan_to_num(weight[:, j])) * (activation != 0)
                counts["dense"] += np.count_nonzero(present[:, j])
    updates = sum(
        traces[f"{name}.v"][0].size + (np.diff(traces[f"{name}.v"], axis=0) != 0).sum() for name in ("lif1", "lif2")
    )
    return {
        "activation_sparsity": sum((one == 0).sum() for one in spikes) / neurons,
        "spike_rate": sum(one.sum() for one in spikes) / neurons,
        "membrane_updates": float(updates),
        **counts,
    }


def toeplitz(weight: np.ndarray) -> np.ndarray:
    """The convolution of `deep` as a matrix; NaN where there is no synapse."""
    matrix = np.full((2, 3, 6), np.nan)
    for channel in range(2):
        for place in range(3):
            for tap in range(3):
                if 0 <= 2 * place + tap - 1 < 6:
                    matrix[channel, place, 2 * place + tap - 1] = weight[channel, 0, tap]
    return matrix.reshape(6, 6)


def test_metrics_by_node_add_up() -> None:
    model = deep()
    record = metrics.workload_traces(model)
    by_node = {
        **metrics.synaptic_operations_by_node(model),
        **metrics.spike_rate_by_node(model),
        **metrics.activation_sparsity_by_node(model),
    }
    assert set(by_node) == {
        *(f"{node}.{kind}" for node in ("conv", "fc") for kind in ("effective_acs", "effective_macs", "dense")),
        *(f"{node}.{kind}" for node in ("lif1", "lif2") for kind in ("spike_rate", "activation_sparsity")),
    }
    found = nirjax.evaluate(model, ragged(), metrics={**by_node, **metrics.workload(model)}, record=record).per_sample
    for kind in ("effective_acs", "effective_macs", "dense"):
        np.testing.assert_array_equal(found[f"conv.{kind}"] + found[f"fc.{kind}"], found[kind])
    for kind in ("spike_rate", "activation_sparsity"):
        np.testing.assert_allclose((found[f"lif1.{kind}"] + found[f"lif2.{kind}"]) / 2, found[kind], rtol=1e-6)
    np.testing.assert_array_equal(found["conv.effective_acs"], 0)  # halves enter it


def test_metrics_by_node_need_their_traces() -> None:
    model = deep()
    run, batch = model.run(np.ones((2, 1, 1, 6))), Batch(jnp.ones((2, 1, 1, 6)))
    for metric in (*metrics.spike_rate_by_node(model).values(), metrics.membrane_updates):
        with pytest.raises(nirjax.PatternError, match="record"):
            metric(run, batch)


def test_a_graph_without_neurons_or_connections_has_no_such_workload() -> None:
    lone = nirjax.from_nir(graph({**ports(), "s": ir.Scale(np.ones(3))}, "in s out"), dt=1)
    assert metrics.workload(lone) == {}
    assert metrics.workload_traces(lone) == ()


def test_whole_numbers_as_targets_are_no_labels_to_a_workload() -> None:
    model = deep()
    found = nirjax.evaluate(
        model, [(x, 7) for x, _ in ragged()], metrics=metrics.workload(model), record=metrics.workload_traces(model)
    )
    assert found.samples == 5


def test_size() -> None:
    nodes = {
        **ports((3,)),
        "fc": ir.Affine(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 2]], np.float32), np.zeros(3, np.float32)),
        "lif": lif(),
    }
    model = nirjax.from_nir(graph(nodes, "in fc lif out"), dt=1)
    assert metrics.parameter_count(model) == 9 + 3 + 5 * 3
    assert metrics.footprint(model) == 4 * (9 + 3 + 5 * 3 + 3)
    assert metrics.connection_sparsity(model) == pytest.approx(6 / 9)
    assert metrics.parameter_count_by_node(model) == {"fc": 12, "lif": 15}
    assert metrics.footprint_by_node(model) == {"fc": 48, "lif": 72}
    assert metrics.connection_sparsity_by_node(model) == {"fc": pytest.approx(6 / 9)}
    assert metrics.connection_sparsity_by_node(deep())["conv"] == pytest.approx(3 / 6)
    lone = nirjax.from_nir(graph({**ports(), "lif": lif()}, "in lif out"), dt=1)
    assert np.isnan(metrics.connection_sparsity(lone))
    assert metrics.synaptic_traces(lone) == ()


def test_operations_need_their_traces() -> None:
    model = single(ir.Linear(WEIGHT))
    with pytest.raises(nirjax.PatternError, match="synaptic_traces"):
        metrics.synaptic_operations(model)["effective_acs"](
            model.run(jnp.zeros((1, 1, 3))), Batch(jnp.zeros((1, 1, 3)))
        )
    result = nirjax.evaluate(
        model,
        np.ones((3, 4, 3), np.uint8),
        metrics=metrics.synaptic_operations(model),
        record=metrics.synaptic_traces(model),
    )
    assert result.metrics == {"effective_acs": 12, "effective_macs": 0, "dense": 24}
