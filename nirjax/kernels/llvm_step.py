"""A step of a walk as LLVM instructions, for vectors of any width.

Every value of a step is a vector of `width` lanes, one an element; scalars are vectors of equal lanes. Instructions
are IEEE's own, in the order of the step. A product and a sum may be contracted to one instruction that rounds once,
where the processor has it: so does XLA, and the lanes are bit for bit what its scan gives.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jax import lax
from jax.extend.core import Literal

from nirjax.kernels.steps import TracedStep, called
from nirjax.kernels.walk import NotKnownError

WIDTH = 16
"""Lanes of a vector: 64 bytes of float32."""

FLOATS = {"float32": "float", "float64": "double"}
"""What LLVM calls the dtypes that it computes with here."""

SIZES = {"float": 4, "double": 8}
"""Bytes of a number, by what LLVM calls it."""

ARITHMETIC = {
    "add": "fadd contract",
    "add_any": "fadd contract",
    "sub": "fsub contract",
    "mul": "fmul contract",
    "div": "fdiv contract",
}
COMPARISONS = {"gt": "ogt", "ge": "oge", "lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
LOGIC = {"and": "and", "or": "or", "xor": "xor"}
INTRINSICS = {"max": "maximum", "min": "minimum", "abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil"}
SAME = frozenset(("copy", "stop_gradient", "broadcast_in_dim", "reshape", "squeeze"))
"""What leaves every lane as it is."""

LOG2_E, LN2_HIGH, LN2_LOW = 1.44269504088896341, 0.693359375, -2.12194440e-4
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Cephes' polynomial for (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2, highest power first."""


@dataclass(frozen=True)
class Value:
    """A vector in a program: its type, and the name that it goes by; what it is, if that is one known number."""

    type: str
    name: str
    number: float | None = None


@dataclass(frozen=True)
class Writer:
    """A program that is being written, for vectors of `width` lanes of `scalar`, "float" or "double".

    Attributes:
        lines: what has been written.
        uses: the declarations that it needs.
        numbers, prefix: give each value a name.
        index: the first lane's element, for those that read and write.
    """

    scalar: str
    width: int
    lines: list[str] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    prefix: str = ""
    index: str = "%i"

    def vector(self, scalar: str) -> str:
        """The type of a vector of some scalar."""
        return f"<{self.width} x {scalar}>"

    @property
    def real(self) -> str:
        """The type of a vector of numbers."""
        return self.vector(self.scalar)

    @property
    def truth(self) -> str:
        """The type of a vector of truth values."""
        return self.vector("i1")

    def put(self, type_: str, instruction: str) -> Value:
        """Write an instruction; the value that it gives."""
        name = f"%{self.prefix}v{next(self.numbers)}"
        self.lines.append(f"{name} = {instruction}")
        return Value(type_, name)

    def number(self, value: float) -> Value:
        """A number in all lanes."""
        exact = float(np.float32(value)) if self.scalar == "float" else float(value)
        bits = struct.unpack(">Q", struct.pack(">d", exact))[0]
        return Value(self.real, f"splat ({self.scalar} 0x{bits:016X})", exact)

    def spread(self, one: Value) -> Value:
        """A scalar in all lanes."""
        first = self.put(self.real, f"insertelement {self.real} poison, {one.type} {one.name}, i64 0")
        lanes = f"<{self.width} x i32> zeroinitializer"
        return self.put(self.real, f"shufflevector {self.real} {first.name}, {self.real} poison, {lanes}")

    def truth_of(self, value: float) -> Value:
        """A truth value in all lanes."""
        return Value(self.truth, f"splat (i1 {int(bool(value))})", value)

    def call(self, intrinsic: str, *arguments: Value) -> Value:
        """An intrinsic function of LLVM, lane by lane."""
        name = f"@llvm.{intrinsic}.v{self.width}{'f32' if self.scalar == 'float' else 'f64'}"
        types = ", ".join(one.type for one in arguments)
        self.uses.add(f"declare {self.real} {name}({types})")
        return self.put(self.real, f"call {self.real} {name}({', '.join(f'{a.type} {a.name}' for a in arguments)})")

    def two(self, instruction: str, one: Value, other: Value) -> Value:
        """An instruction of two values that gives their type."""
        return self.put(one.type, f"{instruction} {one.type} {one.name}, {other.name}")

    def choice(self, where: Value, one: Value, other: Value) -> Value:
        """`one` in the lanes where it is true, else `other`."""
        taken = f"select {where.type} {where.name}, {one.type} {one.name}, {other.type} {other.name}"
        return self.put(one.type, taken)

    def compare(self, how: str, one: Value, other: Value) -> Value:
        """A comparison of numbers."""
        return self.put(self.truth, f"fcmp {how} {one.type} {one.name}, {other.name}")


