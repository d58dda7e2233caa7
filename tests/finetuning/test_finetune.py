"""The loop: it learns, repeats itself exactly, touches nothing else, keeps the best, and refuses what cannot work."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine.graphs import filled, lif

import nirjax
from finetuning.tasks import data, model
from nirjax.data import Batch, Source, batches
from nirjax.errors import ArgumentError, DataError, NIRWarning, PatternError, ShapeError, TrainingError
from nirjax.finetuning import losses
from nirjax.finetuning.callbacks import Moment
from nirjax.finetuning.loop import FinetuneResult, finetune
from nirjax.ir import nodes as ir

ADAM = optax.adam(0.05)
SAME = {"same": lambda run, batch: jnp.ones(batch.size)}


def tuned(train: Any = None, valid: Any = None, whole: Any = None, **options: Any) -> FinetuneResult:
    given = {"optimizer": ADAM, "epochs": 2, "batch_size": 4, "progress": False} | options
    return finetune(whole or model(), data() if train is None else train, valid, **given)


def equal(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def close(a: Any, b: Any, rtol: float = 1e-5) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6), a, b)


def test_it_learns_and_gives_back_the_best() -> None:
    before = nirjax.evaluate(model(), data(40, 1)).metrics["accuracy"]
    result = tuned(data(40), data(40, 1), epochs=15, batch_size=8, monitor="accuracy")
    after = nirjax.evaluate(result.model, data(40, 1)).metrics
    assert after["accuracy"] > 0.85 > before
    assert after["accuracy"] == result.metrics["valid_accuracy"] == result.history["valid_accuracy"].max()
    place = result.history["valid_accuracy"].argmax()
    assert result.best_step == result.history["step"][place]


def test_the_history_is_plain_arrays() -> None:
    history = tuned(data(12), data(5, 1), epochs=3).history
    assert {name: len(values) for name, values in history.items()} == {
        **dict.fromkeys(["step", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "spike_rate"], 4),
        "loss": 9,
    }
    assert all(type(values) is np.ndarray for values in history.values())
    np.testing.assert_array_equal(history["step"], [0, 3, 6, 9])
    np.testing.assert_allclose(history["train_loss"][1:], history["loss"].reshape(3, 3).mean(1), rtol=1e-6)
    assert np.isnan(history["train_loss"][0])
    without = tuned(data(12), epochs=3)
    np.testing.assert_array_equal(without.history["step"], [3, 6, 9])
    assert without.metrics["train_loss"] == without.history["train_loss"].min()


def noisy(whole: nirjax.Model, key: Any) -> nirjax.Model:
    weight = whole.params["fc1"]["weight"]
    fc1 = {**whole.params["fc1"], "weight": weight + 0.3 * jax.random.normal(key, weight.shape)}
    return whole.replace(params={**whole.params, "fc1": fc1})


def test_the_seed_fixes_everything() -> None:
    one, again, other = (tuned(valid=data(5, 1), transform=[noisy], seed=seed) for seed in (3, 3, 4))
    equal(one.model, again.model)
    equal(one.history, again.history)
    assert (one.history["loss"] != other.history["loss"]).any()


def test_what_is_not_trained_stays_bit_for_bit() -> None:
    start = model()
    result = tuned(trainable=["fc2.weight", "lif1.tau"])
    for node, fields in start.params.items():
        for field, value in fields.items():
            same = np.array_equal(value, result.model.params[node][field])
            assert same == ((node, field) not in {("fc2", "weight"), ("lif1", "tau")})
    assert nirjax.finetuning.partition.WEIGHTS_AND_BIASES == ("*.weight", "*.bias")


def test_one_step_is_the_gradient_of_the_mean_loss() -> None:
    start, (x, y) = model(), data(4)
    params, rest = nirjax.partition(start, "*.weight")

    def loss(params: Any) -> Any:
        output, _ = nirjax.combine(params, rest)(np.swapaxes(x, 0, 1))
        return losses.spike_count_cross_entropy(output, y).mean()

    gradient = jax.jit(jax.grad(loss))(params)
    result = tuned((x, y), trainable="*.weight", steps=1, epochs=None, optimizer=optax.sgd(0.1))
    for node in params:
        expected = params[node]["weight"] - 0.1 * gradient[node]["weight"]
        np.testing.assert_allclose(result.model.params[node]["weight"], expected, rtol=1e-5, atol=1e-6)
    assert result.best_step == 1


def test_filling_changes_neither_loss_nor_gradient() -> None:
    rng = np.random.default_rng(0)
    x, y = data(6)
    recordings = [(x[k][: int(rng.integers(2, 9))], y[k]) for k in range(6)]
    options: dict[str, Any] = {"optimizer": optax.sgd(0.1), "epochs": 1, "batch_size": 4, "seed": 0}
    short = tuned(recordings, **options)
    longer = np.zeros((6, 20, 2), np.uint8)
    for k, (one, _) in enumerate(recordings):
        longer[k, : len(one)] = one
    long = tuned((longer, y, np.array([len(one) for one, _ in recordings])), **options)
    close(short.model, long.model)
    order = np.random.default_rng((0, 0)).permutation(6)
    ready = [next(batches([recordings[k] for k in part], batch_size=None)) for part in (order[:4], order[4:])]
    unfilled = [Batch(batch.x, batch.y, batch.length) for batch in ready]
    alone = finetune(
        finetune(model(), [unfilled[0]], optimizer=optax.sgd(0.1), epochs=1, progress=False).model,
        [unfilled[1]], optimizer=optax.sgd(0.1), epochs=1, progress=False,
    )  # fmt: skip
    close(short.model, alone.model)
    np.testing.assert_allclose(short.history["loss"], long.history["loss"], rtol=1e-5)


class Loader:
    """Batches first, as a torch DataLoader gives them."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[Any]:
        return iter([(self.x[k : k + 4], self.y[k : k + 4]) for k in range(0, 12, 4)])


