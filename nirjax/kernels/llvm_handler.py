"""What XLA calls of a walk as machine code, in LLVM's language: how the work is cut into tiles and shared by threads.

    handler     what XLA calls. Fills in a Run, asks XLA's threads for help, and works until no tile is left
    helper      what a thread of XLA's does: it works on the Run too
    tile        one tile, from `llvm_walk`, `llvm_rows` or `llvm_events`

A Run is freed by the last that lets go of it, so that a helper may come when everything is done. Nobody waits but for
tiles that somebody is working on.

The structs of XLA's foreign function interface are read by their offsets, which are the same in all versions of
VERSIONS (`xla/ffi/api/c_api.h` of jaxlib).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from nirjax.kernels.llvm_run import FIELDS, Layout, fields, indented
from nirjax.kernels.llvm_step import FLOATS, SIZES

VERSIONS = frozenset(((0, 3), (0, 4), (0, 5)))
"""Versions of the interface, major and minor, with the offsets that are used here."""

PAGE, LARGE, HUGEPAGE = 1 << 21, 1 << 22, 14
"""Bytes of a large page, bytes of an array from which on they are asked for, and what `madvise` calls them. Memory that
the system gives a page of 4 KiB at a time costs more than what is computed in it: a microsecond and more for each."""


@dataclass(frozen=True)
class Cut:
    """How elements are cut into tiles.

    Attributes:
        width: elements of a vector; tiles are whole vectors.
        tile: elements of a tile, at most.
        alone: elements times steps up to which no help is asked for.
        narrowest, kept: where a tile keeps every step, elements at least, and elements times steps at most.
    """

    width: int
    tile: int
    alone: int
    narrowest: int = 1
    kept: int | None = None


def handler(name: str, layout: Layout, version: tuple[int, int], cut: Cut) -> str:
    """What XLA calls with a call frame; see `c_api.h`.

    It calls `tile1` for every tile where there are fewer elements than a vector has, else the tile of that width.
    """
    major, minor = version
    return f"""{_work(cut.width)}
{ADVISE}