def write_step(writer: Writer, step: TracedStep, arguments: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    """Write a step's operations: the carry that they give, and the results.

    Raises:
        NotKnownError: for an operation, or a dtype, that is not written here.
    """
    found = _write(writer, step.traced, arguments)
    return found[: step.carried], found[step.carried :]


def _write(writer: Writer, traced: Any, arguments: Sequence[Value]) -> list[Value]:
    if traced.consts:
        raise NotKnownError("arrays of its own")
    known = dict(zip(traced.jaxpr.invars, arguments, strict=True))

    def value(atom: Any) -> Value:
        return _literal(writer, atom) if isinstance(atom, Literal) else known[atom]

    for equation in traced.jaxpr.eqns:
        given = [value(atom) for atom in equation.invars]
        within = called(equation.params)
        results = operation(writer, equation, given) if within is None else _write(writer, within, given)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in traced.jaxpr.outvars]


def _literal(writer: Writer, literal: Any) -> Value:
    return known_number(writer, literal.aval.dtype, float(literal.val))


def known_number(writer: Writer, dtype: Any, value: float) -> Value:
    """A number that is known, of whatever dtype."""
    return writer.truth_of(value) if is_truth(dtype) else writer.number(value)


def operation(writer: Writer, equation: Any, given: list[Value]) -> list[Value]:
    """One operation of JAX."""
    name = equation.primitive.name
    if given[0].number is not None and name in SAME | {"convert_element_type"}:
        # a whole number too, on its way to a float
        return [known_number(writer, equation.outvars[0].aval.dtype, given[0].number)]
    if any(not _writable(atom.aval.dtype, writer.scalar) for atom in (*equation.invars, *equation.outvars)):
        raise NotKnownError(f"{name} of {equation.invars[0].aval.dtype}")
    if name in SAME:
        return [given[0]]
    if name in ARITHMETIC:
        return [writer.two(ARITHMETIC[name], *given)]
    if name in COMPARISONS and given[0].type == writer.real:
        return [writer.compare(COMPARISONS[name], *given)]
    if name in LOGIC:
        return [writer.two(LOGIC[name], *given)]
    if name in INTRINSICS:
        return [writer.call(INTRINSICS[name], *given)]
    if name in FUNCTIONS:
        return [FUNCTIONS[name](writer, equation.params, *given)]
    raise NotKnownError(name)


def is_truth(dtype: Any) -> bool:
    """Is it the dtype of truth values?"""
    return bool(np.dtype(dtype).kind == "b")


def _writable(dtype: Any, scalar: str) -> bool:
    """Is it the dtype of truth values, or of the one kind of number?"""
    return is_truth(dtype) or FLOATS.get(str(dtype)) == scalar


# ------------------------------------------------------------------------------------- operations of more than one line


def _negative(writer: Writer, _: Any, x: Value) -> Value:
    return writer.put(x.type, f"fneg {x.type} {x.name}")


def _not(writer: Writer, _: Any, x: Value) -> Value:
    return writer.two("xor", x, Value(x.type, "splat (i1 true)"))


def _sign(writer: Writer, _: Any, x: Value) -> Value:
    zero, one, minus = (writer.number(value) for value in (0.0, 1.0, -1.0))
    not_above = writer.choice(writer.compare("olt", x, zero), minus, x)
    return writer.choice(writer.compare("ogt", x, zero), one, not_above)


def _select(writer: Writer, _: Any, which: Value, *cases: Value) -> Value:
    if len(cases) != 2 or which.type != writer.truth:
        raise NotKnownError("select_n of more than two")
    return writer.choice(which, cases[1], cases[0])


