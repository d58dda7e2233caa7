"""One sound node of every class, and every way to spoil one of its fields, generated from what the classes declare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.ir.fields import REQUIRED, Spec, spec_of
from nirjax.ir.nodes import NODE_TYPES, NIRNode

SIGNAL = (3,)
"""Shape of what enters and leaves a neuron here."""


def _full(value: float) -> np.ndarray:
    return np.full(SIGNAL, value, np.float32)


_NEURON = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
_CUBA = {"tau_syn": 0.005, "tau_mem": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "w_in": 1.0}
_POOL = {"kernel_size": np.array([2, 2]), "stride": np.array([2, 2]), "padding": np.array([0, 0])}
_CONV = {"dilation": np.array(1), "groups": np.array(1), "bias": np.ones(4, np.float32)}

# stored names to values, input shape, output shape
FIELDS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "Input": ({"shape": np.array(SIGNAL)}, SIGNAL, SIGNAL),
    "Output": ({"shape": np.array(SIGNAL)}, SIGNAL, SIGNAL),
    "Affine": ({"weight": np.ones((2, 3), np.float32), "bias": np.ones(2, np.float32)}, (3,), (2,)),
    "Linear": ({"weight": np.ones((2, 3), np.float32)}, (3,), (2,)),
    "Scale": ({"scale": _full(2)}, SIGNAL, SIGNAL),
    "Conv1d": (
        {
            "input_shape": np.array(8),
            "weight": np.ones((4, 2, 3), np.float32),
            "stride": np.array(1),
            "padding": np.array(0),
            **_CONV,
        },
        (2, 8),
        (4, 6),
    ),
    "Conv2d": (
        {
            "input_shape": np.array([8, 9]),
            "weight": np.ones((4, 2, 3, 3), np.float32),
            "stride": np.array([1, 1]),
            "padding": np.array([0, 0]),
            **_CONV,
        },
        (2, 8, 9),
        (4, 6, 7),
    ),
    "SumPool2d": (_POOL, (2, 8, 8), (2, 4, 4)),
    "AvgPool2d": (_POOL, (2, 8, 8), (2, 4, 4)),
    "Flatten": ({"input_type": np.array([2, 3]), "start_dim": np.array(0), "end_dim": np.array(-1)}, (2, 3), (6,)),
    "Delay": ({"delay": _full(0.001)}, SIGNAL, SIGNAL),
    "Threshold": ({"threshold": _full(1)}, SIGNAL, SIGNAL),
    "I": ({"r": _full(1)}, SIGNAL, SIGNAL),
    "IF": ({name: _full(_NEURON[name]) for name in ("r", "v_threshold", "v_reset")}, SIGNAL, SIGNAL),
    "LI": ({name: _full(_NEURON[name]) for name in ("tau", "r", "v_leak")}, SIGNAL, SIGNAL),
    "LIF": ({name: _full(value) for name, value in _NEURON.items()}, SIGNAL, SIGNAL),
    "CubaLI": (
        {name: _full(_CUBA[name]) for name in ("tau_syn", "tau_mem", "r", "v_leak", "w_in")},
        SIGNAL,
        SIGNAL,
    ),
    "CubaLIF": ({name: _full(value) for name, value in _CUBA.items()}, SIGNAL, SIGNAL),
}


def python_names(cls: type[NIRNode]) -> dict[str, str]:
    """Stored names of the fields of a class to their names in Python."""
    return {spec_of(cls, name).stored or name: name for name in cls.field_names()}


def node(kind: str, **changes: Any) -> NIRNode:
    """A sound node of a class, some fields (by stored name) changed."""
    cls = NODE_TYPES[kind]
    fields = {**FIELDS[kind][0], **changes}
    return cls(**{python: fields[stored] for stored, python in python_names(cls).items() if stored in fields})


@dataclass(frozen=True)
class Fault:
    """A field of a node class spoilt in one way.

    Attributes:
        field: the stored name.
        value: what is there instead; REQUIRED where the field is missing.
        on_edge: the node alone is sound: only the signal that enters it shows the fault.
        partner: another field that the error may name first, where two do not fit each other.
    """

    kind: str
    field: str
    name: str
    value: Any
    on_edge: bool = False
    partner: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}-{self.field}-{self.name}"


def faults() -> Iterator[Fault]:
    """Every fault of every field of every class."""
    for kind, cls in NODE_TYPES.items():
        for stored, python in python_names(cls).items():
            for name, value, on_edge in _faults(kind, cls, stored, spec_of(cls, python)):
                both = stored == "weight" and "bias" in FIELDS[kind][0] and name.startswith("wrong")
                yield Fault(kind, stored, name, value, on_edge, "bias" if both else None)


def _faults(kind: str, cls: type[NIRNode], stored: str, spec: Spec) -> Iterator[tuple[str, Any, bool]]:
    good = np.asarray(FIELDS[kind][0][stored])
    if spec.default is REQUIRED:
        yield "missing", REQUIRED, False
    yield "wrong dtype (text)", np.array(["a"] * max(good.size, 1)).reshape(good.shape or (1,)), False
    yield "wrong dtype (complex)", good.astype(np.complex64), False
    yield "wrong dtype (bool)", good.astype(bool), False
    if spec.kind == "real":
        yield from _real_faults(kind, cls, good, spec)
    else:
        yield from _whole_faults(good, spec)
    if spec.kind == "padding":
        yield "no such word", "reflect", False


def _real_faults(kind: str, cls: type[NIRNode], good: np.ndarray, spec: Spec) -> Iterator[tuple[str, Any, bool]]:
    alone = cls.elementwise and len(cls.parameter_names()) == 1
    larger = good[:, None] if cls.elementwise else good[None]
    yield "wrong rank (more)", larger, alone or kind == "Linear"
    if spec.rank or spec.min_rank:
        yield "wrong rank (less)", good[0] if spec.rank != 1 else good.sum(), False
    axis = -1 if kind == "Linear" else 0
    yield "wrong size", np.repeat(good, 2, axis=axis), alone or kind == "Linear"
    yield "empty", good[:0], False
    for name, value in (("nan", np.nan), ("inf", np.inf), ("-inf", -np.inf)):
        spoilt = good.copy()
        spoilt.flat[-1] = value
        yield name, spoilt, False
    if spec.positive:
        yield "zero", np.where(np.arange(good.size).reshape(good.shape) == 1, 0, good).astype(good.dtype), False
    if spec.positive or not spec.negative:
        yield "negative", -good, False


def _whole_faults(good: np.ndarray, spec: Spec) -> Iterator[tuple[str, Any, bool]]:
    yield "wrong dtype (fractions)", good + 0.5, False
    yield "wrong rank", np.broadcast_to(good, (2, *np.atleast_1d(good).shape)).copy(), False
    yield "nan", np.full(good.shape, np.nan), False
    if spec.kind == "shape":
        yield "zero", np.zeros_like(good), False
        yield "too many axes", np.ones(40, np.int64), False
        yield "too large", np.full_like(good, 2**40), False
    else:
        yield "wrong size", np.ones(5, np.int64), False
        yield "empty", np.zeros(0, np.int64), False
    if spec.positive:
        yield "zero", np.zeros_like(good), False
    if spec.kind == "shape" or not spec.negative:
        yield "negative", -np.ones_like(good), False
