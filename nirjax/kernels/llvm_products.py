"""Products of rows with a matrix, as functions of machine code.

Blocks of four rows and of two vectors of columns stay in registers while the walk goes along the inner axis, where each
line of the matrix is read once for four rows. Where few elements of the rows are not zero, the lines that they choose
are added up instead (`llvm_lines`).
"""

from __future__ import annotations

from nirjax.kernels.llvm_lines import adding
from nirjax.kernels.llvm_run import indented
from nirjax.kernels.llvm_step import SIZES, WIDTH

ONE_IN = 4
"""Of how many elements of a row one may be other than zero, for lines to be added up."""


def products(scalar: str) -> str:
    """The functions for numbers of a type, "float" or "double"; `@multiply` is the one to call."""
    blocks = [_block(scalar, rows, vectors) for rows in (4, 1) for vectors in (2, 1)]
    return "\n".join((adding(scalar), *blocks, _products(scalar), _multiply(scalar)))


def _multiply(scalar: str) -> str:
    """y (rows, outside) = x (rows, inside) times a matrix, whose lines are filled up to whole vectors.

    Each row is taken by itself, whatever the others are: lines are added up if few of its elements are not zero.
    If no row is such, all are multiplied at once. There is room for one vector behind y, and for the values and places
    of one row at `%values` and `%places`.
    """
    return f"""
define internal void @multiply(ptr %y, ptr %x, ptr %matrix, i64 %rows, i64 %inside, i64 %outside, ptr %values,
                               ptr %places) {{
  %most = udiv i64 %inside, {ONE_IN}
  %line.up = add i64 %outside, {WIDTH - 1}
  %line.vectors = udiv i64 %line.up, {WIDTH}
  %line = mul i64 %line.vectors, {WIDTH}
  br label %look
look:
  %l = phi i64 [ 0, %0 ], [ %l.next, %look ]
  %quiet = phi i64 [ 0, %0 ], [ %quiet.more, %look ]
  %l.past = mul i64 %l, %inside
  %l.row = getelementptr {scalar}, ptr %x, i64 %l.past
  %l.count = call i64 @counted(ptr %l.row, i64 %inside)
  %l.few = icmp ule i64 %l.count, %most
  %l.one = zext i1 %l.few to i64
  %quiet.more = add i64 %quiet, %l.one
  %l.next = add nuw nsw i64 %l, 1
  %l.more = icmp slt i64 %l.next, %rows
  br i1 %l.more, label %look, label %looked
looked:
  %any = icmp sgt i64 %quiet.more, 0
  br i1 %any, label %row, label %all
row:
  ; what a line reaches beyond a row is in the next one, which comes later
  %r = phi i64 [ 0, %looked ], [ %r.next, %rowed ]
  %x.past = mul i64 %r, %inside
  %x.row = getelementptr {scalar}, ptr %x, i64 %x.past
  %y.past = mul i64 %r, %outside
  %y.row = getelementptr {scalar}, ptr %y, i64 %y.past
  %count = call i64 @counted(ptr %x.row, i64 %inside)
  %few = icmp ule i64 %count, %most
  br i1 %few, label %lines, label %whole
lines:
  %noted = call i64 @noted(ptr %x.row, i64 %inside, ptr %values, ptr %places)
  call void @gather(ptr %y.row, ptr @nothing, ptr %matrix, i64 %line, i64 %line, ptr %values, ptr %places, i64 %noted)
  br label %rowed
whole:
  call void @products(ptr %y.row, ptr %x.row, ptr %matrix, i64 1, i64 %inside, i64 %outside)
  br label %rowed
rowed:
  %r.next = add nuw nsw i64 %r, 1
  %r.more = icmp slt i64 %r.next, %rows
  br i1 %r.more, label %row, label %over
all:
  call void @products(ptr %y, ptr %x, ptr %matrix, i64 %rows, i64 %inside, i64 %outside)
  br label %over
over:
  ret void
}}"""


