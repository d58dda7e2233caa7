"""Convolutions of images that are mostly zero, as functions of machine code.

    y[n, p, o] = sum of x[n, i, c] W[q, c, o]    over i, c where x[n, i, c] is not zero, and the taps q of p that meet i
    S[q, c, o] = sum of x[n, i, c] g[n, p, o]    the same, over n, i and p: the gradient of W

An element of x that is not zero meets a few taps, and for each a vector of outputs: which taps depends on the pixel's
remainder by the stride, where on the pixel. Both are tables of the program. y and g have a margin around them, so that
no tap falls beside them. Tiles of y are samples; those of S are parts of the samples, each with a sum of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nirjax.kernels.llvm_handler import Cut, handler
from nirjax.kernels.llvm_lines import noted
from nirjax.kernels.llvm_run import BEGIN, Layout, addresses, fields, indented, memory, told
from nirjax.kernels.llvm_step import FLOATS, SIZES, WIDTH

ALONE = 1 << 16
"""Elements of x up to which no help is asked for."""


@dataclass(frozen=True)
class Window:
    """A convolution over height and width: for each of the two axes

    Attributes:
        image, window, result: how long x, W and y are.
        strides, front, dilations: step of the window; rows of padding before the image; step between its taps.
        taken, given: channels of x and of y.
    """

    image: tuple[int, int]
    window: tuple[int, int]
    result: tuple[int, int]
    strides: tuple[int, int]
    front: tuple[int, int]
    dilations: tuple[int, int]
    taken: int
    given: int

    @property
    def width(self) -> int:
        """Outputs in a vector."""
        return WIDTH if self.given > WIDTH // 2 else WIDTH // 2

    @property
    def lanes(self) -> int:
        """Outputs, in whole vectors."""
        return -(-self.given // self.width) * self.width

    @property
    def elements(self) -> int:
        """Elements of an image of x."""
        return math.prod(self.image) * self.taken

    def margin(self, axis: int) -> tuple[int, int]:
        """Rows before and behind y that some tap of some pixel falls on."""
        reach = (self.window[axis] - 1) * self.dilations[axis]
        before = -((self.front[axis] - reach) // self.strides[axis])
        last = (self.image[axis] - 1 + self.front[axis]) // self.strides[axis]
        return max(before, 0), max(last - self.result[axis] + 1, 0)

    @property
    def padded(self) -> tuple[int, int]:
        """How long y is with its margins."""
        high, wide = (self.result[axis] + sum(self.margin(axis)) for axis in (0, 1))
        return high, wide

    @property
    def begin(self) -> int:
        """The first element of y within its margins."""
        return (self.margin(0)[0] * self.padded[1] + self.margin(1)[0]) * self.lanes

    def met(self, axis: int, pixel: int) -> tuple[int, int]:
        """A pixel's remainder by the stride, and the row, margin included, that its first tap falls on."""
        row, remainder = divmod(pixel + self.front[axis], self.strides[axis])
        return remainder, row + self.margin(axis)[0]

    def taps(self, remainders: tuple[int, int]) -> list[tuple[int, int]]:
        """For pixels of these remainders, (element of W, element of y from the pixel's first on) of each tap."""
        along = []
        for axis in (0, 1):
            steps = [tap * self.dilations[axis] - remainders[axis] for tap in range(self.window[axis])]
            along.append([(t, n // self.strides[axis]) for t, n in enumerate(steps) if n % self.strides[axis] == 0])
        line = self.taken * self.lanes
        return [
            ((i * self.window[1] + j) * line, -(m * self.padded[1] + n) * self.lanes)
            for i, m in along[0]
            for j, n in along[1]
        ]

    def pixels(self) -> Iterator[tuple[tuple[int, int], int]]:
        """For each pixel, its remainders, and the element of y with its margins that its first tap falls on."""
        for i in range(self.image[0]):
            for j in range(self.image[1]):
                (one, row), (other, column) = self.met(0, i), self.met(1, j)
                yield (one, other), (row * self.padded[1] + column) * self.lanes


def convolution(name: str, window: Window, dtype: str, version: tuple[int, int]) -> str:
    """A program whose `name` is a handler: W (height, width, taken, lanes), x (1, n, ...) -> y (n, ..., given)."""
    scalar = FLOATS[dtype]
    layout = Layout((), 0, 2, 1, dtype, backward=False, sizes=(), shape=1)
    size, place = SIZES[scalar], math.prod(window.padded) * window.lanes
    text = f"""
define internal void @tile1(ptr %run, i64 %index) {{
{indented([*fields(("elements", "length")), *addresses(["%w", "%x", "%y"]), *BEGIN])}
{indented(_memory(window, size))}
  %end = add i64 %begin, %length
  br label %sample
sample:
  %n = phi i64 [ %begin, %0 ], [ %n.next, %sampled ]
  call void @llvm.memset.p0.i64(ptr %image, i8 0, i64 {place * size}, i1 false)
  %x.past = mul i64 %n, {window.elements}
  %x.here = getelementptr {scalar}, ptr %x, i64 %x.past
  call void @events(ptr %x.here, ptr %image, ptr %w, ptr %values, ptr %places)
  %y.past = mul i64 %n, {math.prod(window.result) * window.given}
  %y.here = getelementptr {scalar}, ptr %y, i64 %y.past
  call void @moved(ptr %y.here, ptr %image)
  br label %sampled
sampled:
  %n.next = add nuw nsw i64 %n, 1
  %more = icmp slt i64 %n.next, %end
  br i1 %more, label %sample, label %over
over:
  call void @free(ptr %memory)
  ret void
}}
{_moved(window, scalar, into=False)}
{_events(window, scalar, summed="y")}"""
    cut = Cut(1, max(ALONE // window.elements, 1), max(ALONE // window.elements, 2))
    return "\n".join((handler(name, layout, version, cut), noted(scalar), text, ""))


def gradient(name: str, window: Window, dtype: str, version: tuple[int, int]) -> str:
    """A program whose `name` is a handler: x (n, ...), g (n, ..., given) -> S (1, parts, height, width, taken, lanes).

    The sum of S over its parts is the gradient.
    """
    scalar = FLOATS[dtype]
    layout = Layout((), 0, 2, 1, dtype, backward=False, sizes=((0, 0),), shape=2)
    size, sums = SIZES[scalar], math.prod(window.window) * window.taken * window.lanes
    text = f"""
define internal void @tile1(ptr %run, i64 %index) {{
{indented([*fields(("elements",)), *addresses(["%x", "%g", "%s"]), *told(layout, ("%samples",))])}
{indented(_memory(window, size))}
  call void @llvm.memset.p0.i64(ptr %image, i8 0, i64 {math.prod(window.padded) * window.lanes * size}, i1 false)
  %s.past = mul i64 %index, {sums}
  %s.here = getelementptr {scalar}, ptr %s, i64 %s.past
  call void @llvm.memset.p0.i64(ptr %s.here, i8 0, i64 {sums * size}, i1 false)
  %index.next = add i64 %index, 1
  %begin.all = mul i64 %index, %samples
  %begin = udiv i64 %begin.all, %elements
  %end.all = mul i64 %index.next, %samples
  %end = udiv i64 %end.all, %elements
  br label %check
check:
  %n = phi i64 [ %begin, %0 ], [ %n.next, %sample ]
  %more = icmp slt i64 %n, %end
  br i1 %more, label %sample, label %over
sample:
  %g.past = mul i64 %n, {math.prod(window.result) * window.given}
  %g.here = getelementptr {scalar}, ptr %g, i64 %g.past
  call void @moved(ptr %g.here, ptr %image)
  %x.past = mul i64 %n, {window.elements}
  %x.here = getelementptr {scalar}, ptr %x, i64 %x.past
  call void @events(ptr %x.here, ptr %image, ptr %s.here, ptr %values, ptr %places)
  %n.next = add nuw nsw i64 %n, 1
  br label %check
over:
  call void @free(ptr %memory)
  ret void
}}
{_moved(window, scalar, into=True)}
{_events(window, scalar, summed="w")}"""
    return "\n".join((handler(name, layout, version, Cut(1, 1, 2)), noted(scalar), text, ""))


def _memory(window: Window, size: int) -> list[str]:
    """Memory of a tile's own: y with its margins, and what is noted of x."""
    image = math.prod(window.padded) * window.lanes * size
    values = window.elements * size
    return [
        *memory("%image", str(image + values + 4 * window.elements)),
        f"%values = getelementptr i8, ptr %image, i64 {image}",
        f"%places = getelementptr i8, ptr %values, i64 {values}",
    ]


def _moved(window: Window, scalar: str, *, into: bool) -> str:
    """moved(outer, image): copy an image of y out of its margins; or into them."""
    high, wide = window.result
    # rows at a time, or pixels where vectors are not full
    pieces = 1 if window.lanes == window.given else wide
    length = wide // pieces * window.given
    one, other = ("%inner", "%outer.at") if into else ("%outer.at", "%inner")
    return f"""
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal void @moved(ptr %outer, ptr %image) {{
  br label %piece
piece:
  %i = phi i64 [ 0, %0 ], [ %i.next, %piece ]
  %past = mul i64 %i, {length}
  %outer.at = getelementptr {scalar}, ptr %outer, i64 %past
  %row = udiv i64 %i, {pieces}
  %row.first = mul i64 %row, {pieces}
  %column = sub i64 %i, %row.first
  %row.past = mul i64 %row, {window.padded[1] * window.lanes}
  %column.past = mul i64 %column, {window.lanes}
  %within = add i64 %row.past, %column.past
  %there = add i64 %within, {window.begin}
  %inner = getelementptr {scalar}, ptr %image, i64 %there
  call void @llvm.memcpy.p0.p0.i64(ptr {one}, ptr {other}, i64 {length * SIZES[scalar]}, i1 false)
  %i.next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %i.next, {high * pieces}
  br i1 %more, label %piece, label %over
over:
  ret void
}}"""


def _table(name: str, type_: str, values: Sequence[int]) -> str:
    entries = ", ".join(f"{type_} {value}" for value in values)
    return f"{name} = internal constant [{len(values)} x {type_}] [{entries}], align 64"


def _events(window: Window, scalar: str, *, summed: str) -> str:
    """events(x, image, w, values, places): all elements of x that are not zero, and what they add: to y, or to W."""
    found = list(window.pixels())
    kinds = sorted({remainders for remainders, _ in found})
    cases = " ".join(f"i8 {number}, label %kind{number}" for number in range(len(kinds)))
    return f"""
{_table("@kinds", "i8", [kinds.index(remainders) for remainders, _ in found])}
{_table("@firsts", "i32", [first for _, first in found])}

define internal void @events(ptr %x, ptr %image, ptr %w, ptr %values, ptr %places) {{
  %count = call i64 @noted(ptr %x, i64 {window.elements}, ptr %values, ptr %places)
  br label %check
check:
  %e = phi i64 [ 0, %0 ], [ %e.next, %done ]
  %more = icmp slt i64 %e, %count
  br i1 %more, label %event, label %over
event:
  %value.at = getelementptr {scalar}, ptr %values, i64 %e
  %value = load {scalar}, ptr %value.at
  %place.at = getelementptr i32, ptr %places, i64 %e
  %place = load i32, ptr %place.at
  %pixel = udiv i32 %place, {window.taken}
  %pixel.first = mul i32 %pixel, {window.taken}
  %channel = sub i32 %place, %pixel.first
  %pixel.wide = zext i32 %pixel to i64
  %kind.at = getelementptr i8, ptr @kinds, i64 %pixel.wide
  %kind = load i8, ptr %kind.at
  %first.at = getelementptr i32, ptr @firsts, i64 %pixel.wide
  %first = load i32, ptr %first.at
  %first.wide = zext i32 %first to i64
  %image.here = getelementptr {scalar}, ptr %image, i64 %first.wide
  %channel.wide = zext i32 %channel to i64
  %line = mul i64 %channel.wide, {window.lanes}
  %w.here = getelementptr {scalar}, ptr %w, i64 %line
  %value.one = insertelement <{window.width} x {scalar}> poison, {scalar} %value, i64 0
  %value.all = shufflevector <{window.width} x {scalar}> %value.one, <{window.width} x {scalar}> poison,
                             <{window.width} x i32> zeroinitializer
  switch i8 %kind, label %done [ {cases} ]
{"".join(_kind(window, scalar, number, remainders, summed) for number, remainders in enumerate(kinds))}
done:
  %e.next = add nuw nsw i64 %e, 1
  br label %check
over:
  ret void
}}
declare <{window.width} x {scalar}> @llvm.fmuladd.v{window.width}{_short(scalar)}(
  <{window.width} x {scalar}>, <{window.width} x {scalar}>, <{window.width} x {scalar}>)"""


def _kind(window: Window, scalar: str, number: int, remainders: tuple[int, int], summed: str) -> str:
    """What an element adds, of a pixel of some remainders: for every vector of outputs, all taps."""
    vector, own = f"<{window.width} x {scalar}>", f"%k{number}"
    lines = []
    for tap, (of_w, of_y) in enumerate(window.taps(remainders)):
        name = f"{own}.{tap}"
        to, other = ("y", "w") if summed == "y" else ("w", "y")
        lines += [
            f"{name}.y.place = add i64 {own}.o, {of_y}",
            f"{name}.y.at = getelementptr {scalar}, ptr %image.here, i64 {name}.y.place",
            f"{name}.y = load {vector}, ptr {name}.y.at, align {SIZES[scalar]}",
            f"{name}.w.place = add i64 {own}.o, {of_w}",
            f"{name}.w.at = getelementptr {scalar}, ptr %w.here, i64 {name}.w.place",
            f"{name}.w = load {vector}, ptr {name}.w.at, align {SIZES[scalar]}",
            f"{name}.sum = call {vector} @llvm.fmuladd.v{window.width}{_short(scalar)}({vector} %value.all, "
            f"{vector} {name}.{other}, {vector} {name}.{to})",
            f"store {vector} {name}.sum, ptr {name}.{to}.at, align {SIZES[scalar]}",
        ]
    return f"""
kind{number}:
  {own}.o = phi i64 [ 0, %event ], [ {own}.next, %kind{number} ]
{indented(lines)}
  {own}.next = add nuw nsw i64 {own}.o, {window.width}
  {own}.more = icmp slt i64 {own}.next, {window.lanes}
  br i1 {own}.more, label %kind{number}, label %done"""


def _short(scalar: str) -> str:
    return "f32" if scalar == "float" else "f64"
