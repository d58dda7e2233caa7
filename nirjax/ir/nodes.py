"""Every node type of NIR as a frozen, validated class, with the names and fields of the reference package.

A node is data: NumPy arrays, shapes, words. It checks itself when it is made, so a node that exists is a valid
one. What a node does to a signal is in `nirjax.primitives`; here is only what shapes it takes and gives.

Source: the NIR specification, https://neuroir.org/docs/primitives.html, and the package `nir` 1.0.8.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nirjax.errors import ParameterError, ShapeError
from nirjax.ir.fields import FrozenDict, freeze, index, padding, real, shape_of, spec_of, zeros_like_field

Shape = tuple[int, ...]

LARGEST_SIGNAL = 2**32
"""The most elements that one node may emit in one time step."""


@dataclass(frozen=True, eq=False, repr=False)
class NIRNode:
    """Base of all nodes. Two nodes are equal only if they are the same object; see `nirjax.diff` for content.

    Attributes:
        metadata: names to strings, numbers, arrays or further mappings; carried along, never acted on.
    """

    metadata: Mapping[str, Any] = dataclasses.field(default_factory=FrozenDict, kw_only=True)

    stateful: ClassVar[bool] = False
    spiking: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in self.field_names():
            object.__setattr__(self, name, spec_of(type(self), name).check(getattr(self, name), name, self))
        object.__setattr__(self, "metadata", FrozenDict.deep(self.metadata))
        self.check()

    def check(self) -> None:
        """Raise ParameterError where fields do not fit each other."""

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Names of the node's own fields, in the order of the reference package."""
        return _field_names(cls)  # type: ignore[arg-type]

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Names of the fields that hold real numbers: what can be trained."""
        return _parameter_names(cls)  # type: ignore[arg-type]

    def accepts(self) -> Shape | None:
        """Shape of the input that the fields alone determine, or None where any (fitting) shape will do."""
        return None

    def gives(self, shape: Shape) -> Shape:
        """Shape of the output for an input of `shape`; raises ShapeError (naming the field) where it does not fit."""
        return shape

    @property
    def input_type(self) -> dict[str, np.ndarray | None]:
        """`{"input": shape}` as in the reference package; None where the fields leave it open."""
        shape = self.accepts()
        return {"input": None if shape is None else np.array(shape, dtype=np.int64)}

    @property
    def output_type(self) -> dict[str, np.ndarray | None]:
        """`{"output": shape}` as in the reference package; None where the fields leave it open."""
        shape = self.accepts()
        return {"output": None if shape is None else np.array(self.gives(shape), dtype=np.int64)}

    def __repr__(self) -> str:
        words = ", ".join(f"{name}={_brief(getattr(self, name))}" for name in self.field_names())
        return f"{type(self).__name__}({words})"


@functools.cache
def _field_names(cls: type[NIRNode]) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(cls) if f.name != "metadata")


@functools.cache
def _parameter_names(cls: type[NIRNode]) -> tuple[str, ...]:
    return tuple(name for name in cls.field_names() if spec_of(cls, name).kind == "real")


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"{value.dtype}{list(value.shape)}"
    return repr(value.tolist()) if isinstance(value, np.ndarray) else repr(value)


def _mismatch(field: str, found: Shape, expected: object) -> ShapeError:
    return ShapeError("the input does not fit this node", field=field, found=f"shape {found}", expected=expected)


def _limited(shape: Shape, field: str) -> Shape:
    if math.prod(shape) > LARGEST_SIGNAL:
        raise ShapeError(
            "the signal is too large to run",
            field=field,
            found=f"shape {shape}",
            expected=f"at most {LARGEST_SIGNAL} elements a time step",
        )
    return shape


# ---------------------------------------------------------------------------------------------------------- ports


@dataclass(frozen=True, eq=False, repr=False)
class Input(NIRNode):
    """Where data enters a graph. `Input((3,))`, `Input(array)` and `Input({"input": array})` are the same.

    The shape is that of one time step of one sample, without a batch axis. Files call the field `shape`.
    """

    input_type: Any = shape_of("input")

    @property
    def shape(self) -> Shape:
        """The signal's shape."""
        return self.accepts()

    def accepts(self) -> Shape:
        return tuple(int(n) for n in self.input_type["input"])

    def gives(self, shape: Shape) -> Shape:
        if shape != self.accepts():
            raise _mismatch("shape", shape, f"{self.accepts()}, as declared")
        return shape