def _block(scalar: str, rows: int, vectors: int) -> str:
    """y (rows, columns) = x (rows, inner) times a matrix, for some rows and some vectors of columns, in registers."""
    size = SIZES[scalar]
    vector, bits = f"<{WIDTH} x {scalar}>", {"float": "f32", "double": "f64"}[scalar]
    add = f"@llvm.fmuladd.v{WIDTH}{bits}"
    sums = [(r, c) for r in range(rows) for c in range(vectors)]
    begin = [f"%s{r}.{c} = phi {vector} [ zeroinitializer, %0 ], [ %n{r}.{c}, %inner ]" for r, c in sums]
    body = []
    for c in range(vectors):
        body += [
            f"%w{c}.at = getelementptr {vector}, ptr %line, i64 {c}",
            f"%w{c} = load {vector}, ptr %w{c}.at, align {size}",
        ]
    for r in range(rows):
        body += [
            f"%x{r}.row = mul i64 %inside, {r}",
            f"%x{r}.place = add i64 %x{r}.row, %k",
            f"%x{r}.at = getelementptr {scalar}, ptr %x, i64 %x{r}.place",
            f"%x{r} = load {scalar}, ptr %x{r}.at",
            f"%x{r}.one = insertelement {vector} poison, {scalar} %x{r}, i64 0",
            f"%x{r}.all = shufflevector {vector} %x{r}.one, {vector} poison, <{WIDTH} x i32> zeroinitializer",
        ]
    body += [
        f"%n{r}.{c} = call {vector} {add}({vector} %x{r}.all, {vector} %w{c}, {vector} %s{r}.{c})" for r, c in sums
    ]
    end = []
    for r, c in sums:
        end += [
            f"%y{r}.{c}.row = mul i64 %stride, {r}",
            f"%y{r}.{c}.place = add i64 %y{r}.{c}.row, {c * WIDTH}",
            f"%y{r}.{c}.at = getelementptr {scalar}, ptr %y, i64 %y{r}.{c}.place",
            f"store {vector} %n{r}.{c}, ptr %y{r}.{c}.at, align {size}",
        ]
    return f"""
define internal void @product{rows}x{vectors}(ptr %y, ptr %x, ptr %matrix, i64 %inside, i64 %stride, i64 %pitch) {{
  br label %inner
inner:
  %k = phi i64 [ 0, %0 ], [ %k.next, %inner ]
{indented(begin)}
  %line.place = mul i64 %k, %pitch
  %line = getelementptr {scalar}, ptr %matrix, i64 %line.place
{indented(body)}
  %k.next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %k.next, %inside
  br i1 %more, label %inner, label %over
over:
{indented(end)}
  ret void
}}"""


def _case(block: str) -> str:
    """A block of rows and vectors of columns: into y, or, if it reaches beyond, aside."""
    taken = "ptr %x.at, ptr %m.at, i64 %inside"
    return f"""
do{block}:
  br i1 %fits, label %to{block}, label %aside{block}
to{block}:
  call void @product{block}(ptr %y.at, {taken}, i64 %outside, i64 %line)
  br label %next
aside{block}:
  call void @product{block}(ptr %aside, {taken}, i64 {2 * WIDTH}, i64 %line)
  br label %copy"""


def _products(scalar: str) -> str:
    """y (rows, outside) = x (rows, inside) times a matrix, whose lines are filled up to whole vectors.

    Blocks of rows and of columns go through registers. A block of columns that reaches beyond the last one is written
    to a place of its own, and what belongs to y is copied.
    """
    size = SIZES[scalar]
    cases = [_case(f"{rows}x{vectors}") for rows in (4, 1) for vectors in (2, 1)]
    return f"""
define internal void @products(ptr %y, ptr %x, ptr %matrix, i64 %rows, i64 %inside, i64 %outside) {{
  %aside = alloca [{8 * WIDTH} x {scalar}], align 64
  %line.up = add i64 %outside, {WIDTH - 1}
  %line.vectors = udiv i64 %line.up, {WIDTH}
  %line = mul i64 %line.vectors, {WIDTH}
  br label %columns
columns:
  %column = phi i64 [ 0, %0 ], [ %column.next, %columned ]
  %line.left = sub i64 %line, %column
  %two = icmp sge i64 %line.left, {2 * WIDTH}
  %wide = select i1 %two, i64 {2 * WIDTH}, i64 {WIDTH}
  %column.next = add i64 %column, %wide
  %fits = icmp sle i64 %column.next, %outside
  %left = sub i64 %outside, %column
  %left.bytes = mul i64 %left, {size}
  %m.at = getelementptr {scalar}, ptr %matrix, i64 %column
  br label %block
block:
  %row = phi i64 [ 0, %columns ], [ %row.next, %next ]
  %rows.left = sub i64 %rows, %row
  %four = icmp sge i64 %rows.left, 4
  %high = select i1 %four, i64 4, i64 1
  %row.next = add i64 %row, %high
  %x.place = mul i64 %row, %inside
  %x.at = getelementptr {scalar}, ptr %x, i64 %x.place
  %y.row = mul i64 %row, %outside
  %y.place = add i64 %y.row, %column
  %y.at = getelementptr {scalar}, ptr %y, i64 %y.place
  br i1 %four, label %do4, label %do1
do4:
  br i1 %two, label %do4x2, label %do4x1
do1:
  br i1 %two, label %do1x2, label %do1x1{"".join(cases)}
copy:
  %c = phi i64 [ 0, %aside4x2 ], [ 0, %aside4x1 ], [ 0, %aside1x2 ], [ 0, %aside1x1 ], [ %c.next, %copy ]
  %from.place = mul i64 %c, {2 * WIDTH}
  %from = getelementptr {scalar}, ptr %aside, i64 %from.place
  %to.place = mul i64 %c, %outside
  %to = getelementptr {scalar}, ptr %y.at, i64 %to.place
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %left.bytes, i1 false)
  %c.next = add i64 %c, 1
  %c.more = icmp slt i64 %c.next, %high
  br i1 %c.more, label %copy, label %next
next:
  %row.more = icmp slt i64 %row.next, %rows
  br i1 %row.more, label %block, label %columned
columned:
  %column.more = icmp slt i64 %column.next, %outside
  br i1 %column.more, label %columns, label %over
over:
  ret void
}}"""
