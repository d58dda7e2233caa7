"""Products with rows that are mostly zero, as functions of machine code.

    gather      y[r, :] = sum of x[r, i] W[i, :]      over the i where x[r, i] is not zero
    scatter     S[i, :] = sum of x[r, i] g[r, :]      over the r where x[r, i] is not zero

Spikes are such rows. Both add up lines of a matrix (`llvm_lines`). gather's tiles are some rows. scatter's are some
columns; it sorts what it has noted of some rows by the lines of S, and adds lines of g to each, in memory of the tile's
own.
"""

from __future__ import annotations

from nirjax.kernels.llvm_handler import Cut, handler
from nirjax.kernels.llvm_lines import adding
from nirjax.kernels.llvm_run import BEGIN, Layout, addresses, fields, indented, memory, told
from nirjax.kernels.llvm_step import FLOATS, SIZES, WIDTH

ROWS = 512
"""Rows of a tile of gather at most."""

COLUMNS = 256
"""Columns of a matrix that are used at a time: some hundred lines of so many stay in the second cache."""

TURN = 128
"""Rows that scatter sorts at a time by the lines that they belong to."""

NEAR = 1 << 19
"""Bytes of a matrix from which on gather copies those columns next to each other first, where it has rows enough."""

ALONE = 64
"""Rows up to which no help is asked for."""

NARROWEST = WIDTH
"""Columns that a matrix has at least: the last vector of columns overlaps with the one before."""


def gather(name: str, dtype: str, version: tuple[int, int]) -> str:
    """A program whose `name` is a handler: W (inside, outside), x (1, rows, inside) -> y (rows, outside)."""
    scalar = FLOATS[dtype]
    layout = Layout((), 0, 2, 1, dtype, backward=False, sizes=((0, 0), (0, 1)), shape=1)
    size = SIZES[scalar]
    text = f"""
define internal void @tile1(ptr %run, i64 %index) {{
{indented([*fields(("elements", "length")), *addresses(["%w", "%x", "%y"]), *told(layout, ("%inside", "%outside"))])}
{indented(BEGIN)}
  %most = mul i64 %length, %inside
  %values.bytes = mul i64 %most, {size}
  %places.bytes = mul i64 %most, 4
  %counts.bytes = mul i64 %length, 8
  %matrix = mul i64 %inside, %outside
  %large = icmp sgt i64 %matrix, {NEAR // size}
  %many = icmp sge i64 %length, {ROWS // 4}
  %packs = and i1 %large, %many
  %packed.most = mul i64 %inside, {COLUMNS * size}
  %packed.bytes = select i1 %packs, i64 %packed.most, i64 0
  %lists.bytes = add i64 %values.bytes, %places.bytes
  %noted.bytes = add i64 %lists.bytes, %counts.bytes
  %all.bytes = add i64 %noted.bytes, %packed.bytes
{indented(memory("%packed", "%all.bytes"))}
  %counts = getelementptr i8, ptr %packed, i64 %packed.bytes
  %values = getelementptr i8, ptr %counts, i64 %counts.bytes
  %places = getelementptr i8, ptr %values, i64 %values.bytes
  %last = sub i64 %outside, {WIDTH}
  br label %note
note:
  %n = phi i64 [ 0, %0 ], [ %n.next, %note ]
  %n.begin = phi i64 [ 0, %0 ], [ %n.end, %note ]
  %n.row = add i64 %begin, %n
  %n.past = mul i64 %n.row, %inside
  %n.x = getelementptr {scalar}, ptr %x, i64 %n.past
  %n.values = getelementptr {scalar}, ptr %values, i64 %n.begin
  %n.places = getelementptr i32, ptr %places, i64 %n.begin
  %n.count = call i64 @noted(ptr %n.x, i64 %inside, ptr %n.values, ptr %n.places)
  %n.end = add i64 %n.begin, %n.count
  %n.at = getelementptr i64, ptr %counts, i64 %n
  store i64 %n.count, ptr %n.at
  %n.next = add nuw nsw i64 %n, 1
  %n.more = icmp slt i64 %n.next, %length
  br i1 %n.more, label %note, label %columns
columns:
  %wished.column = phi i64 [ 0, %note ], [ %next.column, %rowed ]
  %column = call i64 @llvm.smin.i64(i64 %wished.column, i64 %last)
  %left = sub i64 %outside, %column
  %whole = and i64 %left, -{WIDTH}
  %width = call i64 @llvm.smin.i64(i64 %whole, i64 {COLUMNS})
  %next.column = add i64 %column, %width
  %w.here = getelementptr {scalar}, ptr %w, i64 %column
  br i1 %packs, label %pack, label %rows.begin
pack:
  %p = phi i64 [ 0, %columns ], [ %p.next, %pack ]
  %p.past = mul i64 %p, %outside
  %p.from = getelementptr {scalar}, ptr %w.here, i64 %p.past
  %p.place = mul i64 %p, {COLUMNS}
  %p.to = getelementptr {scalar}, ptr %packed, i64 %p.place
  %p.bytes = mul i64 %width, {size}
  call void @llvm.memcpy.p0.p0.i64(ptr %p.to, ptr %p.from, i64 %p.bytes, i1 false)
  %p.next = add nuw nsw i64 %p, 1
  %p.more = icmp slt i64 %p.next, %inside
  br i1 %p.more, label %pack, label %rows.begin
rows.begin:
  %lines = select i1 %packs, ptr %packed, ptr %w.here
  %stride = select i1 %packs, i64 {COLUMNS}, i64 %outside
  br label %rows
rows:
  %r = phi i64 [ 0, %rows.begin ], [ %r.next, %rows ]
  %r.begin = phi i64 [ 0, %rows.begin ], [ %r.end, %rows ]
  %r.values = getelementptr {scalar}, ptr %values, i64 %r.begin
  %r.places = getelementptr i32, ptr %places, i64 %r.begin
  %r.at = getelementptr i64, ptr %counts, i64 %r
  %count = load i64, ptr %r.at
  %r.end = add i64 %r.begin, %count
  %r.row = add i64 %begin, %r
  %y.row = mul i64 %r.row, %outside
  %y.place = add i64 %y.row, %column
  %y.here = getelementptr {scalar}, ptr %y, i64 %y.place
  call void @gather(ptr %y.here, ptr @nothing, ptr %lines, i64 %stride, i64 %width, ptr %r.values,
                    ptr %r.places, i64 %count)
  %r.next = add nuw nsw i64 %r, 1
  %r.more = icmp slt i64 %r.next, %length
  br i1 %r.more, label %rows, label %rowed
rowed:
  %columns.more = icmp slt i64 %next.column, %outside
  br i1 %columns.more, label %columns, label %over
over:
  call void @free(ptr %memory)
  ret void
}}"""
    return "\n".join((handler(name, layout, version, Cut(1, ROWS, ALONE)), adding(scalar), text, ""))