def test_loaders_streams_and_their_lengths() -> None:
    x, y = data()
    from_loader = tuned(Source(Loader(x, y), time_axis=1, batched=True), epochs=2)
    assert from_loader.history["step"].tolist() == [3, 6]
    pairs = list(zip(x, y, strict=True))

    class Stream:
        def __iter__(self) -> Iterator[Any]:
            return iter(pairs)

    equal(tuned(Stream(), epochs=2).model, from_loader.model)
    assert tuned(iter(pairs), epochs=1).history["step"].tolist() == [3]
    with pytest.raises(DataError, match="once"):
        tuned(iter(pairs), epochs=2)


def test_losses_of_every_kind() -> None:
    def own(run: nirjax.Run, batch: Batch) -> Any:
        fitting = losses.spike_count_cross_entropy(run.output, batch.y, where=batch.where)
        return fitting + 0.1 * losses.activity_l2(run.traces["lif1.spikes"], where=batch.where)

    assert tuned(loss=own, record="lif1.spikes").history["loss"].shape == (6,)
    wrapped = tuned(loss=lambda run, batch: losses.spike_count_cross_entropy(run.output, batch.y, where=batch.where))
    equal(wrapped.model, tuned().model)
    equal(wrapped.model, tuned(loss=losses.of_output(losses.spike_count_cross_entropy)).model)
    membrane = losses.of_trace(losses.max_membrane_cross_entropy, "lif2.v")
    result = tuned(loss=membrane, record=["lif2.v"], metrics={"quiet": losses.of_trace(losses.activity_l1, "lif2.v")})
    assert np.isfinite(result.history["train_quiet"]).all()
    with pytest.raises(PatternError, match="record"):
        tuned(loss=membrane)
    with pytest.raises(ShapeError, match="one value a sample"):
        tuned(loss=lambda run, batch: run.output.mean())


