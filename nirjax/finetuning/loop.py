"""`finetune`: the loop around one compiled step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import optax

from nirjax.data import processes
from nirjax.data.checks import Fit
from nirjax.data.placement import placement_of
from nirjax.engine.model import Model, Params
from nirjax.errors import ArgumentError, PatternError, TrainingError
from nirjax.finetuning import losses
from nirjax.finetuning.callbacks import Callback, as_callbacks
from nirjax.finetuning.checkpoints import Checkpoints
from nirjax.finetuning.constraints import projection
from nirjax.finetuning.interruption import Interruption
from nirjax.finetuning.measures import Measures
from nirjax.finetuning.monitor import Monitor
from nirjax.finetuning.objectives import Loss, Objective, as_objective
from nirjax.finetuning.optimizers import Optimizers, as_optimizer
from nirjax.finetuning.partition import WEIGHTS_AND_BIASES, Rest, combine, partition
from nirjax.finetuning.progress import Progress
from nirjax.finetuning.scoring import Scoring, Transform, scorer
from nirjax.finetuning.spreading import (
    AgreedInterruption,
    AnyInterruption,
    brought_home,
    opened,
    placed_scorer,
    placed_state,
)
from nirjax.finetuning.state import TrainingState
from nirjax.finetuning.training import Training, restored
from nirjax.finetuning.transforms import as_transforms, begun
from nirjax.finetuning.update import Descent, update_function
from nirjax.ir.patterns import as_patterns

BATCH_SIZE = 32
"""Samples in a batch where nothing is said."""


@dataclass(frozen=True, eq=False)
class FinetuneResult:
    """What `finetune` found.

    Args:
        model: with the best parameters by the monitored value.
        history: arrays by name. `loss`: of each step. `step`, `train_loss`, `valid_loss`, `spike_rate` and
            `train_<metric>`, `valid_<metric>` for each metric: at each evaluation; `train_` is the mean over the pass
            before it, NaN before the first one. `skipped`, with `skip_nonfinite`: how many steps of that pass were.
        best_step: after how many updates the best parameters stood.
        metrics: the history's entries there.
    """

    model: Model
    history: dict[str, np.ndarray]
    best_step: int
    metrics: dict[str, float]


def finetune(
    model: Model,
    train: Any,
    valid: Any = None,
    *,
    optimizer: optax.GradientTransformation | Optimizers,
    loss: Objective | Loss = losses.spike_count_cross_entropy,
    trainable: Sequence[str] | str = WEIGHTS_AND_BIASES,
    transform: Sequence[Transform] | Transform = (),
    record: Sequence[str] | str = (),
    truncation: int | None = None,
    metrics: Mapping[str, Objective | Loss] | None = None,
    monitor: str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    patience: int | None = None,
    seed: int = 0,
    skip_nonfinite: int = 0,
    checkpoints: str | PathLike[str] | None = None,
    resume: bool = False,
    mesh: Any = None,
    callbacks: Sequence[Callback] | Callback = (),
    progress: bool = True,
) -> FinetuneResult:
    r"""Trains parameters of a model, and gives back the best model along the way.

    After each pass through `train`, and before the first one, the model is measured on `valid`; the parameters with
    the best monitored value are kept. After each update they are projected into their physical bounds
    (`nirjax.finetuning.constraints`). Equal arguments give equal results, bit for bit.

    The gradient is that of the mean loss of a batch, by backpropagation through all T time steps. With s the state,
    x the input and f one time step, t = 1 ... T, `truncation=K` cuts it after every K-th step:

    .. math::
        y[t], s[t] = f_\theta(x[t], \tilde s[t-1]), \qquad
        \tilde s[t] = \begin{cases} \mathrm{stop\_gradient}(s[t]) & K \mid t \text{ and } t > 0 \\
        s[t] & \text{else} \end{cases}

    The loss is still that of the whole recording, and there is one update a batch; only the gradient leaves out what
    an earlier window of K steps does to a later one through the state. (snnTorch's TBPTT makes an update after each
    window, on that window's own loss: docs/fine-tuning.md has that loop.)

    Losses and metrics that come in pieces (`nirjax.losses.folded`) are folded over time while the model runs, so that
    memory grows with the square root of T; with another one among them, the output and what is recorded are kept.

    Args:
        model: where to start.
        train, valid: sources of data, as `nirjax.data.batches` takes them, or `nirjax.data.Source`s. Without `valid`,
            the mean over each pass through `train` is monitored.
        optimizer: any optax optimizer, schedules and clipping included; or a dict of them by pattern, as
            `nirjax.finetuning.optimizers.by_pattern` takes it: `{"*.weight": optax.adam(1e-3), "*.tau": ...}`.
        loss: `(run, batch) -> (*batch,)`, or a loss on the output, `(output, target, *, where) -> (*batch,)`, such as
            those of `nirjax.losses`: what has a keyword `where` is taken for the latter.
        trainable: patterns of parameter names, see `nirjax.partition`.
        transform: functions `(model, key) -> model`, applied in order inside the loss: `nirjax.quantize(target)`,
            `mismatch`, `prune`, `tie`, or one's own. The model that comes back is what they are applied to:
            `quantize(target)(result.model)` is what the chip holds.
        record: traces that loss and metrics see in `run.traces`.
        truncation: time steps through which a gradient flows back at most (see above); None is all.
        metrics: names to functions of the same kinds as `loss`. None is accuracy, where the targets are labels.
        monitor: "loss" (None), or a metric, of which more is better, or "-" and a metric, of which less is.
        epochs, steps: how long; whichever comes first.
        batch_size: samples in a batch, over all devices; None is 32.
        patience: stop after this many evaluations without a better value.
        seed: fixes the order of the data and the keys of the transforms.
        skip_nonfinite: how many steps in a row may have a loss or gradient that is not finite: they move nothing, and
            `history["skipped"]` counts them. The next one is an error; so is the first, by default.
        checkpoints: a folder for training states; SIGTERM and SIGINT then save before they act.
        resume: continue from the newest state in that folder; the result is that of a run that was never stopped.
        mesh: the devices over which each batch is divided, as `nirjax.evaluate` takes them. The result is that of one
            device, to rounding.
        callbacks: functions, or one, called with a `Moment` after each step and each evaluation; True stops the
            training.
        progress: show a progress bar on stderr; where that is no terminal, a line after each evaluation.

    Warns (NIRWarning), in the first batch:
        nodes that do not fire; an input that is zero; a gradient that is zero.

    Raises:
        ArgumentError: an argument that makes no sense.
        DataError: data that is malformed or does not fit the model.
        PatternError: a pattern that matches nothing; a trained parameter with no optimizer or two.
        UnsupportedByTarget: the target of a `quantize` cannot hold the graph.
        TrainingError: nothing to train; a loss or gradient that is not finite (with `checkpoints`, the last good state
            is saved).
        CheckpointError: checkpoints of another run, or damaged ones only.
    """
    numbers = {"epochs": epochs, "steps": steps, "batch_size": batch_size, "patience": patience}
    _check_arguments(model, numbers | {"truncation": truncation}, seed, skip_nonfinite)
    chosen_optimizer = as_optimizer(optimizer)
    if resume and checkpoints is None:
        raise ArgumentError("there is nothing to resume from", field="checkpoints", expected="the folder of the run")
    measures = Measures.of(metrics).and_loss(as_objective(loss, "loss"))
    fit = Fit.of(model, labels=measures.read_labels())
    model, transforms = begun(model, as_transforms(transform))
    scoring = Scoring(measures, as_patterns(record, "record"), transforms)
    params, rest = _chosen(model, as_patterns(trainable, "trainable"))
    placement, own_devices = placement_of(mesh), placement_of(mesh, here=True)
    if placement is not None:
        placement.divided(batch_size or BATCH_SIZE, chosen=batch_size is not None)
    source, held_out = opened(train, valid, fit, placement)
    training = Training(
        train=source,
        valid=held_out,
        rest=rest,
        fit=fit,
        update=update_function(Descent(scoring, truncation, placement), chosen_optimizer, projection(model, params)),
        scorer=placed_scorer(scorer(scoring), own_devices),
        transform=transforms,
        monitor=Monitor.of(monitor),
        epochs=epochs,
        steps=steps,
        batch_size=batch_size or BATCH_SIZE,
        patience=patience,
        seed=int(seed),
        truncation=truncation,
        skip_nonfinite=skip_nonfinite,
        callbacks=as_callbacks(callbacks),
        checkpoints=None,
    )
    state = TrainingState(params, chosen_optimizer.init(params), params)
    own = Interruption()
    interruption: AnyInterruption = own
    with contextlib.ExitStack() as stack:
        if checkpoints is not None:
            folder = Checkpoints.at(checkpoints, training.identity(model, state))
            training = dataclasses.replace(training, checkpoints=folder)
            state = restored(state, folder, resume)
            stack.enter_context(own)
            if processes.count() > 1:
                interruption = AgreedInterruption(own)
        if placement is not None:
            training = dataclasses.replace(training, rest=placement.replicated(rest))
        state = placed_state(state, placement)
        with Progress(progress and processes.is_first()) as shown:
            state = training.run(state, shown, interruption)
        interruption.obey()
    history = {name: np.asarray(values) for name, values in state.evaluations.items()}
    at = state.evaluations.get("step", [])
    place = at.index(state.best_step) if state.best_step in at else -1
    return FinetuneResult(
        model=combine(brought_home(state.best, placement), rest),
        history={"loss": np.asarray(state.losses), **history},
        best_step=state.best_step,
        metrics={name: float(values[place]) for name, values in history.items() if name != "step"},
    )


def _check_arguments(model: Any, numbers: Mapping[str, Any], seed: Any, skips: Any) -> None:
    if not isinstance(model, Model):
        raise ArgumentError(
            "this is no model", field="model", found=type(model).__name__, hint="nirjax.from_nir makes one"
        )
    if numbers["epochs"] is None and numbers["steps"] is None:
        raise ArgumentError("how long to train is missing", field="epochs", expected="epochs or steps")
    for name, value in numbers.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
            raise ArgumentError("this is a whole number from 1", field=name, found=value)
    for name, value in {"seed": seed, "skip_nonfinite": skips}.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise ArgumentError("this is a whole number from 0", field=name, found=value)


def _chosen(model: Model, trainable: tuple[str, ...]) -> tuple[Params, Rest]:
    try:
        params, rest = partition(model, trainable)
    except PatternError as error:
        if trainable != WEIGHTS_AND_BIASES:
            error.field = "trainable"
            raise
        raise TrainingError(
            "there is nothing to train: the graph has neither weights nor biases", field="trainable",
            expected=f"some of {', '.join(model.parameters)}",
        ) from error  # fmt: skip
    if not params:
        raise TrainingError(
            "there is nothing to train", field="trainable", found=trainable,
            expected=f"some of {', '.join(model.parameters)}",
        )  # fmt: skip
    return params, rest
