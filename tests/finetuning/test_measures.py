"""Measured in pieces or on the whole run: the same numbers, the same gradients; in pieces wherever that can be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest
from engine.graphs import filled, graph, lif, linear

import nirjax
from finetuning.tasks import data, model
from nirjax.data import Batch
from nirjax.errors import ArgumentError, DataError
from nirjax.finetuning import compiling, losses, measures, time_folds
from nirjax.finetuning.folded_loss import FoldedLoss
from nirjax.finetuning.measures import Measures, measured
from nirjax.finetuning.objectives import as_objective
from nirjax.finetuning.pieces import pieces_of
from nirjax.finetuning.scores import prediction, spike_rate
from nirjax.ir import nodes as ir

RECORD = ("lif1.v", "*.spikes")
REGULARISED = losses.weighted_sum(
    (losses.spike_count_cross_entropy, 1.0), (losses.of_trace(losses.activity_l2, "lif1.spikes"), 0.5)
)
OWN = FoldedLoss(time_folds.maximum, lambda largest, target: largest.sum(-1) * (1 + target))
FOLDABLE: dict[str, Any] = {
    **{loss.__name__: loss for loss in losses._FOLDED},
    "with keywords": functools.partial(losses.first_spike_time_mse, correct=2.0),
    "of a trace": losses.of_trace(losses.max_membrane_cross_entropy, "lif2.v"),
    "of a hidden trace": losses.of_trace(functools.partial(losses.activity_above, rate=0.1), "lif1.spikes"),
    "regularised": REGULARISED,
    "of one's own": OWN,
    "spike_rate": spike_rate,
    "prediction": prediction,
}
NOT_FOLDABLE: dict[str, Any] = {
    "membrane_mse": losses.membrane_mse,
    "van_rossum": losses.van_rossum_distance,
    "a function": lambda run, batch: run.output.sum((0, 2)),
    "a sum with a function": losses.weighted_sum((losses.spike_count_mse, 1.0), (lambda run, batch: batch.y * 1.0, 1)),
    "a trace that is not recorded": losses.of_trace(losses.activity_l1, "lif2.i"),
}


def ragged() -> Batch:
    x, y = data(5, steps=12)
    return Batch(np.swapaxes(x, 0, 1), y.astype(np.int32), np.array([12, 7, 1, 9, 4], np.int32), np.arange(5) < 4)


def values(function: Any, block: int, gradient: bool) -> Callable[[Any], Any]:
    """Parameters to the function's values in a ragged batch, or to the gradient of their sum."""
    whole, batch = model().replace(schedule=nirjax.Schedule(block)), ragged()

    def of(params: Any) -> Any:
        found = measured({"it": as_objective(function, "it")}, whole.replace(params=params), batch, (*RECORD, "lif2.v"))
        return found["it"]

    return jax.jit(jax.grad(lambda params: of(params).sum()) if gradient else of)


def kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "pieces_of", lambda *_: None)


@pytest.mark.parametrize("name", FOLDABLE)
def test_in_pieces_equals_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    params = model().params
    in_pieces = [values(FOLDABLE[name], block, gradient=False)(params) for block in (5, 12)]
    kept_whole(monkeypatch)
    expected = values(FOLDABLE[name], 12, gradient=False)(params)
    for found in in_pieces:
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["stepwise_cross_entropy", "first_spike_time_mse", "regularised", "of a trace"])
def test_the_gradient_in_pieces_equals_that_of_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    params = model().params
    found = values(FOLDABLE[name], 5, gradient=True)(params)
    kept_whole(monkeypatch)
    expected = values(FOLDABLE[name], 12, gradient=True)(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)


@pytest.mark.parametrize("name", FOLDABLE)
def test_what_is_foldable_comes_in_pieces(name: str) -> None:
    whole = model()
    assert pieces_of(as_objective(FOLDABLE[name], "it"), whole, whole.variables) is not None