declare ptr @malloc(i64)
declare void @free(ptr)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define ptr @"{name}"(ptr %frame) {{
  %extension.at = getelementptr i8, ptr %frame, i64 8
  %extension = load ptr, ptr %extension.at
  %asked = icmp ne ptr %extension, null
  br i1 %asked, label %tell, label %execute
tell:
  %kind.at = getelementptr i8, ptr %extension, i64 8
  %kind = load i32, ptr %kind.at
  %isversion = icmp eq i32 %kind, 1
  br i1 %isversion, label %version, label %execute
version:
  %metadata.at = getelementptr i8, ptr %extension, i64 24
  %metadata = load ptr, ptr %metadata.at
  %major.at = getelementptr i8, ptr %metadata, i64 24
  store i32 {major}, ptr %major.at
  %minor.at = getelementptr i8, ptr %metadata, i64 28
  store i32 {minor}, ptr %minor.at
  %traits.at = getelementptr i8, ptr %metadata, i64 32
  store i32 0, ptr %traits.at
  ret ptr null
execute:
  %api.at = getelementptr i8, ptr %frame, i64 16
  %api = load ptr, ptr %api.at
  %context.at = getelementptr i8, ptr %frame, i64 24
  %context = load ptr, ptr %context.at
  %args.at = getelementptr i8, ptr %frame, i64 72
  %args = load ptr, ptr %args.at
  %rets.at = getelementptr i8, ptr %frame, i64 112
  %rets = load ptr, ptr %rets.at
  %sequence.at = getelementptr ptr, ptr {_place(layout, layout.shaped)}
  %sequence = load ptr, ptr %sequence.at
  %sizes.at = getelementptr i8, ptr %sequence, i64 40
  %sizes = load ptr, ptr %sizes.at
  %time = load i64, ptr %sizes
  %elements.at = getelementptr i64, ptr %sizes, i64 1
  %elements = load i64, ptr %elements.at
  %work = mul i64 %elements, %time
  %little = icmp slt i64 %work, {cut.alone}
  br i1 %little, label %cut, label %count
count:
  %threads.at = alloca i64
  store i64 1, ptr %threads.at
  %counting = alloca [4 x i64]
  store [4 x i64] [i64 32, i64 0, i64 0, i64 0], ptr %counting
  %counting.context = getelementptr i64, ptr %counting, i64 2
  store ptr %context, ptr %counting.context
  %counting.threads = getelementptr i64, ptr %counting, i64 3
  store ptr %threads.at, ptr %counting.threads
  %counter.at = getelementptr i8, ptr %api, i64 144
  %counter = load ptr, ptr %counter.at
  %error = call ptr %counter(ptr %counting)
  %there = load i64, ptr %threads.at
  br label %cut
cut:
  ; tiles as many as threads at least, short enough, of whole vectors, and none longer than there are elements
  %threads = phi i64 [ 1, %execute ], [ %there, %count ]
  %few = icmp slt i64 %elements, {cut.width}
  %width = select i1 %few, i64 1, i64 {cut.width}
{indented(list(_longest(cut)))}
  %needed = call i64 @quotient(i64 %elements, i64 %longest)
  %parts = call i64 @llvm.smax.i64(i64 %threads, i64 %needed)
  %part = call i64 @quotient(i64 %elements, i64 %parts)
  %vectors = call i64 @quotient(i64 %part, i64 %width)
  %whole = mul i64 %vectors, %width
  %toolong = icmp sgt i64 %whole, %elements
  %half = call i64 @quotient(i64 %vectors, i64 2)
  %halved = mul i64 %half, %width
  %length = select i1 %toolong, i64 %halved, i64 %whole
  %tiles = call i64 @quotient(i64 %elements, i64 %length)
  %run = call ptr @malloc(i64 {8 * layout.slots})
{indented(list(_filled_in(layout)))}
{indented(list(_advised(layout)))}
  %others = sub i64 %threads, 1
  %spare = sub i64 %tiles, 1
  %help = call i64 @llvm.smin.i64(i64 %others, i64 %spare)
  %order = alloca [5 x i64]
  store [5 x i64] [i64 40, i64 0, i64 0, i64 0, i64 0], ptr %order
  %order.context = getelementptr i64, ptr %order, i64 2
  store ptr %context, ptr %order.context
  %order.task = getelementptr i64, ptr %order, i64 3
  store ptr @helper, ptr %order.task
  %order.run = getelementptr i64, ptr %order, i64 4
  store ptr %run, ptr %order.run
  br label %call
call:
  %called = phi i64 [ 0, %cut ], [ %called.more, %schedule ]
  %enough = icmp sge i64 %called, %help
  br i1 %enough, label %join, label %schedule
schedule:
  %holders.at = getelementptr i64, ptr %run, i64 {FIELDS.index("holders")}
  %held = atomicrmw add ptr %holders.at, i64 1 acq_rel
  %scheduler.at = getelementptr i8, ptr %api, i64 136
  %scheduler = load ptr, ptr %scheduler.at
  %refused = call ptr %scheduler(ptr %order)
  %called.more = add i64 %called, 1
  br label %call
join:
  call void @work(ptr %run)
  %done.at = getelementptr i64, ptr %run, i64 {FIELDS.index("done")}
  br label %wait
wait:
  %done = load atomic i64, ptr %done.at acquire, align 8
  %all = icmp sge i64 %done, %tiles
  br i1 %all, label %leave, label %wait
leave:
  call void @let_go(ptr %run)
  ret ptr null
}}"""


def _longest(cut: Cut) -> Iterator[str]:
    """How many elements a tile has at most."""
    if cut.kept is None:
        yield f"%longest = add i64 0, {cut.tile}"
        return
    yield "%any.time = call i64 @llvm.smax.i64(i64 %time, i64 1)"
    yield f"%room = udiv i64 {cut.kept}, %any.time"
    yield f"%most = call i64 @llvm.smin.i64(i64 %room, i64 {cut.tile})"
    yield f"%longest = call i64 @llvm.smax.i64(i64 %most, i64 {cut.narrowest})"


def _place(layout: Layout, number: int) -> str:
    """Where the pointer to an array is, as a list and a place in it."""
    return f"%args, i64 {number}" if number < layout.taken else f"%rets, i64 {number - layout.taken}"


def _filled_in(layout: Layout) -> Iterator[str]:
    """Fill in the Run: its fields, the addresses of all arrays, and the lengths of the constants."""
    begin = {"next": "0", "done": "0", "holders": "1"}
    for number, name in enumerate(FIELDS):
        yield f"%run.{name} = getelementptr i64, ptr %run, i64 {number}"
        yield f"store i64 {begin.get(name, f'%{name}')}, ptr %run.{name}"
    for number in range(layout.taken + layout.given):
        yield f"%buffer{number}.at = getelementptr ptr, ptr {_place(layout, number)}"
        yield f"%buffer{number} = load ptr, ptr %buffer{number}.at"
        yield f"%data{number}.at = getelementptr i8, ptr %buffer{number}, i64 24"
        yield f"%data{number} = load ptr, ptr %data{number}.at"
        yield f"%run.array{number} = getelementptr i64, ptr %run, i64 {len(FIELDS) + number}"
        yield f"store ptr %data{number}, ptr %run.array{number}"
    for number, (array, axis) in enumerate(layout.told):
        yield f"%dims{number}.at = getelementptr i8, ptr %buffer{array}, i64 40"
        yield f"%dims{number} = load ptr, ptr %dims{number}.at"
        yield f"%length{number}.at = getelementptr i64, ptr %dims{number}, i64 {axis}"
        yield f"%length{number} = load i64, ptr %length{number}.at"
        place = len(FIELDS) + layout.taken + layout.given + number
        yield f"%run.length{number} = getelementptr i64, ptr %run, i64 {place}"
        yield f"store i64 %length{number}, ptr %run.length{number}"


def _advised(layout: Layout) -> Iterator[str]:
    """Ask for large pages for large arrays that go out; Linux alone takes this request."""
    for number in range(layout.taken, layout.taken + layout.given) if sys.platform == "linux" else ():
        yield f"call void @advise(ptr %buffer{number}, i64 {SIZES[FLOATS[layout.dtype]]})"


ADVISE = f"""
declare i32 @madvise(ptr, i64, i32)

