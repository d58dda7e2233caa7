"""An elementwise walk through time as one function of machine code, in LLVM's language.

The elements of a step are one axis, (time, elements). A constant is a single number, or a row that repeats along the
elements. A tile of elements goes through all of time, its carry in the cache: every sequence is read once and every
result written once.
"""

from __future__ import annotations

from nirjax.kernels.llvm_handler import FIELDS, Cut, Layout, addresses, fields, handler, indented
from nirjax.kernels.llvm_step import FLOATS, WIDTH, Value, Writer, write_step
from nirjax.kernels.steps import TracedStep

TILE = 512
"""Elements of a tile at most, so that its carry, constants and rows stay in the first cache."""

ALONE = 1 << 18
"""Elements times steps up to which no help is asked for: some 40 microseconds."""


def module(name: str, step: TracedStep, layout: Layout, version: tuple[int, int]) -> str:
    """The program, whose `name` is a handler for XLA's foreign function interface.

    Raises:
        NotKnownError: for an operation that cannot be written.
    """
    uses = set[str]()
    tiles = [_tile(step, layout, width, uses) for width in (WIDTH, 1)]
    cut = Cut(WIDTH, TILE, ALONE)
    return "\n".join((handler(name, layout, version, cut), *tiles, *sorted(uses), ""))


def _tile(step: TracedStep, layout: Layout, width: int, uses: set[str]) -> str:
    """The function for one tile, in vectors of `width` elements."""
    scalar = FLOATS[layout.dtype]
    size = {"float": 4, "double": 8}[scalar]
    constants, carried = len(layout.single), layout.carried
    names = [f"%a{n}" for n in range(layout.taken + layout.given)]
    start, rows = names[constants : constants + carried], names[constants + carried : layout.taken]
    last, results = names[layout.taken : layout.taken + carried], names[layout.taken + carried :]

    once = [*fields(("time", "elements", "length")), *addresses(names), *_place(size)]
    fixed = Writer(scalar, width, uses=uses)
    known: list[Value | str] = []
    for number, (constant, single) in enumerate(zip(names, layout.single, strict=False)):
        if single:
            known.append(_splat(fixed, constant))
        else:
            once += _row(layout, number, scalar, size)
            known.append(f"%row{number}")
    scratch = [f"%s{n}" for n in range(carried)]
    once += [f"{one} = alloca [{TILE} x {scalar}], align 64" for one in scratch]
    first, final = ([_moved(once, one, "%skipped") for one in some] for some in (start, last))

    each: list[str] = []
    before = [_either(each, "%isfirst", *pair) for pair in zip(first, scratch, strict=True)]
    after = [_either(each, "%islast", *pair) for pair in zip(final, scratch, strict=True)]
    now, found_at = ([_moved(each, one, "%place") for one in some] for some in (rows, results))
    vectors = Writer(scalar, width, uses=uses, numbers=fixed.numbers)
    given = [
        *(one if isinstance(one, Value) else _load(vectors, one, size) for one in known),
        *(_load(vectors, one, size) for one in (*before, *now)),
    ]
    carry, found = write_step(vectors, step, given)
    for address, one in zip((*after, *found_at), (*carry, *found), strict=True):
        _store(vectors, address, one, size)
    left = [
        f"call void @llvm.memcpy.p0.p0.i64(ptr {b}, ptr {a}, i64 %bytes, i1 false)"
        for a, b in zip(first, final, strict=True)
    ]
    return f"""
define internal void @tile{width}(ptr %run, i64 %index) {{
{indented(once)}
{indented(fixed.lines)}
  %lastturn = sub i64 %time, 1
  %any = icmp sgt i64 %time, 0
  br i1 %any, label %steps, label %nosteps
steps:
  %turn = phi i64 [ 0, %0 ], [ %nextturn, %stepped ]
  %t = sub i64 {"%lastturn, %turn" if layout.backward else "%turn, 0"}
  %isfirst = icmp eq i64 %turn, 0
  %islast = icmp eq i64 %turn, %lastturn
  %stepbytes = mul i64 %elements, {size}
  %past = mul i64 %t, %stepbytes
  %place = add i64 %past, %skipped
{indented(each)}
  br label %vectors
vectors:
  %i = phi i64 [ 0, %steps ], [ %nexti, %vectors ]
{indented(vectors.lines)}
  %nexti = add nuw nsw i64 %i, {width}
  %more = icmp slt i64 %nexti, %length
  br i1 %more, label %vectors, label %stepped
stepped:
  %nextturn = add nuw nsw i64 %turn, 1
  %further = icmp slt i64 %nextturn, %time
  br i1 %further, label %steps, label %over
nosteps:
{indented(left)}
  br label %over
over:
  ret void
}}"""


def _place(size: int) -> list[str]:
    """Where a tile begins, in elements and in bytes; the last one overlaps the one before."""
    return [
        "%wished = mul i64 %index, %length",
        "%latest = sub i64 %elements, %length",
        "%begin = call i64 @llvm.smin.i64(i64 %wished, i64 %latest)",
        f"%skipped = mul i64 %begin, {size}",
        f"%bytes = mul i64 %length, {size}",
    ]


def _row(layout: Layout, number: int, scalar: str, size: int) -> list[str]:
    """The address of a constant's part for the tile: in the array, or, of a row that repeats, in a copy."""
    return [
        f"%period{number}.at = getelementptr i64, ptr %run, i64 {len(FIELDS) + layout.taken + layout.given + number}",
        f"%period{number} = load i64, ptr %period{number}.at",
        f"%copy{number} = alloca [{TILE} x {scalar}], align 64",
        f"%row{number} = call ptr @repeated(ptr %copy{number}, ptr %a{number}, i64 %begin, i64 %length, "
        f"i64 %period{number}, i64 %elements, i64 {size})",
    ]


def _moved(lines: list[str], address: str, by: str) -> str:
    """An address, a number of bytes further on."""
    name = f"{address}.moved"
    lines.append(f"{name} = getelementptr i8, ptr {address}, i64 {by}")
    return name


def _either(lines: list[str], where: str, one: str, other: str) -> str:
    """One address or another."""
    name = f"{one}.or"
    lines.append(f"{name} = select i1 {where}, ptr {one}, ptr {other}")
    return name


def _splat(writer: Writer, address: str) -> Value:
    """The number at an address, in all lanes."""
    return writer.spread(writer.put(writer.scalar, f"load {writer.scalar}, ptr {address}"))


def _load(writer: Writer, address: str, size: int) -> Value:
    at = writer.put("ptr", f"getelementptr {writer.scalar}, ptr {address}, i64 %i")
    return writer.put(writer.real, f"load {writer.real}, ptr {at.name}, align {size}")


def _store(writer: Writer, address: str, value: Value, size: int) -> None:
    at = writer.put("ptr", f"getelementptr {writer.scalar}, ptr {address}, i64 %i")
    writer.lines.append(f"store {value.type} {value.name}, ptr {at.name}, align {size}")
