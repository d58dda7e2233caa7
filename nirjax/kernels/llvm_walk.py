"""An elementwise walk through time as one function of machine code, in LLVM's language.

The elements of a step are one axis, (time, elements). A constant is a single number, or a row that repeats along the
elements. A tile of elements goes through all of time, its carry in the cache: every sequence is read once and every
result written once. Where there is a walk ahead, the tile does that first, and keeps its carry of all steps in memory
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nirjax.kernels.llvm_handler import Cut, handler
from nirjax.kernels.llvm_run import APART, Layout, addresses, fields, indented, memory, told
from nirjax.kernels.llvm_step import FLOATS, SIZES, WIDTH, Value, Writer, write_step
from nirjax.kernels.steps import TracedStep

TILE = 1024
"""Elements of a tile at most, so that its carry, constants and rows stay in the first cache."""

KEPT = 1 << 16
"""Elements times steps that a tile keeps, at most, so that they stay in the second cache."""

NARROWEST = 64
"""Elements of a tile at least, however many steps it keeps: it reads as many side by side."""

ALONE = 1 << 18
"""Elements times steps up to which no help is asked for: some 40 microseconds."""


def module(
    name: str, step: TracedStep, layout: Layout, version: tuple[int, int], ahead: TracedStep | None = None
) -> str:
    """The program, whose `name` is a handler for XLA's foreign function interface.

    Raises:
        NotKnownError: for an operation that cannot be written.
    """
    uses = set[str]()
    tiles = [_tile(step, ahead, layout, width, uses) for width in (WIDTH, 1)]
    cut = Cut(WIDTH, TILE, ALONE, NARROWEST, KEPT // layout.ahead if layout.ahead else None)
    return "\n".join((handler(name, layout, version, cut), *tiles, *sorted(uses), ""))


@dataclass(frozen=True)
class _Names:
    """The arrays' addresses, in the order of `Layout`."""

    layout: Layout

    @property
    def all(self) -> list[str]:
        return [f"%a{n}" for n in range(self.layout.taken + self.layout.given)]

    def part(self, first: int, count: int) -> list[str]:
        return self.all[first : first + count]

    @property
    def start(self) -> list[str]:
        return self.part(len(self.layout.single), self.layout.carried)

    @property
    def ahead(self) -> list[str]:
        return self.part(len(self.layout.single) + self.layout.carried, self.layout.ahead)

    @property
    def rows(self) -> list[str]:
        return self.part(self.layout.taken - self.layout.sequences, self.layout.sequences)

    @property
    def last(self) -> list[str]:
        return self.part(self.layout.taken, self.layout.carried)

    @property
    def results(self) -> list[str]:
        return self.part(self.layout.taken + self.layout.carried, self.layout.results)


def _tile(step: TracedStep, ahead: TracedStep | None, layout: Layout, width: int, uses: set[str]) -> str:
    """The function for one tile, in vectors of `width` elements."""
    scalar = FLOATS[layout.dtype]
    size = SIZES[scalar]
    names = _Names(layout)
    once = [*fields(("time", "elements", "length as longest")), *addresses(names.all), *_place(size)]
    once += told(layout, [f"%period{number}" for number in range(len(layout.single))])
    fixed = Writer(scalar, width, uses=uses)
    known: list[Value | str] = []
    for number, (constant, single) in enumerate(zip(names.all, layout.single, strict=False)):
        if single:
            known.append(_splat(fixed, constant))
        else:
            once += _row(number, scalar, size)
            known.append(f"%row{number}")
    scratch = [f"%s{n}" for n in range(layout.carried)]
    once += [f"{one} = alloca [{TILE} x {scalar}], align 64" for one in scratch]
    first, final = ([_moved(once, one, "%skipped") for one in some] for some in (names.start, names.last))
    kept = [f"%kept{n}" for n in range(layout.ahead)]
    once += _memory(names.ahead) if kept else []

    before: list[str] = []
    if ahead is not None:
        each: list[str] = []
        shown = [_moved(each, one, "%ahead.ownplace", ".ahead") for one in kept]
        then = [_moved(each, one, "%bytes", ".then") for one in shown]
        taken = names.rows[: len(ahead.traced.in_avals) - len(known) - len(kept)]
        now = [_moved(each, one, "%ahead.place", ".ahead") for one in taken]
        vectors = Writer(scalar, width, uses=uses, numbers=fixed.numbers, index="%ahead.i")
        _written(vectors, ahead, known, [*shown, *now], then, size)
        before = _steps("ahead", "0", "walk", each, vectors, backward=False)

    each = []
    begin = [_either(each, "%steps.isfirst", *pair) for pair in zip(first, scratch, strict=True)]
    after = [_either(each, "%steps.islast", *pair) for pair in zip(final, scratch, strict=True)]
    shown = [_moved(each, one, "%steps.ownplace") for one in kept]
    now, found_at = ([_moved(each, one, "%steps.place") for one in some] for some in (names.rows, names.results))
    vectors = Writer(scalar, width, uses=uses, numbers=fixed.numbers, index="%steps.i")
    _written(vectors, step, known, [*begin, *shown, *now], [*after, *found_at], size)
    left = [_copied(b, a, "%bytes") for a, b in zip(first, final, strict=True)]
    return f"""
define internal void @tile{width}(ptr %run, i64 %index) {{
{indented(once)}
{indented(fixed.lines)}
  %stepbytes = mul i64 %elements, {size}
  %lastturn = sub i64 %time, 1
  %any = icmp sgt i64 %time, 0
  br i1 %any, label %{"ahead" if before else "walk"}, label %nosteps
{indented(before)}
walk:
  br label %steps
{indented(_steps("steps", "walk", "over", each, vectors, backward=layout.backward))}
nosteps:
{indented(left)}
  br label %over
over:
{"  call void @free(ptr %memory)" if kept else ""}
  ret void
}}"""