@dataclass(frozen=True, eq=False, repr=False)
class Output(NIRNode):
    """Where data leaves a graph. Takes what `Input` takes, with `{"output": array}`."""

    output_type: Any = shape_of("output")

    @property
    def shape(self) -> Shape:
        """The signal's shape."""
        return self.accepts()

    def accepts(self) -> Shape:
        return tuple(int(n) for n in self.output_type["output"])

    def gives(self, shape: Shape) -> Shape:
        if shape != self.accepts():
            raise _mismatch("shape", shape, f"{self.accepts()}, as declared")
        return shape


# --------------------------------------------------------------------------------------------------- linear maps


@dataclass(frozen=True, eq=False, repr=False)
class Affine(NIRNode):
    """y = W x + b. `weight` (*axes, out, in), `bias` (*axes, out); the input is (*axes, in)."""

    weight: np.ndarray = real(min_rank=2)
    bias: np.ndarray = real()

    def check(self) -> None:
        if self.bias.shape != self.weight.shape[:-1]:
            raise ParameterError(
                "the bias does not fit the weight",
                field="bias",
                found=f"shape {self.bias.shape}",
                expected=f"shape {self.weight.shape[:-1]}, one for each output",
            )

    def accepts(self) -> Shape:
        return (*self.weight.shape[:-2], self.weight.shape[-1])

    def gives(self, shape: Shape) -> Shape:
        if shape != self.accepts():
            raise _mismatch("weight", shape, f"{self.accepts()}, for a weight of shape {self.weight.shape}")
        return (*self.weight.shape[:-1],)


@dataclass(frozen=True, eq=False, repr=False)
class Linear(NIRNode):
    """y = W x. `weight` (*axes, out, in); the input is (*axes, in)."""

    weight: np.ndarray = real(min_rank=2)

    accepts = Affine.accepts
    gives = Affine.gives


class _Elementwise(NIRNode):
    """Nodes whose parameters have the shape of their signal, or are scalars that suit any shape."""

    elementwise: ClassVar[bool] = True

    def check(self) -> None:
        shapes = {name: getattr(self, name).shape for name in self.parameter_names()}
        if "w_in" in shapes and shapes["w_in"] == ():
            del shapes["w_in"]
        if len(set(shapes.values())) < 2:
            return
        # the odd one out is to blame: the shape that most parameters have is the one that was meant
        usual = Counter(shapes.values()).most_common(1)[0][0]
        for name, found in shapes.items():
            if found == usual:
                continue
            square = name in ("w_in", "r") and len(found) == 2 and found[0] == found[1]
            raise ParameterError(
                "all parameters of a node have one shape",
                field=name,
                found=f"shape {found}",
                expected=f"shape {usual}, as the others",
                hint="A matrix of weights belongs into a Linear node before the neuron." if square else None,
            )

    def accepts(self) -> Shape | None:
        shape = getattr(self, self.parameter_names()[0]).shape
        return shape or None

    def gives(self, shape: Shape) -> Shape:
        own = self.accepts()
        if own is not None and shape != own:
            name = self.parameter_names()[0]
            raise _mismatch(name, shape, f"{own}, the shape of {name}")
        return shape


@dataclass(frozen=True, eq=False, repr=False)
class Scale(_Elementwise):
    """y = s x, elementwise."""

    scale: np.ndarray = real()


# -------------------------------------------------------------------------------------------------- convolutions


def _numbers(value: np.ndarray, axes: int) -> Shape:
    """A field that is one integer for all axes, or one an axis."""
    flat = [int(n) for n in np.ravel(value)]
    return tuple(flat * axes if len(flat) == 1 else flat)


