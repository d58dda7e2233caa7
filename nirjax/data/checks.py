"""What a recording may be: the checks that every source of data shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nirjax.engine.model import Model
from nirjax.errors import DataError

_BATCHES = (
    "If the source gives whole batches, as loaders do, say so: nirjax.data.Source(source, batched=True), with "
    "time_axis=1 where the samples come first"
)

Arrays = np.ndarray | dict[str, np.ndarray]
"""The input of a graph: one array, or one per Input node."""


def as_array(value: Any, name: str) -> np.ndarray:
    """`value` (an array of NumPy, JAX or torch, nested lists) as a NumPy array of numbers or bools.

    Raises:
        DataError: it is ragged, text, complex, a list of events, or not an array at all.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{name} is no array ({error})", field=name, found=type(value).__name__) from None
    if array.dtype.names is not None:
        raise DataError(
            f"{name} is a list of events", field=name, found=str(array.dtype), expected="an array with a time axis",
            hint="nirjax.data.bin_events makes frames of it; nirjax.data.EventSource takes a data set of events",
        )  # fmt: skip
    if not (jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in "biu"):
        hint = "Recordings of several lengths go in as a list of (x, y)" if array.dtype == object else None
        raise DataError(
            f"{name} is not made of real numbers", field=name, found=str(array.dtype),
            expected="bool, integers or floats", hint=hint,
        )  # fmt: skip
    return array


def as_input(value: Any, name: str = "x") -> Arrays:
    """One array, or a dict of arrays by Input node."""
    if isinstance(value, Mapping):
        if not value:
            raise DataError(f"{name} is an empty dict", field=name, expected="an array for each Input node")
        return {str(key): as_array(part, f"{name}[{key!r}]") for key, part in value.items()}
    return as_array(value, name)


def as_target(value: Any) -> np.ndarray | None:
    """Labels and counts as int32, everything else as it is."""
    if value is None:
        return None
    y = as_array(value, "y")
    if y.dtype.kind not in "biu":
        return y
    if y.size and (int(y.max()) > np.iinfo(np.int32).max or int(y.min()) < np.iinfo(np.int32).min):
        raise DataError("y holds integers beyond 32 bits", field="y", found=int(y.max()))
    return y.astype(np.int32)


def time_first(x: Arrays, axis: int, leading: int = 0) -> Arrays:
    """`x` with its time axis, `axis` of what follows the `leading` axes, directly behind those."""

    def moved(part: np.ndarray) -> np.ndarray:
        axes = part.ndim - leading
        if axes < 1:
            raise DataError("x has no time axis", field="x", found=part.shape, expected="(time, *shape)")
        if not -axes <= axis < axes:
            raise DataError(
                "x has no such axis", field="time_axis", found=axis,
                expected=f"an axis of an array of shape {part.shape[leading:]}",
            )  # fmt: skip
        return np.moveaxis(part, axis if axis < 0 else axis + leading, leading)

    moved_inputs: Arrays = map_inputs(moved, x)
    return moved_inputs


def map_inputs(function: Any, *inputs: Arrays) -> Any:
    """`function` of the array, or of the arrays by Input node."""
    if isinstance(inputs[0], dict):
        return {name: function(*(x[name] for x in inputs)) for name in inputs[0]}
    return function(*inputs)


def first(x: Arrays) -> np.ndarray:
    """The array, or that of the first Input node."""
    return next(iter(x.values())) if isinstance(x, dict) else x


def steps(x: Arrays) -> int:
    """The number of time steps of an input whose time comes first.

    Raises:
        DataError: there is none, or the inputs differ in it.
    """
    parts = list(x.values()) if isinstance(x, dict) else [x]
    lengths = {part.shape[0] for part in parts}
    if len(lengths) > 1:
        raise DataError(
            "the inputs differ in length", field="x", found=sorted(lengths), expected="one number of time steps"
        )
    if lengths == {0}:
        raise DataError("a recording is empty", field="x", found="0 time steps", expected="at least one")
    return int(lengths.pop())