def _written(
    writer: Writer, step: TracedStep, known: Sequence[Value | str], read: list[str], write: list[str], size: int
) -> None:
    """A step for a vector of elements: what it takes from known constants and addresses, and gives to addresses."""
    given = [one if isinstance(one, Value) else _load(writer, one, size) for one in (*known, *read)]
    carry, found = write_step(writer, step, given)
    for address, one in zip(write, (*carry, *found), strict=True):
        _store(writer, address, one, size)


def _steps(name: str, entry: str, end: str, each: list[str], vectors: Writer, *, backward: bool) -> list[str]:
    """The loop over time, and in it the loop over the tile's vectors. Its values are called after `name`:

    place, ownplace     where the tile's elements of a step are in an array, and in the tile's own memory, in bytes
    isfirst, islast     is this the first step that is walked, or the last?
    i                   the vector's first element, in the tile
    """
    return [
        f"{name}:",
        f"%{name}.turn = phi i64 [ 0, %{entry} ], [ %{name}.nextturn, %{name}.stepped ]",
        f"%{name}.t = sub i64 {f'%lastturn, %{name}.turn' if backward else f'%{name}.turn, 0'}",
        f"%{name}.isfirst = icmp eq i64 %{name}.turn, 0",
        f"%{name}.islast = icmp eq i64 %{name}.turn, %lastturn",
        f"%{name}.past = mul i64 %{name}.t, %stepbytes",
        f"%{name}.place = add i64 %{name}.past, %skipped",
        f"%{name}.ownplace = mul i64 %{name}.t, %bytes",
        *each,
        f"br label %{name}.vectors",
        f"{name}.vectors:",
        f"%{name}.i = phi i64 [ 0, %{name} ], [ %{name}.nexti, %{name}.vectors ]",
        *vectors.lines,
        f"%{name}.nexti = add nuw nsw i64 %{name}.i, {vectors.width}",
        f"%{name}.more = icmp slt i64 %{name}.nexti, %length",
        f"br i1 %{name}.more, label %{name}.vectors, label %{name}.stepped",
        f"{name}.stepped:",
        f"%{name}.nextturn = add nuw nsw i64 %{name}.turn, 1",
        f"%{name}.further = icmp slt i64 %{name}.nextturn, %time",
        f"br i1 %{name}.further, label %{name}, label %{end}",
    ]


def _memory(start: list[str]) -> list[str]:
    """Memory of the tile's own, `%memory`: for every carry of a walk ahead a row before each step, and one more."""
    lines = [
        "%rows = add i64 %time, 1",
        "%rows.bytes = mul i64 %rows, %bytes",
        f"%rows.all = mul i64 %rows.bytes, {len(start)}",
        *memory("%memory.begin", "%rows.all"),
    ]
    for number, one in enumerate(start):
        lines.append(f"%kept{number}.past = mul i64 %rows.bytes, {number}")
        lines.append(f"%kept{number} = getelementptr i8, ptr %memory.begin, i64 %kept{number}.past")
        lines.append(_copied(f"%kept{number}", _moved(lines, one, "%skipped"), "%bytes"))
    return lines


def _place(size: int) -> list[str]:
    """Where a tile begins, in elements and in bytes."""
    return [
        *APART,
        f"%skipped = mul i64 %begin, {size}",
        f"%bytes = mul i64 %length, {size}",
    ]


def _row(number: int, scalar: str, size: int) -> list[str]:
    """The address of a constant's part for the tile: in the array, or, of a row that repeats, in a copy."""
    return [
        f"%copy{number} = alloca [{TILE} x {scalar}], align 64",
        f"%row{number} = call ptr @repeated(ptr %copy{number}, ptr %a{number}, i64 %begin, i64 %length, "
        f"i64 %period{number}, i64 %elements, i64 {size})",
    ]


def _copied(to: str, address: str, size: str) -> str:
    """Copy a number of bytes."""
    return f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {address}, i64 {size}, i1 false)"


def _moved(lines: list[str], address: str, by: str, name: str = ".moved") -> str:
    """An address, a number of bytes further on."""
    name = f"{address}{name}"
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
    at = writer.put("ptr", f"getelementptr {writer.scalar}, ptr {address}, i64 {writer.index}")
    return writer.put(writer.real, f"load {writer.real}, ptr {at.name}, align {size}")


def _store(writer: Writer, address: str, value: Value, size: int) -> None:
    at = writer.put("ptr", f"getelementptr {writer.scalar}, ptr {address}, i64 {writer.index}")
    writer.lines.append(f"store {value.type} {value.name}, ptr {at.name}, align {size}")