def test_a_readout_of_membranes_and_targets_in_time() -> None:
    readout = filled(ir.LI, 2, tau=2, r=2, v_leak=0)
    x, _ = data()
    target = np.random.default_rng(0).normal(size=(12, 8, 2)).astype(np.float32)
    result = tuned((x, target), whole=model(readout), loss=losses.membrane_mse, epochs=10)
    assert result.history["train_loss"][-1] < result.history["train_loss"][0]
    assert "train_accuracy" not in result.history


def test_trained_time_constants_keep_above_the_step() -> None:
    result = tuned(trainable=["*.tau", "*.r"], optimizer=optax.adam(2.0), epochs=5)
    for node in ("lif1", "lif2"):
        assert (np.asarray(result.model.params[node]["tau"]) >= 1).all()
        assert (np.asarray(result.model.params[node]["r"]) > 0).all()


def test_transforms_act_in_the_loss_and_not_on_the_result() -> None:
    start, seen = model(), []

    def silence(whole: nirjax.Model, key: Any) -> nirjax.Model:
        seen.append(key)
        return jax.tree.map(lambda leaf: 0 * leaf, whole).replace(
            params={**whole.params, "fc1": jax.tree.map(jnp.zeros_like, whole.params["fc1"])}
        )

    with pytest.warns(NIRWarning, match="fires"), pytest.warns(NIRWarning, match="gradient"):
        result = tuned(whole=start, transform=silence, epochs=1)
    np.testing.assert_allclose(result.history["loss"], np.log(2), rtol=1e-6)
    assert seen
    assert np.any(result.model.params["fc1"]["weight"])


def test_early_stopping_monitors_and_steps() -> None:
    same = {"metrics": SAME, "monitor": "same", "valid": data(30, 1)}
    assert tuned(patience=2, epochs=50, **same).history["step"].tolist() == [0, 3, 6]
    assert tuned(steps=4, epochs=None).history["loss"].shape == (4,)
    assert tuned(steps=100, epochs=1).history["loss"].shape == (3,)
    error = {"error": lambda run, batch: run.output.sum((0, 2))}
    result = tuned(metrics=error, monitor="-error", epochs=4)
    assert result.metrics["train_error"] == result.history["train_error"].min()
    with pytest.raises(ArgumentError, match="accuracy"):
        tuned(monitor="precision")


def test_the_untrained_model_may_be_the_best() -> None:
    result = tuned(valid=data(30, 1), metrics=SAME, monitor="same", epochs=1)
    assert result.best_step == 0
    equal(result.model, model())


def test_callbacks_see_each_moment_and_may_stop() -> None:
    moments: list[Moment] = []

    def note(moment: Moment) -> bool:
        moments.append(moment)
        return moment.step == 4

    result = tuned(valid=data(5, 1), callbacks=[note], epochs=9)
    assert [(moment.kind, moment.step) for moment in moments] == [
        ("evaluation", 0), ("step", 1), ("step", 2), ("step", 3), ("evaluation", 3), ("step", 4), ("evaluation", 4),
    ]  # fmt: skip
    assert result.history["loss"].shape == (4,)
    assert isinstance(moments[0].model, nirjax.Model)
    assert moments[-1].values["valid_loss"] == result.history["valid_loss"][-1]


def test_a_schedule_and_clipping() -> None:
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(0.1, 6)))
    assert np.isfinite(tuned(optimizer=optimizer).history["loss"]).all()


def test_a_loss_that_is_not_finite_stops_with_step_and_parameter() -> None:
    def breaks(run: nirjax.Run, batch: Batch) -> Any:
        return losses.spike_count_cross_entropy(run.output, batch.y, where=batch.where) / (batch.y.min() >= 0)

    x, y = data()
    good = Batch(np.swapaxes(x[:4], 0, 1), y[:4].astype(np.int32))
    bad = Batch(np.swapaxes(x[4:8], 0, 1), -np.ones(4, np.int32))
    with pytest.raises(TrainingError, match="step 3") as caught:
        tuned([good, good, bad], loss=breaks, metrics={}, epochs=1)
    assert caught.value.node == "fc1"


