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
    x[0, 1], x[3, 1] = [0, 0, 1], [0.5, 1, 1]  # 1 + 3, and one activation is not binary
    found = operations(single(node), x)
    np.testing.assert_array_equal(found["effective_acs"], [5, 0])
    np.testing.assert_array_equal(found["effective_macs"], [0, 4])
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
