"""What a field of a node may hold: the declarations that `nirjax.ir.nodes` is written in, and their checks.

Each declaration (`real`, `index`, `padding`, `shape_of`) is a dataclass field that carries a `Spec`. The reader,
the writer, the checks and the tests are driven by these specs, so a new node is declared once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from nirjax.errors import ParameterError
from nirjax.ir.shared import FinishedMemory

MOST_AXES = 32
_SMALL = np.finfo(np.float32).tiny
_LARGE = np.finfo(np.float32).max


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a graph is immutable; make a new one with dataclasses.replace")

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = _refuse
    __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (FrozenDict, (dict(self),))

    @classmethod
    def deep(cls, value: Mapping[str, Any] | None, path: str = "metadata") -> FrozenDict:
        """A frozen copy, nested mappings and arrays included; raises ParameterError naming the place under `path`."""
        if not isinstance(value, Mapping | None):
            raise ParameterError(f"{path} is a mapping", field=path, found=type(value).__name__)
        return cls({str(k): _frozen_value(v, f"{path}.{k}") for k, v in (value or {}).items()})


def _frozen_value(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return FrozenDict.deep(value, path)
    if isinstance(value, list | tuple | np.ndarray):
        return freeze(_array(value, path, words=True))
    return value


def freeze(array: np.ndarray) -> np.ndarray:
    """The array itself if nobody can write to it, else a read-only copy."""
    holder: Any = array
    while isinstance(holder, np.ndarray) and not holder.flags.writeable:
        holder = holder.base
    if isinstance(holder, memoryview):
        holder = holder.obj
    if holder is not None and not isinstance(holder, bytes | FinishedMemory):
        array = array.copy()
        array.flags.writeable = False
    return array


class _Required:
    """Stands for a field that was not given."""

    def __repr__(self) -> str:
        return "<required>"


REQUIRED: Any = _Required()


@dataclasses.dataclass(frozen=True)
class FullLike:
    """Default of a field: an array filled with `value`, of the shape and dtype of another field."""

    other: str
    value: float = 0

    def of(self, node: Any) -> np.ndarray:
        return np.full_like(getattr(node, self.other), self.value)


def zeros_like_field(other: str, value: float = 0) -> FullLike:
    """The value of a field that was left out: `value` everywhere, shaped as the field `other`."""
    return FullLike(other, value)


@dataclasses.dataclass(frozen=True)
class Spec:
    """What one field may hold.

    Attributes:
        kind: "real" (a trainable array), "index" (integers), "padding" (integers or a word), "shape" (a signal's).
        rank: the array's exact number of axes, if fixed; `min_rank` the least.
        positive: every element is > 0. `negative`: elements may be < 0.
        optional: None is allowed.
        stored: the name under which the file keeps it, where that differs.
        port: for a shape, the key of the reference package's type dict ("input" or "output").
        default: a value, or a `FullLike`; `REQUIRED` where there is none.
    """

    kind: str
    rank: int | None = None
    min_rank: int = 0
    positive: bool = False
    negative: bool = True
    optional: bool = False
    stored: str | None = None
    port: str = "input"
    default: Any = REQUIRED

    def check(self, value: Any, name: str, node: Any = None) -> Any:
        """The value as the node keeps it; raises ParameterError naming the field."""
        name = self.stored or name
        if value is REQUIRED:
            raise ParameterError("the field is missing", field=name)
        if value is None and isinstance(self.default, FullLike):
            return freeze(self.default.of(node))
        if self.kind == "shape":
            return self._shape(value, name)
        if value is None:
            if self.optional:
                return None
            raise ParameterError("the field is missing", field=name, found="None")
        if self.kind == "padding" and isinstance(value, str | np.str_):
            if value not in ("same", "valid"):
                raise ParameterError("no such padding", field=name, found=str(value), expected="'same' or 'valid'")
            return str(value)
        array = _array(value, name)
        with np.errstate(invalid="ignore"):  # a signalling NaN is refused, without NumPy's warning first
            return self._real(array, name) if self.kind == "real" else self._index(array, name)

    def _real(self, array: np.ndarray, name: str) -> np.ndarray:
        if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
            raise ParameterError(
                "not a real-valued array",
                field=name,
                found=f"dtype {array.dtype}",
                expected="float16, 32, 64 or integer",
            )
        if array.size == 0:
            raise ParameterError("the array is empty", field=name, found=f"shape {array.shape}")
        if self.rank is not None and array.ndim != self.rank:
            raise ParameterError("wrong rank", field=name, found=f"shape {array.shape}", expected=f"{self.rank} axes")
        if array.ndim < self.min_rank:
            raise ParameterError(
                "wrong rank", field=name, found=f"shape {array.shape}", expected=f"at least {self.min_rank} axes"
            )
        if array.dtype.kind == "f":
            _refuse_where(~np.isfinite(array), array, name, "finite numbers")
            if array.dtype.itemsize > 4:
                _refuse_where(np.abs(array) > _LARGE, array, name, "numbers that float32 can hold")
        elif array.dtype.itemsize > 4:
            _refuse_where((array > 2**53) | (array < -(2**53)), array, name, "integers that float64 can hold")
        if self.positive:
            _refuse_where(array < _SMALL, array, name, "positive numbers (that float32 can hold)")
        elif not self.negative:
            _refuse_where(array < 0, array, name, "numbers >= 0")
        return freeze(array)

    def _index(self, array: np.ndarray, name: str) -> np.ndarray:
        if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
            _refuse_where(array != np.floor(array), array, name, "whole numbers")
        elif array.dtype.kind not in "iu":
            raise ParameterError("not integers", field=name, found=f"dtype {array.dtype}")
        if array.ndim > 1 or array.size == 0:
            raise ParameterError("wrong rank", field=name, found=f"shape {array.shape}", expected="a number or a list")
        lowest = 1 if self.positive else None if self.negative else 0
        if lowest is not None:
            _refuse_where(array < lowest, array, name, f"numbers >= {lowest}")
        _refuse_where(np.abs(array.astype(np.float64)) >= 2**53, array, name, "smaller numbers")
        return freeze(array)

    def _shape(self, value: Any, name: str) -> FrozenDict:
        if isinstance(value, Mapping):
            value = value.get(self.port, value.get("input"))
        if value is None:
            if self.optional:
                return FrozenDict({self.port: None})
            raise ParameterError("the field is missing", field=name, found="None")
        array = _array(value, name)
        if array.size == 0 and array.ndim == 1:
            return FrozenDict({self.port: freeze(array.astype(np.int64) if array.dtype.kind == "f" else array)})
        if array.dtype.kind not in "iu":
            raise ParameterError("a shape is a list of integers", field=name, found=f"dtype {array.dtype}")
        if array.ndim != 1 or array.size > MOST_AXES:
            raise ParameterError(
                "a shape is a list of integers",
                field=name,
                found=f"{array.shape}",
                expected=f"at most {MOST_AXES} axes",
            )
        _refuse_where(array < 1, array, name, "numbers >= 1")
        if float(np.prod(array.astype(np.float64))) > 2**32:
            raise ParameterError("the signal is too large", field=name, found=array.tolist(), expected="2**32 elements")
        return FrozenDict({self.port: freeze(array)})


def _array(value: Any, name: str, *, words: bool = False) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ParameterError("not an array of numbers", field=name, found=type(value).__name__) from error
    if array.dtype == object and not words:
        raise ParameterError("not an array of numbers", field=name, found=type(value).__name__)
    return array


def _refuse_where(bad: np.ndarray, array: np.ndarray, name: str, expected: str) -> None:
    """Raise ParameterError with the first offender and its index, if there is one."""
    if bad.any():
        at = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
        where = f" at index {list(at)}" if at else ""
        raise ParameterError("bad value", field=name, found=f"{array[at]}{where}", expected=expected)


def _declare(spec: Spec) -> Any:
    default = None if isinstance(spec.default, FullLike) else spec.default
    return dataclasses.field(default=default, metadata={"spec": spec})


def real(
    *,
    rank: int | None = None,
    min_rank: int = 0,
    positive: bool = False,
    negative: bool = True,
    default: Any = REQUIRED,
) -> Any:
    """Declare a field of real numbers: a parameter, which can be trained."""
    spec = Spec("real", rank=rank, min_rank=min_rank, positive=positive, negative=negative, default=default)
    return _declare(spec)


def index(*, positive: bool = False, negative: bool = False, optional: bool = False, default: Any = REQUIRED) -> Any:
    """Declare a field of integers: strides, dilations, axes."""
    if optional:
        default = None
    return _declare(Spec("index", positive=positive, negative=negative, optional=optional, default=default))


def padding() -> Any:
    """Declare a convolution's padding: integers >= 0, "same" or "valid"."""
    return _declare(Spec("padding", negative=False))


def shape_of(port: str, *, stored: str = "shape", optional: bool = False) -> Any:
    """Declare the shape of a signal, kept as the reference package's `{port: shape}`."""
    default = None if optional else REQUIRED
    return _declare(Spec("shape", stored=stored, port=port, optional=optional, default=default))


def spec_of(cls: Any, name: str) -> Spec:
    """The spec of a class's field. A field declared without one (in a node type of the user's) is a real array."""
    spec = cls.__dataclass_fields__[name].metadata.get("spec")
    return spec if spec is not None else Spec("real")