def test_a_gradient_that_is_not_finite_names_its_parameter() -> None:
    def breaks(run: nirjax.Run, batch: Batch) -> Any:
        return losses.spike_count_cross_entropy(run.output, batch.y, where=batch.where)

    def root(whole: nirjax.Model, key: Any) -> nirjax.Model:
        weight = whole.params["fc2"]["weight"]
        changed = {"weight": weight + jnp.sqrt(jnp.maximum(weight, 0) * 0)}
        return whole.replace(params={**whole.params, "fc2": changed})

    with pytest.raises(TrainingError, match="gradient is not finite at step 1") as caught:
        tuned(loss=breaks, transform=[root])
    assert (caught.value.node, caught.value.field) == ("fc2", "weight")


def sometimes(*bad: int) -> dict[str, Any]:
    """Three batches a pass; the loss of the `bad` ones, counted from 0, is not finite."""

    def breaks(run: nirjax.Run, batch: Batch) -> Any:
        labels = jnp.maximum(batch.y, 0)
        return losses.spike_count_cross_entropy(run.output, labels, where=batch.where) / (batch.y.min() >= 0)

    x, y = data()
    labels = [np.where(k in bad, -1, y[4 * k : 4 * k + 4]).astype(np.int32) for k in range(3)]
    batches = [Batch(np.swapaxes(x[4 * k : 4 * k + 4], 0, 1), labels[k]) for k in range(3)]
    return {"train": batches, "loss": breaks, "metrics": {}, "optimizer": optax.adam(0.05)}


def test_steps_that_are_not_finite_are_skipped_where_asked() -> None:
    result = tuned(**sometimes(1), epochs=2, skip_nonfinite=1)
    np.testing.assert_array_equal(result.history["skipped"], [1, 1])
    np.testing.assert_array_equal(np.isfinite(result.history["loss"]), [True, False, True] * 2)
    assert np.isfinite(result.history["train_loss"]).all()
    given = sometimes()
    without = tuned(**{**given, "train": [given["train"][0], given["train"][2]]}, epochs=2)
    equal(result.model, without.model)
    assert "skipped" not in without.history


def test_only_so_many_steps_in_a_row_are_skipped() -> None:
    assert tuned(**sometimes(1, 2), epochs=1, skip_nonfinite=2).history["skipped"].tolist() == [2]
    with pytest.raises(TrainingError, match="step 3"):
        tuned(**sometimes(1, 2), epochs=1, skip_nonfinite=1)
    with pytest.raises(TrainingError, match="step 4"):
        tuned(**sometimes(0, 1, 2), epochs=3, skip_nonfinite=3)
    with pytest.raises(ArgumentError, match="skip_nonfinite"):
        tuned(skip_nonfinite=-1)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_within_a_batch_changes_no_gradient(seed: int) -> None:
    x, y = data(6)
    recordings = [(x[k][: 3 + k], y[k]) for k in range(6)]
    order = np.random.default_rng(seed).permutation(6)
    one, other = (
        tuned([recordings[k] for k in places], batch_size=6, steps=1, optimizer=optax.sgd(0.1))
        for places in (range(6), order)
    )
    close(one.model, other.model)