def _clamp(writer: Writer, _: Any, low: Value, x: Value, high: Value) -> Value:
    return writer.call("minimum", writer.call("maximum", low, x), high)


def _converted(writer: Writer, parameters: Any, x: Value) -> Value:
    to_truth = is_truth(parameters["new_dtype"])
    if (x.type == writer.truth) == to_truth:
        return x
    zero = writer.number(0.0)
    return writer.compare("une", x, zero) if to_truth else writer.choice(x, writer.number(1.0), zero)


def _rounded(writer: Writer, parameters: Any, x: Value) -> Value:
    even = parameters["rounding_method"] == lax.RoundingMethod.TO_NEAREST_EVEN
    return writer.call("roundeven" if even else "round", x)


def _power(writer: Writer, parameters: Any, x: Value) -> Value:
    exponent = parameters["y"]
    result, square, left = writer.number(1.0), x, abs(exponent)
    while left:
        if left % 2:
            result = square if result.number == 1 else writer.two("fmul", result, square)
        left //= 2
        square = writer.two("fmul", square, square) if left else square
    return writer.two("fdiv", writer.number(1.0), result) if exponent < 0 else result


def _square(writer: Writer, _: Any, x: Value) -> Value:
    return writer.two("fmul", x, x)


def _rsqrt(writer: Writer, _: Any, x: Value) -> Value:
    return writer.two("fdiv", writer.number(1.0), writer.call("sqrt", x))


def _exponential(writer: Writer, _: Any, x: Value) -> Value:
    """exp(x) = 2^n exp(r) with n = round(x / ln 2), within 2 units in the last place; float32 alone."""
    if writer.scalar != "float":
        raise NotKnownError("exp of float64")
    bounded = writer.call("minimum", writer.call("maximum", x, writer.number(-104.0)), writer.number(89.0))
    n = writer.call("roundeven", writer.two("fmul", bounded, writer.number(LOG2_E)))
    r = bounded
    for part in (LN2_HIGH, LN2_LOW):
        r = writer.two("fsub", r, writer.two("fmul", n, writer.number(part)))
    p = writer.number(EXP[0])
    for coefficient in EXP[1:]:
        p = writer.two("fadd", writer.two("fmul", p, r), writer.number(coefficient))
    p = writer.two("fadd", writer.two("fmul", writer.two("fmul", r, r), p), r)
    p = writer.two("fadd", p, writer.number(1.0))
    # 2^n may lie beyond the largest number, or below the smallest normal one, where the result does not
    half = writer.call("floor", writer.two("fmul", n, writer.number(0.5)))
    for part_of_n in (half, writer.two("fsub", n, half)):
        p = writer.two("fmul", p, _power_of_two(writer, part_of_n))
    return writer.choice(writer.compare("uno", x, x), x, p)


def _power_of_two(writer: Writer, n: Value) -> Value:
    """2^n of whole numbers n within -126 ... 127, by the bits of the exponent; float32."""
    integers = writer.vector("i32")
    n = writer.choice(writer.compare("uno", n, n), writer.number(0.0), n)
    whole = writer.put(integers, f"fptosi {n.type} {n.name} to {integers}")
    biased = writer.put(integers, f"add {integers} {whole.name}, splat (i32 127)")
    bits = writer.put(integers, f"shl {integers} {biased.name}, splat (i32 23)")
    return writer.put(writer.real, f"bitcast {integers} {bits.name} to {writer.real}")


def _logistic(writer: Writer, parameters: Any, x: Value) -> Value:
    grown = _exponential(writer, parameters, _negative(writer, None, x))
    return writer.two("fdiv", writer.number(1.0), writer.two("fadd", writer.number(1.0), grown))


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "neg": _negative,
    "not": _not,
    "sign": _sign,
    "select_n": _select,
    "clamp": _clamp,
    "convert_element_type": _converted,
    "round": _rounded,
    "integer_pow": _power,
    "square": _square,
    "rsqrt": _rsqrt,
    "exp": _exponential,
    "logistic": _logistic,
}