@pytest.mark.parametrize("name", NOT_FOLDABLE)
def test_what_needs_the_run_gets_it(name: str) -> None:
    assert pieces_of(as_objective(NOT_FOLDABLE[name], "it"), model(), ("lif1.v",)) is None


def test_no_gradient_flows_out_of_what_is_only_measured() -> None:
    whole, batch = model(), ragged()
    params, rest = nirjax.partition(whole, "*.weight")

    def summed(params: Any, graded: str) -> Any:
        functions = {"a": as_objective(losses.spike_count_mse, "a"), "b": as_objective(losses.spike_rate_mse, "b")}
        return measured(functions, nirjax.combine(params, rest), batch, (), graded)["b"].sum()

    assert any(np.any(leaf) for leaf in jax.tree.leaves(jax.grad(summed)(params, "b")))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(jax.grad(summed)(params, "a")))


def test_one_output_of_several_can_be_folded() -> None:
    nodes = {
        "in": ir.Input((2,)), "a": linear(2, 2), "b": lif(2), "one": ir.Output((2,)),
        "c": filled(ir.LI, 2, tau=2, r=1, v_leak=0), "two": ir.Output((2,)),
    }  # fmt: skip
    whole = nirjax.from_nir(graph(nodes, "in a b one", "a c two"), dt=1)
    loss = losses.of_output(losses.last_membrane_cross_entropy, "two")
    assert pieces_of(loss, whole, ()) is not None
    batch = ragged()
    expected = losses.last_membrane_cross_entropy(whole(batch.x)[0]["two"], batch.y, where=batch.where)
    np.testing.assert_allclose(measured({"it": loss}, whole, batch, ())["it"], expected, rtol=1e-6)
    assert pieces_of(losses.of_output(losses.last_membrane_cross_entropy), whole, ()) is None


def test_finetune_gives_the_same_whether_folded_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def tuned() -> nirjax.FinetuneResult:
        return nirjax.finetune(
            model(), data(), data(5, 1), loss=REGULARISED, record=RECORD, optimizer=optax.adam(0.05), epochs=2,
            batch_size=4, progress=False,
        )  # fmt: skip

    folded = tuned()
    kept_whole(monkeypatch)
    monkeypatch.setattr(compiling, "content", lambda settings: None)
    whole = tuned()
    for name, found in folded.history.items():
        np.testing.assert_allclose(found, whole.history[name], rtol=1e-5)


def test_a_sum_of_objectives() -> None:
    terms = (losses.spike_count_cross_entropy, 2.0), (losses.of_output(losses.spike_count_mse), -1.0)
    batch, whole = ragged(), model()
    run = whole.run(batch.x)
    expected = 2 * losses.spike_count_cross_entropy(run.output, batch.y, where=batch.where)
    expected -= losses.spike_count_mse(run.output, batch.y, where=batch.where)
    np.testing.assert_allclose(losses.weighted_sum(*terms)(run, batch), expected, rtol=1e-6)
    with pytest.raises(ArgumentError, match="term"):
        losses.weighted_sum()
    with pytest.raises(ArgumentError, match="pair"):
        losses.weighted_sum(losses.spike_count_mse)  # type: ignore[arg-type]


def test_a_regulariser_of_the_output_needs_no_targets() -> None:
    x, _ = data()
    quiet = nirjax.finetune(
        model(), x, loss=losses.activity_l1, optimizer=optax.sgd(1.0), epochs=2, batch_size=4, progress=False
    )
    assert quiet.history["train_loss"][-1] < quiet.history["train_loss"][0]
    with pytest.raises(DataError, match="targets"):
        nirjax.finetune(model(), x, loss=losses.spike_count_mse, optimizer=optax.sgd(1.0), epochs=1, progress=False)


def test_labels_are_told_by_the_targets() -> None:
    names = Measures.of(None).functions(model(), ragged())
    assert list(names) == ["accuracy"]
    batch = ragged()
    assert Measures.of(None).functions(model(), Batch(batch.x, np.ones((5, 2), np.float32))) == {}