def scatter(name: str, dtype: str, version: tuple[int, int]) -> str:
    """A program whose `name` is a handler: x (rows, inside), g (rows, outside) -> S (inside, outside)."""
    scalar = FLOATS[dtype]
    layout = Layout((), 0, 2, 1, dtype, backward=False, sizes=((0, 1),), shape=1)
    size = SIZES[scalar]
    text = f"""
define internal void @tile{WIDTH}(ptr %run, i64 %index) {{
{indented([*fields(("time", "elements", "length")), *addresses(["%x", "%g", "%s"]), *told(layout, ("%inside",))])}
{indented(BEGIN)}
  %line.bytes = mul i64 %length, {size}
  %sums.bytes = mul i64 %line.bytes, %inside
  %counts.bytes = mul i64 %inside, 8
  %most = mul i64 %inside, {TURN + 1}
  %values.bytes = mul i64 %most, {size}
  %places.bytes = mul i64 %most, 4
  %lists.bytes = add i64 %values.bytes, %places.bytes
  %noted.bytes = add i64 %lists.bytes, %counts.bytes
  %all.bytes = add i64 %sums.bytes, %noted.bytes
{indented(memory("%sums", "%all.bytes"))}
  %counts = getelementptr i8, ptr %sums, i64 %sums.bytes
  %values = getelementptr i8, ptr %counts, i64 %counts.bytes
  %places = getelementptr i8, ptr %values, i64 %values.bytes
  %row.begin = mul i64 %inside, {TURN}
  %row.values = getelementptr {scalar}, ptr %values, i64 %row.begin
  %row.places = getelementptr i32, ptr %places, i64 %row.begin
  call void @llvm.memset.p0.i64(ptr %sums, i8 0, i64 %sums.bytes, i1 false)
  br label %turns
turns:
  %first = phi i64 [ 0, %0 ], [ %first.next, %turned ]
  %more = icmp slt i64 %first, %time
  br i1 %more, label %turn, label %lines
turn:
  %rest = sub i64 %time, %first
  %rows = call i64 @llvm.smin.i64(i64 %rest, i64 {TURN})
  call void @llvm.memset.p0.i64(ptr %counts, i8 0, i64 %counts.bytes, i1 false)
  br label %row
row:
  %r = phi i64 [ 0, %turn ], [ %r.next, %rowed ]
  %r.row = add i64 %first, %r
  %r.past = mul i64 %r.row, %inside
  %r.x = getelementptr {scalar}, ptr %x, i64 %r.past
  %r.count = call i64 @noted(ptr %r.x, i64 %inside, ptr %row.values, ptr %row.places)
  %r.short = trunc i64 %r to i32
  br label %sort
sort:
  %e = phi i64 [ 0, %row ], [ %e.next, %put ]
  %e.more = icmp slt i64 %e, %r.count
  br i1 %e.more, label %put, label %rowed
put:
  %e.value.at = getelementptr {scalar}, ptr %row.values, i64 %e
  %e.value = load {scalar}, ptr %e.value.at
  %e.place.at = getelementptr i32, ptr %row.places, i64 %e
  %e.place = load i32, ptr %e.place.at
  %e.line = zext i32 %e.place to i64
  %e.count.at = getelementptr i64, ptr %counts, i64 %e.line
  %e.count = load i64, ptr %e.count.at
  %e.begin = mul i64 %e.line, {TURN}
  %e.to = add i64 %e.begin, %e.count
  %e.to.value = getelementptr {scalar}, ptr %values, i64 %e.to
  store {scalar} %e.value, ptr %e.to.value
  %e.to.place = getelementptr i32, ptr %places, i64 %e.to
  store i32 %r.short, ptr %e.to.place
  %e.count.next = add i64 %e.count, 1
  store i64 %e.count.next, ptr %e.count.at
  %e.next = add nuw nsw i64 %e, 1
  br label %sort
rowed:
  %r.next = add nuw nsw i64 %r, 1
  %r.more = icmp slt i64 %r.next, %rows
  br i1 %r.more, label %row, label %sum
sum:
  %g.row = mul i64 %first, %elements
  %g.place = add i64 %g.row, %begin
  %g.here = getelementptr {scalar}, ptr %g, i64 %g.place
  br label %line
line:
  %k = phi i64 [ 0, %sum ], [ %k.next, %line ]
  %k.count.at = getelementptr i64, ptr %counts, i64 %k
  %k.count = load i64, ptr %k.count.at
  %k.begin = mul i64 %k, {TURN}
  %k.values = getelementptr {scalar}, ptr %values, i64 %k.begin
  %k.places = getelementptr i32, ptr %places, i64 %k.begin
  %k.past = mul i64 %k, %length
  %k.sums = getelementptr {scalar}, ptr %sums, i64 %k.past
  call void @gather(ptr %k.sums, ptr %k.sums, ptr %g.here, i64 %elements, i64 %length, ptr %k.values, ptr %k.places,
                    i64 %k.count)
  %k.next = add nuw nsw i64 %k, 1
  %k.more = icmp slt i64 %k.next, %inside
  br i1 %k.more, label %line, label %turned
turned:
  %first.next = add nuw nsw i64 %first, {TURN}
  br label %turns
lines:
  %l = phi i64 [ 0, %turns ], [ %l.next, %lines ]
  %l.past = mul i64 %l, %length
  %l.from = getelementptr {scalar}, ptr %sums, i64 %l.past
  %l.row = mul i64 %l, %elements
  %l.place = add i64 %l.row, %begin
  %l.to = getelementptr {scalar}, ptr %s, i64 %l.place
  call void @llvm.memcpy.p0.p0.i64(ptr %l.to, ptr %l.from, i64 %line.bytes, i1 false)
  %l.next = add nuw nsw i64 %l, 1
  %l.more = icmp slt i64 %l.next, %inside
  br i1 %l.more, label %lines, label %over
over:
  call void @free(ptr %memory)
  ret void
}}

; never called: there are never fewer columns than a vector has
define internal void @tile1(ptr %run, i64 %index) {{
  ret void
}}

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"""
    cut = Cut(WIDTH, COLUMNS, ALONE * COLUMNS)
    return "\n".join((handler(name, layout, version, cut), adding(scalar), text, ""))
