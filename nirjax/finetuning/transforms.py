"""What stands between the parameters that are trained and the run, besides quantisation: noise, pruning, ties.

Each is a frozen value, a pure function `(model, key) -> model` for jit, grad, jvp and vmap. `finetune(transform=[...])`
applies them in order inside the loss, and before it starts calls the `begin` of those that have one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.engine.model import Model, Params
from nirjax.errors import ArgumentError, ParameterError
from nirjax.finetuning.objectives import check_function
from nirjax.finetuning.partition import chosen_names
from nirjax.finetuning.scoring import Transform
from nirjax.ir.patterns import as_patterns, matching

LEAST_FACTOR = 0.01
"""The least factor of a mismatch: no sign flips, and no time constant vanishes."""


def as_transforms(given: Any) -> tuple[Transform, ...]:
    """What a user gave as transforms: one function `(model, key) -> model`, or several.

    Raises:
        ArgumentError: something else.
    """
    transforms = tuple(given) if isinstance(given, Iterable) and not callable(given) else (given,)
    for transform in transforms:
        check_function(transform, "transform", "(model, key) -> model")
    return transforms


def begun(model: Model, transforms: Sequence[Transform]) -> tuple[Model, tuple[Transform, ...]]:
    """The model and the transforms as training starts with them: each transform's `begin(model) -> (model, transform)`,
    in order, where it has one.

    Raises:
        What they raise: UnsupportedByTarget, say.
    """
    ready: list[Transform] = []
    for transform in transforms:
        begin = getattr(transform, "begin", None)
        if begin is not None:
            model, transform = begin(model)
        ready.append(transform)
    return model, tuple(ready)


# ---------------------------------------------------------------------------------------------------------------- noise


@dataclass(frozen=True)
class Mismatch:
    """Multiplicative noise; see `mismatch`.

    Attributes:
        spreads: (pattern, standard deviation) pairs.
    """

    spreads: tuple[tuple[str, float], ...]

    def __call__(self, model: Model, key: Array | None = None) -> Model:
        """The model as a device with this mismatch would have it.

        Raises:
            ArgumentError: no key.
            PatternError: a pattern that matches nothing.
        """
        if key is None:
            raise ArgumentError("noise needs a key", field="key", expected="jax.random.key(seed)")
        spread = {
            name: std
            for pattern, std in self.spreads
            for name in matching(pattern, model.parameters, argument="mismatch")
        }
        places = {name: place for place, name in enumerate(model.parameters)}

        def noisy(name: str, value: Array) -> Array:
            drawn = jax.random.normal(jax.random.fold_in(key, places[name]), value.shape, value.dtype)
            return value * jnp.maximum(1 + spread[name] * drawn, LEAST_FACTOR)

        return _changed(model, spread, noisy)


def mismatch(std: float | Mapping[str, float], parameters: Sequence[str] | str = "*") -> Mismatch:
    """Noise as between devices: every parameter p becomes p max(1 + std e, 0.01), e standard normal for each element.

        mismatch(0.1)                                       everything, by 10 %
        mismatch(0.05, ["*.weight", "*.bias"])
        mismatch({"*": 0.02, "*.tau": 0.2})                 of several patterns that match, the last

    It is drawn anew in each step of training, and once for all evaluations.

    Args:
        std: relative standard deviation, or one for each pattern.
        parameters: patterns of what is noisy, where `std` is one number.

    Raises:
        ArgumentError: a standard deviation that is no number from 0.
    """
    patterns = as_patterns(parameters, "parameters")
    spreads = dict(std) if isinstance(std, Mapping) else dict.fromkeys(patterns, std)
    for pattern, value in spreads.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < math.inf:
            raise ArgumentError("a standard deviation is a number from 0", field="std", found={pattern: value})
    return Mismatch(tuple((pattern, float(value)) for pattern, value in spreads.items()))


# -------------------------------------------------------------------------------------------------------------- pruning


@dataclass(frozen=True, eq=False)
class Prune:
    """Pruning by a mask, or by a share; see `prune`.

    Attributes:
        masks: parameter name to what is kept of it; None where a share is pruned.
        share: of the elements of each parameter, that is pruned.
        parameters: patterns of what a share is pruned of.
    """

    masks: Mapping[str, Any] | None
    share: float = 0.0
    parameters: tuple[str, ...] = ()

    def __call__(self, model: Model, key: Array | None = None) -> Model:
        """The model with zeros where it is pruned.

        Raises:
            PatternError: a pattern that matches nothing. ParameterError: masks that do not fit.
        """
        masks = self._masks(model)
        pruned = _changed(model, masks, lambda name, value: jnp.where(masks[name], value, 0))
        return dataclasses.replace(pruned, grids=model.grids)  # 0 is on every grid of weights

    def begin(self, model: Model) -> tuple[Model, Prune]:
        """Before training: the model pruned, and the pruning with its mask fixed."""
        fixed = dataclasses.replace(self, masks=self._masks(model))
        return fixed(model), fixed

    def _masks(self, model: Model) -> Mapping[str, Any]:
        if self.masks is None:
            names = chosen_names(model, self.parameters)
            return {name: _largest(_parameter(model, name), self.share) for name in names}
        for name, mask in self.masks.items():
            node, _, field = name.rpartition(".")
            value = model.params.get(node, {}).get(field)
            if value is None or np.shape(mask) != value.shape:
                raise ParameterError(
                    "the mask fits no parameter", node=node, field=field, found=f"shape {np.shape(mask)}",
                    expected="no such parameter" if value is None else f"shape {value.shape}",
                )  # fmt: skip
        return self.masks


def prune(what: float | Mapping[str, Any], parameters: Sequence[str] | str = "*.weight") -> Prune:
    """Parts of the parameters are 0, and stay so: their gradient is 0, and in what `finetune` gives back they are 0.

        prune(0.8)                                  of each weight array the 80 % of least magnitude
        prune({"fc1.weight": mask})                 mask: an array of bool, True where it is kept

    A share is turned into a mask once, by the magnitudes in the model that `finetune` starts from (of equal ones the
    first in the array are pruned). Applied by itself, by the model that it is given.

    Args:
        what: a share from 0 to 1, or masks by parameter name.
        parameters: patterns of what a share is pruned of, each array by itself.

    Raises:
        ArgumentError: a share that is no number from 0 to 1, or masks that are none.
    """
    patterns = as_patterns(parameters, "parameters")
    if isinstance(what, Mapping):
        masks = {str(name): jnp.asarray(mask) for name, mask in what.items()}
        if not all(mask.dtype == bool for mask in masks.values()):
            raise ArgumentError("a mask is of bool", field="what", found={n: str(m.dtype) for n, m in masks.items()})
        return Prune(masks)
    if isinstance(what, bool) or not isinstance(what, int | float | np.number) or not 0 <= what <= 1:
        raise ArgumentError("a share is a number from 0 to 1", field="what", found=what, expected="a share, or masks")
    return Prune(None, float(what), patterns)


def _largest(value: Array, share: float) -> Array:
    """Where a value is not among the `share` of least magnitude."""
    order = jnp.argsort(jnp.abs(jax.lax.stop_gradient(value)).reshape(-1), stable=True)
    rank = jnp.zeros(value.size, jnp.int32).at[order].set(jnp.arange(value.size, dtype=jnp.int32))
    return (rank >= round(share * value.size)).reshape(value.shape)


# ----------------------------------------------------------------------------------------------------------------- ties


@dataclass(frozen=True)
class Tie:
    """A tie; see `tie`.

    Attributes:
        parameters: patterns of what is tied.
        share: "array" or "number".
    """

    parameters: tuple[str, ...]
    share: str = "array"

    def __call__(self, model: Model, key: Array | None = None) -> Model:
        """The model with the tied parameters equal.

        Raises:
            PatternError: a pattern that matches nothing.
            ParameterError: arrays of different shapes, where arrays are tied.
        """
        names = matching(self.parameters, model.parameters, argument="tie")
        values = [_parameter(model, name) for name in names]
        if self.share == "number":
            every = jnp.concatenate([value.reshape(-1) for value in values])
            common = _mean(every, 0)
        else:
            for name, value in zip(names, values, strict=True):
                if value.shape != values[0].shape:
                    node, _, field = name.rpartition(".")
                    raise ParameterError(
                        "tied arrays have one shape", node=node, field=field, found=f"shape {value.shape}",
                        expected=f"shape {values[0].shape}, as {names[0]}",
                        hint="tie(..., share='number') makes all their elements one number",
                    )  # fmt: skip
            common = _mean(jnp.stack(values), 0)
        return _changed(model, names, lambda name, value: jnp.broadcast_to(common, value.shape))

    def begin(self, model: Model) -> tuple[Model, Tie]:
        """Before training: the model tied, so that equal gradients keep it so."""
        return self(model), self


def tie(parameters: Sequence[str] | str, share: str = "array") -> Tie:
    """The parameters that match share one value, the mean of theirs, and with it their gradient.

        tie(["enc1.weight", "enc2.weight"])         two arrays of one shape, equal element by element
        tie("lif1.tau", share="number")             one time constant for all neurons of a layer

    A mean passes each of n equal copies the n-th part of the derivative of the shared value; all get the same, so that
    what starts equal, as `finetune` makes it, stays equal if all of it is trained. Use several ties for several groups.

    Args:
        parameters: patterns of what is tied together.
        share: "array": they have one array. "number": all elements of all of them are one number.

    Raises:
        ArgumentError: another `share`.
    """
    if share not in ("array", "number"):
        raise ArgumentError("no such tie", field="share", found=share, expected="array or number")
    return Tie(as_patterns(parameters, "parameters"), share)


def _mean(values: Array, axis: int) -> Array:
    """The mean; of equal numbers that number, bit for bit."""
    first = jax.lax.index_in_dim(values, 0, axis, keepdims=False)
    return first + (values - first).mean(axis)


# ----------------------------------------------------------------------------------------------------------- parameters


def _parameter(model: Model, name: str) -> Array:
    node, _, field = name.rpartition(".")
    return model.params[node][field]


def _changed(model: Model, names: Any, change: Callable[[str, Array], Array]) -> Model:
    """The model with `change(name, value)` in place of the named parameters, which are then on no grid."""
    params: Params = {
        node: {
            field: change(f"{node}.{field}", value) if f"{node}.{field}" in names else value
            for field, value in fields.items()
        }
        for node, fields in model.params.items()
    }
    grids = {
        node: {field: grid for field, grid in fields.items() if f"{node}.{field}" not in names}
        for node, fields in model.grids.items()
    }
    return Model(params, model.program, {node: fields for node, fields in grids.items() if fields})