def check_finite(x: Arrays, what: str) -> None:
    """Raises a DataError that names the first time step of `x` (time first) that is not finite, and one where `x` holds
    integers that JAX would cut off."""
    for part in x.values() if isinstance(x, dict) else [x]:
        if part.dtype.kind in "iu" and part.size:
            held = np.iinfo(jax.dtypes.canonicalize_dtype(part.dtype))
            if held.bits < 8 * part.dtype.itemsize and not held.min <= int(part.min()) <= int(part.max()) <= held.max:
                raise DataError(
                    f"{what} holds integers beyond {held.bits} bits", field="x",
                    found=max(int(part.min()), int(part.max()), key=abs), hint="Are these the times of events?",
                )  # fmt: skip
        if jnp.issubdtype(part.dtype, jnp.floating) and not np.isfinite(part).all():
            bad = ~np.isfinite(part).reshape(len(part), -1).all(axis=1)
            raise DataError(
                f"{what} is not finite at time step {int(bad.argmax())}", field="x", found="NaN or infinity",
                expected="finite numbers", hint="Replace what is missing before training, with zeros say",
            )  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """What the first recording of a source looks like, and all others must.

    Args:
        x: shape of one time step, by Input node or alone.
        y: shape of the target (of one time step of it, where `series`), None without a target.
        series: the target has a time axis of its own, as long as the recording.
    """

    x: Any
    y: tuple[int, ...] | None
    series: bool

    @classmethod
    def of(cls, x: Arrays, y: np.ndarray | None) -> Layout:
        """The layout of one recording. A target of two or more axes, the first as long as it, is a series."""
        series = y is not None and y.ndim >= 2 and y.shape[0] == steps(x)
        shape = None if y is None else y.shape[1:] if series else y.shape
        return cls(map_inputs(lambda part: part.shape[1:], x), shape, series)

    def check(self, x: Arrays, y: np.ndarray | None, what: str) -> None:
        """Raises a DataError if this recording is laid out otherwise, is empty, or is not finite."""
        length = steps(x)
        found = map_inputs(lambda part: part.shape[1:], x)
        if found != self.x:
            raise DataError(
                f"{what} has another shape than the first", field="x", found=found, expected=self.x,
                hint="Only the number of time steps may differ; `time_axis` says where time is",
            )  # fmt: skip
        if (y is None) != (self.y is None):
            raise DataError(f"{what} has {'no' if y is None else 'a'} target, unlike the first", field="y")
        if y is not None:
            expected = (length, *self.y) if self.series and self.y is not None else self.y
            if y.shape != expected:
                raise DataError(f"the target of {what} has another shape", field="y", found=y.shape, expected=expected)
            if y.dtype.kind == "f" and not np.isfinite(y).all():
                raise DataError(f"the target of {what} is not finite", field="y", found="NaN or infinity")
        check_finite(x, what)


@dataclass(frozen=True)
class Fit:
    """What a model takes and gives, as far as data can be held against it.

    Args:
        inputs: shape of one time step by Input node.
        classes: number of classes, where the targets are labels and the output is one vector.
        outputs: shape of one time step by Output node.
        dt: the model's time step.
    """

    inputs: Mapping[str, tuple[int, ...]]
    classes: int | None = None
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dt: float | None = None

    @classmethod
    def of(cls, model: Model, labels: bool) -> Fit:
        """What the model takes, and how many classes it has, if its targets are labels and it gives one vector."""
        plan = model.program.plan
        inputs = {name: tuple(plan.sites[name].input_shape) for name in plan.inputs}
        outputs = {name: tuple(plan.sites[name].output_shape) for name in plan.outputs}
        shapes = list(outputs.values())
        classes = shapes[0][0] if labels and len(shapes) == 1 and len(shapes[0]) == 1 else None
        return cls(inputs, classes, outputs, model.dt)

    def check(self, shape: Any, y: np.ndarray | None) -> None:
        """Holds the `shape` of one time step (or several, by Input node) and the targets `y` against the model.

        Raises:
            DataError: a shape that the model does not take, an input that is missing or unknown, a label out of range.
        """
        if isinstance(shape, tuple) and len(self.inputs) == 1:
            shape = dict.fromkeys(self.inputs, shape)
        if not isinstance(shape, dict) or set(shape) != set(self.inputs):
            raise DataError(
                "the inputs are not those of the model", field="x",
                found=sorted(shape) if isinstance(shape, dict) else "one array",
                expected=f"a dict with an array for each of {sorted(self.inputs)}",
            )  # fmt: skip
        for name, expected in self.inputs.items():
            if shape[name] != tuple(expected):
                batches = shape[name][1:] == tuple(expected)
                raise DataError(
                    "x does not fit the model", node=name, field="x", found=f"{shape[name]} at each time step",
                    expected=f"{tuple(expected)}", hint=_BATCHES if batches else "`time_axis` says where time is",
                )  # fmt: skip
        if self.classes is not None and y is not None and y.dtype.kind == "i" and y.ndim == 1 and y.size:
            low, high = int(y.min()), int(y.max())
            if low < 0 or high >= self.classes:
                raise DataError(
                    "a label is out of range", field="y", found=low if low < 0 else high,
                    expected=f"0 to {self.classes - 1}, as the model has {self.classes} outputs",
                )  # fmt: skip