def same_padding(kernel: Shape, dilation: Shape) -> tuple[tuple[int, int], ...]:
    """PyTorch's `padding="same"`: d (k - 1) in all, the smaller half in front."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


class _Convolution(NIRNode):
    """What Conv1d and Conv2d share. Channels come first; PyTorch's cross-correlation."""

    axes: ClassVar[int]
    input_shape: Any
    weight: np.ndarray
    stride: np.ndarray
    padding: Any
    dilation: np.ndarray
    groups: np.ndarray
    bias: np.ndarray

    def check(self) -> None:
        channels, groups = self.weight.shape[0], int(np.ravel(self.groups)[0])
        if self.groups.size != 1:
            raise ParameterError("groups is one number", field="groups", found=self.groups.tolist())
        if channels % groups:
            raise ParameterError(
                "the output channels do not divide into the groups",
                field="groups",
                found=f"{groups} groups for {channels} output channels",
                expected="a divisor of the output channels",
            )
        if self.bias.shape != (channels,):
            raise ParameterError(
                "the bias does not fit the weight",
                field="bias",
                found=f"shape {self.bias.shape}",
                expected=f"shape {(channels,)}, one for each output channel",
            )
        for name in ("stride", "padding", "dilation", "input_shape"):
            value = getattr(self, name)
            if isinstance(value, np.ndarray) and value.size not in (1, self.axes):
                raise ParameterError("wrong size", field=name, found=value.tolist(), expected=f"{self.axes} numbers")
        if isinstance(self.input_shape, np.ndarray) and self.input_shape.size != self.axes:
            raise ParameterError(
                "wrong size", field="input_shape", found=self.input_shape.tolist(), expected=f"{self.axes} numbers"
            )
        shape = self.accepts()
        if shape is not None:
            self._refuse_shape(shape)

    def _refuse_shape(self, shape: Shape) -> None:
        try:
            _limited(shape, "input_shape")
            self.gives(shape)
        except ShapeError as error:
            raise ParameterError(error.message, field=error.field, found=error.found, expected=error.expected) from None

    def pads(self) -> tuple[tuple[int, int], ...]:
        """(before, after) for each spatial axis."""
        if isinstance(self.padding, str):
            kernel = self.weight.shape[2:]
            return (
                same_padding(kernel, _numbers(self.dilation, self.axes))
                if self.padding == "same"
                else ((0, 0),) * self.axes
            )
        return tuple((p, p) for p in _numbers(self.padding, self.axes))

    def strides(self) -> Shape:
        return _numbers(self.stride, self.axes)

    def dilations(self) -> Shape:
        return _numbers(self.dilation, self.axes)

    def group_count(self) -> int:
        return int(np.ravel(self.groups)[0])

    def _output_size(self, spatial: Shape, field: str) -> Shape:
        return _window_output(
            spatial, self.weight.shape[2:], self.strides(), self.pads(), self.dilations(), field=field
        )

    def accepts(self) -> Shape | None:
        if self.input_shape is None:
            return None
        return (self.weight.shape[1] * self.group_count(), *_numbers(self.input_shape, self.axes))

    def gives(self, shape: Shape) -> Shape:
        channels = self.weight.shape[1] * self.group_count()
        if len(shape) != 1 + self.axes or shape[0] != channels:
            field = "groups" if self.group_count() > 1 else "weight"
            raise _mismatch(field, shape, f"{channels} channels and {self.axes} spatial axes")
        if self.input_shape is not None and shape[1:] != _numbers(self.input_shape, self.axes):
            raise _mismatch("input_shape", shape, f"spatial shape {_numbers(self.input_shape, self.axes)}, as declared")
        return _limited((self.weight.shape[0], *self._output_size(shape[1:], "weight")), "input_shape")


