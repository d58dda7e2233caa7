"""Lines of a matrix that spikes choose, added up: functions of machine code that other functions call.

The places of a row that are not zero are noted first. Then the lines of the matrix at those places are added up, in
blocks of columns that stay in registers.
"""

from __future__ import annotations

from collections.abc import Callable

from nirjax.kernels.llvm_run import indented
from nirjax.kernels.llvm_step import SIZES, WIDTH

BLOCKS = (16, 4, 1)
"""Vectors of columns that are summed at once, the most that are left."""


def adding(scalar: str) -> str:
    """The functions for numbers of a type, "float" or "double":

    counted(x, n)                                               how many of n numbers are not zero
    noted(x, n, values, places)                                 the same, and which
    gather(y, start, matrix, stride, columns, values, places, count)
                                                                y = start, or `@nothing`, + the sum of lines
    """
    blocks = [_gathered(scalar, vectors) for vectors in BLOCKS]
    nothing = f"@nothing = internal constant [{BLOCKS[0] * WIDTH} x {scalar}] zeroinitializer, align 64"
    return "\n".join((nothing, _counted(scalar), noted(scalar), _vectors(), *blocks, _gather(scalar)))


def _counted(scalar: str) -> str:
    vector = f"<{WIDTH} x {scalar}>"
    return f"""
declare i{WIDTH} @llvm.ctpop.i{WIDTH}(i{WIDTH})

define internal i64 @counted(ptr %x, i64 %n) {{
  %whole = and i64 %n, -{WIDTH}
  br label %check
check:
  %i = phi i64 [ 0, %0 ], [ %i.next, %look ]
  %count = phi i64 [ 0, %0 ], [ %count.next, %look ]
  %more = icmp slt i64 %i, %whole
  br i1 %more, label %look, label %rest
look:
  %at = getelementptr {scalar}, ptr %x, i64 %i
  %found = load {vector}, ptr %at, align {SIZES[scalar]}
  %not = fcmp une {vector} %found, zeroinitializer
  %bits = bitcast <{WIDTH} x i1> %not to i{WIDTH}
  %sum = call i{WIDTH} @llvm.ctpop.i{WIDTH}(i{WIDTH} %bits)
  %sum.wide = zext i{WIDTH} %sum to i64
  %count.next = add i64 %count, %sum.wide
  %i.next = add nuw nsw i64 %i, {WIDTH}
  br label %check
rest:
  %j = phi i64 [ %whole, %check ], [ %j.next, %one ]
  %total = phi i64 [ %count, %check ], [ %total.next, %one ]
  %j.more = icmp slt i64 %j, %n
  br i1 %j.more, label %one, label %over
one:
  %j.at = getelementptr {scalar}, ptr %x, i64 %j
  %j.found = load {scalar}, ptr %j.at
  %j.not = fcmp une {scalar} %j.found, 0.0
  %j.one = zext i1 %j.not to i64
  %total.next = add i64 %total, %j.one
  %j.next = add nuw nsw i64 %j, 1
  br label %rest
over:
  ret i64 %total
}}"""


def noted(scalar: str) -> str:
    """Note the values of a row that are not zero, and their places; how many they are. 64 elements at a time."""
    return f"""
declare i64 @llvm.cttz.i64(i64, i1)
declare <{WIDTH} x {scalar}> {_masked_load(scalar)}(ptr, i32, <{WIDTH} x i1>, <{WIDTH} x {scalar}>)

define internal i64 @noted(ptr %x, i64 %n, ptr %values, ptr %places) {{
  br label %check
check:
  %i = phi i64 [ 0, %0 ], [ %i.next, %noted ]
  %count = phi i64 [ 0, %0 ], [ %count.now, %noted ]
  %left = sub i64 %n, %i
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %look, label %over
look:
  %whole = icmp sge i64 %left, 64
  br i1 %whole, label %all, label %part
all:
{indented(_word(scalar, "a", _all))}
  br label %bits
part:
{indented(_word(scalar, "p", _left))}
  br label %bits
bits:
  %mask = phi i64 [ %a.word, %all ], [ %p.word, %part ], [ %mask.next, %bit ]
  %count.now = phi i64 [ %count, %all ], [ %count, %part ], [ %count.next, %bit ]
  %any = icmp ne i64 %mask, 0
  br i1 %any, label %bit, label %noted
bit:
  %first = call i64 @llvm.cttz.i64(i64 %mask, i1 true)
  %place = add i64 %i, %first
  %value.at = getelementptr {scalar}, ptr %x, i64 %place
  %value = load {scalar}, ptr %value.at
  %values.at = getelementptr {scalar}, ptr %values, i64 %count.now
  store {scalar} %value, ptr %values.at
  %places.at = getelementptr i32, ptr %places, i64 %count.now
  %place.short = trunc i64 %place to i32
  store i32 %place.short, ptr %places.at
  %count.next = add i64 %count.now, 1
  %mask.less = sub i64 %mask, 1
  %mask.next = and i64 %mask, %mask.less
  br label %bits
noted:
  %i.next = add i64 %i, 64
  br label %check
over:
  ret i64 %count
}}"""