; ask for large pages, where an array has some that are all its own
define internal void @advise(ptr %buffer, i64 %size) {{
  %data.at = getelementptr i8, ptr %buffer, i64 24
  %data = load ptr, ptr %data.at
  %axes.at = getelementptr i8, ptr %buffer, i64 32
  %axes = load i64, ptr %axes.at
  %sizes.at = getelementptr i8, ptr %buffer, i64 40
  %sizes = load ptr, ptr %sizes.at
  br label %count
count:
  %axis = phi i64 [ 0, %0 ], [ %axis.next, %multiply ]
  %bytes = phi i64 [ %size, %0 ], [ %bytes.more, %multiply ]
  %left = icmp slt i64 %axis, %axes
  br i1 %left, label %multiply, label %counted
multiply:
  %length.at = getelementptr i64, ptr %sizes, i64 %axis
  %length = load i64, ptr %length.at
  %bytes.more = mul i64 %bytes, %length
  %axis.next = add i64 %axis, 1
  br label %count
counted:
  %large = icmp sge i64 %bytes, {LARGE}
  br i1 %large, label %ask, label %over
ask:
  %at = ptrtoint ptr %data to i64
  %up = add i64 %at, {PAGE - 1}
  %begin = and i64 %up, -{PAGE}
  %end = add i64 %at, %bytes
  %last = and i64 %end, -{PAGE}
  %whole = sub i64 %last, %begin
  %first = inttoptr i64 %begin to ptr
  %refused = call i32 @madvise(ptr %first, i64 %whole, i32 {HUGEPAGE})
  br label %over
over:
  ret void
}}"""


def _work(width: int) -> str:
    """What every thread does, and what is called along the way."""
    return f"""
define internal void @work(ptr %run) {{
{indented(list(fields(("elements", "tiles"))))}
  %next.at = getelementptr i64, ptr %run, i64 {FIELDS.index("next")}
  %done.at = getelementptr i64, ptr %run, i64 {FIELDS.index("done")}
  %few = icmp slt i64 %elements, {width}
  br label %take
take:
  %index = atomicrmw add ptr %next.at, i64 1 acq_rel
  %left = icmp slt i64 %index, %tiles
  br i1 %left, label %choose, label %stop
choose:
  br i1 %few, label %singly, label %vectorwise
singly:
  call void @tile1(ptr %run, i64 %index)
  br label %finished
vectorwise:
  call void @tile{width}(ptr %run, i64 %index)
  br label %finished
finished:
  %more = atomicrmw add ptr %done.at, i64 1 acq_rel
  br label %take
stop:
  ret void
}}

define internal void @let_go(ptr %run) {{
  %holders.at = getelementptr i64, ptr %run, i64 {FIELDS.index("holders")}
  %held = atomicrmw sub ptr %holders.at, i64 1 acq_rel
  %last = icmp eq i64 %held, 1
  br i1 %last, label %drop, label %keep
drop:
  call void @free(ptr %run)
  ret void
keep:
  ret void
}}

define internal void @helper(ptr %run) {{
  call void @work(ptr %run)
  call void @let_go(ptr %run)
  ret void
}}

; a / b, upwards
define internal i64 @quotient(i64 %a, i64 %b) alwaysinline {{
  %up = add i64 %a, %b
  %less = sub i64 %up, 1
  %quotient = udiv i64 %less, %b
  ret i64 %quotient
}}

; where a row's elements are from `begin` on: in the row; or, if it repeats, in a copy
define internal ptr @repeated(ptr %copy, ptr %row, i64 %begin, i64 %length, i64 %period, i64 %elements, i64 %size) {{
  %once = icmp eq i64 %period, %elements
  br i1 %once, label %there, label %several
there:
  %skipped = mul i64 %begin, %size
  %place = getelementptr i8, ptr %row, i64 %skipped
  ret ptr %place
several:
  %first = urem i64 %begin, %period
  %end = add i64 %first, %length
  %within = icmp ule i64 %end, %period
  br i1 %within, label %inside, label %begins
inside:
  %first.bytes = mul i64 %first, %size
  %first.place = getelementptr i8, ptr %row, i64 %first.bytes
  ret ptr %first.place
begins:
  br label %piece
piece:
  %from = phi i64 [ %first, %begins ], [ 0, %piece ]
  %filled = phi i64 [ 0, %begins ], [ %more, %piece ]
  %left = sub i64 %length, %filled
  %rest = sub i64 %period, %from
  %now = call i64 @llvm.smin.i64(i64 %left, i64 %rest)
  %from.bytes = mul i64 %from, %size
  %source = getelementptr i8, ptr %row, i64 %from.bytes
  %filled.bytes = mul i64 %filled, %size
  %target = getelementptr i8, ptr %copy, i64 %filled.bytes
  %now.bytes = mul i64 %now, %size
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %now.bytes, i1 false)
  %more = add i64 %filled, %now
  %further = icmp slt i64 %more, %length
  br i1 %further, label %piece, label %done
done:
  ret ptr %copy
}}"""