def test_silence_in_the_first_batch_is_warned_of() -> None:
    quiet = model(lif(2, v_threshold=1e6))
    with pytest.warns(NIRWarning, match="lif2"):
        tuned(whole=quiet, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned(epochs=1)


def test_a_loss_without_a_derivative_is_warned_of() -> None:
    def wrong(run: nirjax.Run, batch: Batch) -> Any:
        return (run.output.sum(0).argmax(-1) != batch.y).astype(float)

    with pytest.warns(NIRWarning, match="gradient of the first batch is zero"):
        tuned(loss=wrong, epochs=1)


def test_a_loss_that_is_called_otherwise_than_it_was_meant_says_how() -> None:
    with pytest.raises(AttributeError) as caught:
        tuned(loss=lambda output, target: output.sum((0, 2)))
    assert "called as (run, batch)" in caught.value.__notes__[0]


X, Y = data()
BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a label too large": ({"train": (X, np.where(Y == 1, 2, Y))}, DataError, "0 to 1"),
    "a negative label": ({"train": (X, Y - 1)}, DataError, "out of range"),
    "a wrong shape": ({"train": (X[..., :1], Y)}, DataError, "does not fit"),
    "a dict for one input": ({"train": ({"a": X, "b": X}, Y)}, DataError, "inputs"),
    "NaN": ({"train": (np.where(X, np.nan, 0.0), Y)}, DataError, "not finite"),
    "times of events": ({"train": (X.astype(np.int64) << 40, Y)}, DataError, "beyond 32 bits"),
    "nothing": ({"train": []}, DataError, "no recordings"),
    "bad validation labels": ({"valid": (X, Y + 1)}, DataError, "out of range"),
    "no labels": ({"train": X}, DataError, "targets"),
    "no such parameter": ({"trainable": ["*.tua"]}, PatternError, "matches nothing"),
    "nothing to train": ({"trainable": []}, TrainingError, "nothing to train"),
    "everything taken away": ({"trainable": ["*.tau", "!*"]}, TrainingError, "nothing to train"),
    "no such trace": ({"record": ["lif9.v"]}, PatternError, "matches nothing"),
    "no length": ({"epochs": None}, ArgumentError, "epochs"),
    "no epochs": ({"epochs": 0}, ArgumentError, "epochs"),
    "half a step": ({"steps": 0.5}, ArgumentError, "steps"),
    "no batch": ({"batch_size": 0}, ArgumentError, "batch_size"),
    "no optimizer": ({"optimizer": optax.adam}, ArgumentError, "optimizer"),
    "no loss": ({"loss": "cross_entropy"}, ArgumentError, "loss"),
    "no metrics": ({"metrics": [1]}, ArgumentError, "metrics"),
    "a metric named loss": ({"metrics": {"loss": losses.activity_l1}}, ArgumentError, "taken"),
    "no seed": ({"seed": -1}, ArgumentError, "seed"),
    "nowhere to resume": ({"resume": True}, ArgumentError, "checkpoints"),
    "no data": ({"train": 3}, DataError, "no source"),
    "labels in words": ({"train": (X, np.array(["a", "b"])[Y])}, DataError, "real numbers"),
    "labels with a fraction": ({"train": (X, Y + 0.5)}, DataError, "labels are integers"),
    "labels of another length": ({"train": (X, np.concatenate([Y, Y]))}, DataError, "number of samples"),
    "a loss of one argument": ({"loss": lambda run: run}, ArgumentError, "other arguments"),
    "a loss of nothing": ({"loss": lambda run, batch: None}, ShapeError, "NoneType"),
    "a transform of one argument": ({"transform": [lambda model: model]}, ArgumentError, "other arguments"),
    "a transform that is none": ({"transform": [3]}, ArgumentError, "no function"),
    "a transform to no model": ({"transform": lambda model, key: model.params}, ArgumentError, "gives back a model"),
    "a callback that is none": ({"callbacks": ["print"]}, ArgumentError, "callbacks"),
    "no pattern": ({"trainable": None}, ArgumentError, "trainable"),
    "no trace": ({"record": [3]}, ArgumentError, "record"),
    "a mesh": ({"mesh": object()}, ArgumentError, "mesh"),
    "no monitor": ({"monitor": 3}, ArgumentError, "monitor"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_work_is_refused_at_once(kind: str) -> None:
    options, error, reason = BAD[kind]
    updates: list[Moment] = []
    with pytest.raises(error, match=reason):
        tuned(**{"callbacks": [updates.append], **options})
    assert not updates


def test_a_graph_without_weights_has_nothing_to_train() -> None:
    from engine.graphs import graph

    whole = nirjax.from_nir(graph({"in": ir.Input((2,)), "out": ir.Output((2,)), "lif": lif(2)}, "in lif out"), dt=1)
    with pytest.raises(TrainingError, match="neither weights nor biases"):
        tuned(whole=whole)
    with pytest.raises(ArgumentError, match="model"):
        tuned(whole="model.nir")