def _word(scalar: str, name: str, read: Callable[[str, str, int], list[str]]) -> list[str]:
    """`%name.word`: for each of 64 elements from `%i` on, is it not zero? A bit each."""
    vector, parts = f"<{WIDTH} x {scalar}>", 64 // WIDTH
    lines = [f"%{name}0.word = add i64 0, 0"]
    for part in range(parts):
        own, after = f"%{name}{part}", f"%{name}{part + 1}.word" if part + 1 < parts else f"%{name}.word"
        lines += [
            f"{own}.i = add i64 %i, {part * WIDTH}",
            f"{own}.at = getelementptr {scalar}, ptr %x, i64 {own}.i",
            *read(scalar, own, part * WIDTH),
            f"{own}.not = fcmp une {vector} {own}, zeroinitializer",
            f"{own}.bits = bitcast <{WIDTH} x i1> {own}.not to i{WIDTH}",
            f"{own}.wide = zext i{WIDTH} {own}.bits to i64",
            f"{own}.moved = shl i64 {own}.wide, {part * WIDTH}",
            f"{after} = or i64 {own}.word, {own}.moved",
        ]
    return lines


def _all(scalar: str, own: str, _: int) -> list[str]:
    """Read a vector."""
    return [f"{own} = load <{WIDTH} x {scalar}>, ptr {own}.at, align {SIZES[scalar]}"]


def _left(scalar: str, own: str, first: int) -> list[str]:
    """Read of a vector, from element `first` on, those elements that are `%left`; zeros for the others."""
    places, vector = ", ".join(f"i64 {first + lane}" for lane in range(WIDTH)), f"<{WIDTH} x {scalar}>"
    words = f"<{WIDTH} x i64>"
    return [
        f"{own}.one = insertelement {words} poison, i64 %left, i64 0",
        f"{own}.left = shufflevector {words} {own}.one, {words} poison, <{WIDTH} x i32> zeroinitializer",
        f"{own}.there = icmp slt {words} <{places}>, {own}.left",
        f"{own} = call {vector} {_masked_load(scalar)}(ptr {own}.at, i32 {SIZES[scalar]}, <{WIDTH} x i1> {own}.there, "
        f"{vector} zeroinitializer)",
    ]


def _masked_load(scalar: str) -> str:
    return f"@llvm.masked.load.v{WIDTH}{'f32' if scalar == 'float' else 'f64'}.p0"


def _gather(scalar: str) -> str:
    arguments = "ptr %y.here, ptr %s.here, ptr %m.here, i64 %stride, ptr %values, ptr %places, i64 %count"
    return f"""
define internal void @gather(ptr %y, ptr %start, ptr %matrix, i64 %stride, i64 %columns, ptr %values,
                             ptr %places, i64 %count) {{
  br label %block
block:
  %column = phi i64 [ 0, %0 ], [ %column.next, %next ]
  %left = sub i64 %columns, %column
  %vectors = call i64 @vectors(i64 %left)
  %by = mul i64 %vectors, {WIDTH}
  %column.next = add i64 %column, %by
  %y.here = getelementptr {scalar}, ptr %y, i64 %column
  %s.there = getelementptr {scalar}, ptr %start, i64 %column
  %s.none = icmp eq ptr %start, @nothing
  %s.here = select i1 %s.none, ptr %start, ptr %s.there
  %m.here = getelementptr {scalar}, ptr %matrix, i64 %column
{indented(_switch("gather", arguments))}
next:
  %more = icmp slt i64 %column.next, %columns
  br i1 %more, label %block, label %over
over:
  ret void
}}"""