def _window_output(
    spatial: Shape,
    kernel: Shape,
    stride: Shape,
    pads: tuple[tuple[int, int], ...],
    dilation: Shape,
    *,
    field: str,
) -> Shape:
    """floor((n + before + after - d (k - 1) - 1) / stride) + 1 along each axis."""
    sizes = []
    for n, k, s, (before, after), d in zip(spatial, kernel, stride, pads, dilation, strict=True):
        if before + after > 2 * LARGEST_SIGNAL or n + before + after > LARGEST_SIGNAL:
            raise ShapeError("the padded signal is too large to run", field="padding", found=(before, after))
        left = n + before + after - d * (k - 1) - 1
        if left < 0:
            raise ShapeError(
                "the kernel is larger than its input",
                field=field,
                found=f"kernel {kernel}, dilation {dilation} on an input of {spatial}",
            )
        sizes.append(left // s + 1)
    return tuple(sizes)


@dataclass(frozen=True, eq=False, repr=False)
class Conv1d(_Convolution):
    """1-d convolution. `weight` (C_out, C_in / groups, K), `bias` (C_out,), input (C_in, N).

    `input_shape` is N, or None where it follows from the graph. `padding` is a number, "same" or "valid".
    """

    axes: ClassVar[int] = 1
    input_shape: np.ndarray | None = index(positive=True, optional=True)
    weight: np.ndarray = real(rank=3)
    stride: np.ndarray = index(positive=True)
    padding: np.ndarray | str = padding()
    dilation: np.ndarray = index(positive=True)
    groups: np.ndarray = index(positive=True)
    bias: np.ndarray = real(rank=1)


@dataclass(frozen=True, eq=False, repr=False)
class Conv2d(_Convolution):
    """2-d convolution. `weight` (C_out, C_in / groups, K_y, K_x), `bias` (C_out,), input (C_in, N_y, N_x).

    `input_shape` is (N_y, N_x), or None where it follows from the graph. `padding` may be "same" or "valid".
    """

    axes: ClassVar[int] = 2
    input_shape: np.ndarray | None = index(positive=True, optional=True)
    weight: np.ndarray = real(rank=4)
    stride: np.ndarray = index(positive=True)
    padding: np.ndarray | str = padding()
    dilation: np.ndarray = index(positive=True)
    groups: np.ndarray = index(positive=True)
    bias: np.ndarray = real(rank=1)


# ------------------------------------------------------------------------------------------- pooling and reshaping


class _Pool2d(NIRNode):
    kernel_size: np.ndarray
    stride: np.ndarray
    padding: np.ndarray

    def check(self) -> None:
        for name in self.field_names():
            value = getattr(self, name)
            if value.size not in (1, 2):
                raise ParameterError("wrong size", field=name, found=value.tolist(), expected="one or two numbers")

    def window(self) -> Shape:
        return _numbers(self.kernel_size, 2)

    def strides(self) -> Shape:
        return _numbers(self.stride, 2)

    def pads(self) -> tuple[tuple[int, int], ...]:
        return tuple((p, p) for p in _numbers(self.padding, 2))

    def gives(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise _mismatch("kernel_size", shape, "(channels, height, width)")
        size = _window_output(shape[1:], self.window(), self.strides(), self.pads(), (1, 1), field="kernel_size")
        return _limited((shape[0], *size), "padding")


@dataclass(frozen=True, eq=False, repr=False)
class SumPool2d(_Pool2d):
    """Sum over windows of (height, width), zero padded."""

    kernel_size: np.ndarray = index(positive=True)
    stride: np.ndarray = index(positive=True)
    padding: np.ndarray = index()


@dataclass(frozen=True, eq=False, repr=False)
class AvgPool2d(_Pool2d):
    """Mean over windows of (height, width); padding counts, as PyTorch's `count_include_pad=True`."""

    kernel_size: np.ndarray = index(positive=True)
    stride: np.ndarray = index(positive=True)
    padding: np.ndarray = index()


@dataclass(frozen=True, eq=False, repr=False)
class Flatten(NIRNode):
    """Axes start_dim..end_dim (inclusive, negative from the end) of one time step of one sample become one."""

    input_type: Any = shape_of("input", stored="input_type", optional=True)
    start_dim: np.ndarray = index(negative=True, default=1)
    end_dim: np.ndarray = index(negative=True, default=-1)

    def check(self) -> None:
        for name in ("start_dim", "end_dim"):
            if getattr(self, name).size != 1:
                raise ParameterError("one number", field=name, found=getattr(self, name).tolist())
        shape = self.accepts()
        if shape is not None:
            self._range(len(shape), ParameterError)

    def _range(self, rank: int, error: type[ParameterError] | type[ShapeError]) -> tuple[int, int]:
        start, end = (int(np.ravel(d)[0]) for d in (self.start_dim, self.end_dim))
        first, last = (d + rank if d < 0 else d for d in (start, end))
        for name, found, axis in (("start_dim", start, first), ("end_dim", end, last)):
            if not 0 <= axis < rank:
                raise error("no such axis", field=name, found=found, expected=f"an axis of {rank}")
        if first > last:
            raise error("start_dim lies behind end_dim", field="start_dim", found=(start, end))
        return first, last

    def accepts(self) -> Shape | None:
        declared = self.input_type["input"]
        return None if declared is None else tuple(int(n) for n in declared)

    def gives(self, shape: Shape) -> Shape:
        declared = self.accepts()
        if declared is not None and declared != shape:
            raise _mismatch("input_type", shape, f"{declared}, as declared")
        first, last = self._range(len(shape), ShapeError)
        return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


# -------------------------------------------------------------------------------------------------------- neurons


@dataclass(frozen=True, eq=False, repr=False)
class Delay(_Elementwise):
    """y(t) = x(t - delay), elementwise; delay >= 0."""

    stateful: ClassVar[bool] = True
    delay: np.ndarray = real(negative=False)


@dataclass(frozen=True, eq=False, repr=False)
class Threshold(_Elementwise):
    """y = 1 where x > threshold, else 0."""

    threshold: np.ndarray = real()


@dataclass(frozen=True, eq=False, repr=False)
class I(_Elementwise):  # noqa: E742  (NIR's own name)
    """Integrator: dv/dt = R I."""

    stateful: ClassVar[bool] = True
    r: np.ndarray = real()


@dataclass(frozen=True, eq=False, repr=False)
class IF(_Elementwise):
    """Integrate and fire: dv/dt = R I; spike where v > v_threshold, then v := v_reset."""

    stateful: ClassVar[bool] = True
    spiking: ClassVar[bool] = True
    r: np.ndarray = real()
    v_threshold: np.ndarray = real()
    v_reset: np.ndarray = real(default=zeros_like_field("v_threshold"))


@dataclass(frozen=True, eq=False, repr=False)
class LI(_Elementwise):
    """Leaky integrator: tau dv/dt = (v_leak - v) + R I."""

    stateful: ClassVar[bool] = True
    tau: np.ndarray = real(positive=True)
    r: np.ndarray = real()
    v_leak: np.ndarray = real()


@dataclass(frozen=True, eq=False, repr=False)
class LIF(_Elementwise):
    """Leaky integrate and fire: LI; spike where v > v_threshold, then v := v_reset."""

    stateful: ClassVar[bool] = True
    spiking: ClassVar[bool] = True
    tau: np.ndarray = real(positive=True)
    r: np.ndarray = real()
    v_leak: np.ndarray = real()
    v_threshold: np.ndarray = real()
    v_reset: np.ndarray = real(default=zeros_like_field("v_threshold"))


@dataclass(frozen=True, eq=False, repr=False)
class CubaLI(_Elementwise):
    """Current-based LI: tau_syn dI/dt = -I + w_in S; tau_mem dv/dt = (v_leak - v) + R I."""

    stateful: ClassVar[bool] = True
    tau_syn: np.ndarray = real(positive=True)
    tau_mem: np.ndarray = real(positive=True)
    r: np.ndarray = real()
    v_leak: np.ndarray = real()
    w_in: np.ndarray = real(default=zeros_like_field("v_leak", value=1))


@dataclass(frozen=True, eq=False, repr=False)
class CubaLIF(_Elementwise):
    """Current-based LIF: tau_syn dI/dt = -I + w_in S; tau_mem dv/dt = (v_leak - v) + R I; spike and reset as LIF."""

    stateful: ClassVar[bool] = True
    spiking: ClassVar[bool] = True
    tau_syn: np.ndarray = real(positive=True)
    tau_mem: np.ndarray = real(positive=True)
    r: np.ndarray = real()
    v_leak: np.ndarray = real()
    v_threshold: np.ndarray = real()
    v_reset: np.ndarray = real(default=zeros_like_field("v_threshold"))
    w_in: np.ndarray = real(default=zeros_like_field("v_threshold", value=1))


NODE_TYPES: dict[str, type[NIRNode]] = {
    cls.__name__: cls
    for cls in (
        *(Input, Output, Affine, Linear, Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d, Flatten),
        *(Delay, Threshold, I, IF, LI, LIF, CubaLI, CubaLIF),
    )
}
"""Every node type of NIR but the graph itself, by name."""

__all__ = [*NODE_TYPES, "LARGEST_SIGNAL", "NODE_TYPES", "NIRNode", "Shape", "freeze", "same_padding"]