def _switch(function: str, arguments: str) -> list[str]:
    """Call the function for as many vectors as `%vectors` says, and go on at `next`."""
    cases = " ".join(f"i64 {vectors}, label %do{vectors}" for vectors in BLOCKS[:-1])
    lines = [f"switch i64 %vectors, label %do{BLOCKS[-1]} [ {cases} ]"]
    for vectors in BLOCKS:
        lines += [f"do{vectors}:", f"call void @{function}{vectors}({arguments})", "br label %next"]
    return lines


def _vectors() -> str:
    """How many vectors of columns come next, of those that are left."""
    chosen = [
        f"""  %enough{vectors} = icmp sge i64 %left, {vectors * WIDTH}
  %c{number + 1} = select i1 %enough{vectors}, i64 {vectors}, i64 {f"%c{number}" if number else BLOCKS[-1]}"""
        for number, vectors in enumerate(BLOCKS[-2::-1])
    ]
    return f"""
define internal i64 @vectors(i64 %left) alwaysinline {{
{chr(10).join(chosen)}
  ret i64 %c{len(chosen)}
}}"""


def _gathered(scalar: str, vectors: int) -> str:
    """Some vectors of columns of one row of y."""
    vector, size = f"<{WIDTH} x {scalar}>", SIZES[scalar]
    add = f"@llvm.fmuladd.v{WIDTH}{'f32' if scalar == 'float' else 'f64'}"
    declared = f"declare {vector} {add}({vector}, {vector}, {vector})" if vectors == BLOCKS[0] else ""
    begin = [f"%s{c} = phi {vector} [ %b{c}, %0 ], [ %n{c}, %add ]" for c in range(vectors)]
    first, body, end = list[str](), _line(scalar), list[str]()
    for c in range(vectors):
        first += [
            f"%b{c}.at = getelementptr {vector}, ptr %start, i64 {c}",
            f"%b{c} = load {vector}, ptr %b{c}.at, align {size}",
        ]
        body += [
            f"%w{c}.at = getelementptr {vector}, ptr %line, i64 {c}",
            f"%w{c} = load {vector}, ptr %w{c}.at, align {size}",
            f"%n{c} = call {vector} {add}({vector} %value.all, {vector} %w{c}, {vector} %s{c})",
        ]
        end += [
            f"%y{c}.at = getelementptr {vector}, ptr %y, i64 {c}",
            f"store {vector} %s{c}, ptr %y{c}.at, align {size}",
        ]
    return f"""{declared}
define internal void @gather{vectors}(ptr %y, ptr %start, ptr %matrix, i64 %stride, ptr %values, ptr %places,
                                      i64 %count) {{
{indented(first)}
  br label %check
check:
  %j = phi i64 [ 0, %0 ], [ %j.next, %add ]
{indented(begin)}
  %more = icmp slt i64 %j, %count
  br i1 %more, label %add, label %over
add:
{indented(body)}
  %j.next = add nuw nsw i64 %j, 1
  br label %check
over:
{indented(end)}
  ret void
}}"""


def _line(scalar: str) -> list[str]:
    """The noted value `%value` of a place, in all lanes, and the line of the matrix there, `%line`."""
    vector = f"<{WIDTH} x {scalar}>"
    return [
        f"%value.at = getelementptr {scalar}, ptr %values, i64 %j",
        f"%value = load {scalar}, ptr %value.at",
        "%place.at = getelementptr i32, ptr %places, i64 %j",
        "%place = load i32, ptr %place.at",
        "%place.wide = zext i32 %place to i64",
        "%past = mul i64 %place.wide, %stride",
        f"%line = getelementptr {scalar}, ptr %matrix, i64 %past",
        f"%value.one = insertelement {vector} poison, {scalar} %value, i64 0",
        f"%value.all = shufflevector {vector} %value.one, {vector} poison, <{WIDTH} x i32> zeroinitializer",
    ]
