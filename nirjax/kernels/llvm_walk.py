"""A walk through time as one function of machine code, in LLVM's language: what XLA calls, and the loops inside.

The elements lie in `groups` of `row` elements each, (time, groups, row); constants are a row, or a single number. They
are cut into tiles, of which each thread takes the next one that is left and walks it through all of time, its carry in
the cache: every sequence is read once and every result written once.

    handler     what XLA calls. Fills in a Run, asks XLA's threads for help, and works until no tile is left
    helper      what a thread of XLA's does: it works on the Run too
    tile        one tile, in vectors of WIDTH elements, or one by one where a row is shorter than that

A Run is freed by the last that lets go of it, so that a helper may come when everything is done. Nobody waits but for
tiles that somebody is working on.

The structs of XLA's foreign function interface are read by their offsets, which are the same in all versions of
VERSIONS (`xla/ffi/api/c_api.h` of jaxlib).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nirjax.kernels.llvm_step import FLOATS, Value, Writer, write_step
from nirjax.kernels.steps import TracedStep

WIDTH = 16
"""Elements of a vector: 64 bytes of float32."""

TILE = 512
"""Elements of a tile at most, so that its carry, constants and rows stay in the first cache."""

ALONE = 1 << 15
"""Elements times steps up to which no help is asked for."""

VERSIONS = frozenset(((0, 3), (0, 4), (0, 5)))
"""Versions of the interface, major and minor, with the offsets that are used here."""

FIELDS = ("next", "done", "holders", "time", "groups", "row", "length", "tiles", "total")
"""What a Run says, 8 bytes each, before the addresses of all arrays: the next tile, how many are done, and who holds
it; the sizes; elements of a tile, tiles of a row and in all."""


@dataclass(frozen=True)
class Layout:
    """The arrays of a walk, in order: constants, carry, sequences, and then last carry and results.

    Attributes:
        single: for each constant, whether it is one number for all elements.
        carried, sequences, results: how many there are of each.
        dtype: of all.
        backward: from the last row to the first.
    """

    single: tuple[bool, ...]
    carried: int
    sequences: int
    results: int
    dtype: str
    backward: bool

    @property
    def taken(self) -> int:
        """How many arrays come in."""
        return len(self.single) + self.carried + self.sequences

    @property
    def given(self) -> int:
        """How many arrays go out."""
        return self.carried + self.results


def module(name: str, step: TracedStep, layout: Layout, version: tuple[int, int]) -> str:
    """The program, whose `name` is a handler for XLA's foreign function interface.

    Raises:
        NotKnownError: for an operation that cannot be written.
    """
    uses = set[str]()
    tiles = [_tile(step, layout, width, uses) for width in (WIDTH, 1)]
    return "\n".join((_handler(name, layout, version), _WORK, *tiles, *sorted(uses), ""))


# ------------------------------------------------------------------------------------------------------------ one tile


def _tile(step: TracedStep, layout: Layout, width: int, uses: set[str]) -> str:
    """The function for one tile, in vectors of `width` elements."""
    scalar = FLOATS[layout.dtype]
    writer = Writer(scalar, width, uses=uses)
    size = {"float": 4, "double": 8}[scalar]
    constants, carried = len(layout.single), layout.carried
    names = [f"%a{n}" for n in range(layout.taken + layout.given)]
    rows = names[constants + carried : layout.taken]
    last, results = names[layout.taken : layout.taken + carried], names[layout.taken + carried :]

    head = [*_fields(FIELDS[3:]), *_addresses(names)]
    head += _places()
    fixed: list[Value | str] = []
    for constant, single in zip(names, layout.single, strict=False):
        fixed.append(_splat(writer, constant) if single else _moved(head, constant, "start", size))
    once, writer.lines[:] = list(writer.lines), []
    begin = [_moved(head, carry, "offset", size) for carry in names[constants : constants + carried]]
    end = [_moved(head, carry, "offset", size) for carry in last]
    scratch = [f"%s{n}" for n in range(carried)]
    head += [f"{one} = alloca [{TILE} x {scalar}], align 64" for one in scratch]
    copies = [
        f"call void @llvm.memcpy.p0.p0.i64(ptr {s}, ptr {b}, i64 %bytes, i1 false)"
        for s, b in zip(scratch, begin, strict=True)
    ]
    back = [
        f"call void @llvm.memcpy.p0.p0.i64(ptr {e}, ptr {s}, i64 %bytes, i1 false)"
        for e, s in zip(end, scratch, strict=True)
    ]
    uses.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    head.append(f"%bytes = mul i64 %length, {size}")

    at_step: list[str] = []
    now, to = ([_moved(at_step, one, "place", size) for one in some] for some in (rows, results))
    given = [
        *(one if isinstance(one, Value) else _load(writer, one, size) for one in fixed),
        *(_load(writer, one, size) for one in (*scratch, *now)),
    ]
    carry, found = write_step(writer, step, given)
    for address, one in zip((*scratch, *to), (*carry, *found), strict=True):
        _store(writer, address, one, size)
    row = "%t = sub i64 %lastrow, %turn" if layout.backward else "%t = add i64 %turn, 0"
    return f"""
define internal void @tile{width}(ptr %run, i64 %index) {{
{_indented(head)}
{_indented(once)}
{_indented(copies)}
  %any = icmp sgt i64 %time, 0
  br i1 %any, label %steps, label %over
steps:
  %turn = phi i64 [ 0, %0 ], [ %nextturn, %stepped ]
  {row}
  %before = mul i64 %t, %elements
  %place = add i64 %before, %offset
{_indented(at_step)}
  br label %vectors
vectors:
  %i = phi i64 [ 0, %steps ], [ %nexti, %vectors ]
{_indented(writer.lines)}
  %nexti = add nuw nsw i64 %i, {width}
  %more = icmp slt i64 %nexti, %length
  br i1 %more, label %vectors, label %stepped
stepped:
  %nextturn = add nuw nsw i64 %turn, 1
  %further = icmp slt i64 %nextturn, %time
  br i1 %further, label %steps, label %over
over:
{_indented(back)}
  ret void
}}"""


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _fields(names: Sequence[str]) -> Iterator[str]:
    """Read fields of the Run."""
    for name in names:
        yield f"%at.{name} = getelementptr i8, ptr %run, i64 {8 * FIELDS.index(name)}"
        yield f"%{name} = load i64, ptr %at.{name}"


def _addresses(names: Sequence[str]) -> Iterator[str]:
    """Read the addresses of all arrays."""
    for number, name in enumerate(names):
        yield f"%at{name[1:]} = getelementptr i8, ptr %run, i64 {8 * (len(FIELDS) + number)}"
        yield f"{name} = load ptr, ptr %at{name[1:]}"


def _places() -> list[str]:
    """Where a tile lies: from `start` in its row, `offset` among all elements; the last overlaps the one before."""
    return [
        "%group = sdiv i64 %index, %tiles",
        "%column = srem i64 %index, %tiles",
        "%wished = mul i64 %column, %length",
        "%latest = sub i64 %row, %length",
        "%start = call i64 @llvm.smin.i64(i64 %wished, i64 %latest)",
        "%grouped = mul i64 %group, %row",
        "%offset = add i64 %grouped, %start",
        "%elements = mul i64 %groups, %row",
        "%lastrow = sub i64 %time, 1",
    ]


def _moved(lines: list[str], address: str, by: str, size: int) -> str:
    """An address, a number of elements further on."""
    name = f"{address}.{by}"
    lines.append(f"{name} = getelementptr i8, ptr {address}, i64 %{name[1:]}.bytes")
    lines.insert(-1, f"%{name[1:]}.bytes = mul i64 %{by}, {size}")
    return name


def _splat(writer: Writer, address: str) -> Value:
    """The number at an address, in all lanes."""
    one = writer.put(writer.scalar, f"load {writer.scalar}, ptr {address}")
    first = writer.put(writer.real, f"insertelement {writer.real} poison, {one.type} {one.name}, i64 0")
    lanes = f"<{writer.width} x i32> zeroinitializer"
    return writer.put(writer.real, f"shufflevector {writer.real} {first.name}, {writer.real} poison, {lanes}")


def _load(writer: Writer, address: str, size: int) -> Value:
    at = writer.put("ptr", f"getelementptr {writer.scalar}, ptr {address}, i64 %i")
    return writer.put(writer.real, f"load {writer.real}, ptr {at.name}, align {size}")


def _store(writer: Writer, address: str, value: Value, size: int) -> None:
    at = writer.put("ptr", f"getelementptr {writer.scalar}, ptr {address}, i64 %i")
    writer.lines.append(f"store {value.type} {value.name}, ptr {at.name}, align {size}")


# ------------------------------------------------------------------------------------------------------ what XLA calls


def _handler(name: str, layout: Layout, version: tuple[int, int]) -> str:
    """What XLA calls with a call frame; see `c_api.h`.

    The first sequence gives the sizes: (time, groups, row).
    """
    major, minor = version
    slots = len(FIELDS) + layout.taken + layout.given
    arrays = []
    for number in range(layout.taken + layout.given):
        source, place = ("args", number) if number < layout.taken else ("rets", number - layout.taken)
        arrays += [
            f"%p{number} = getelementptr ptr, ptr %{source}, i64 {place}",
            f"%b{number} = load ptr, ptr %p{number}",
            f"%d{number} = getelementptr i8, ptr %b{number}, i64 24",
            f"%x{number} = load ptr, ptr %d{number}",
            f"%q{number} = getelementptr i8, ptr %run, i64 {8 * (len(FIELDS) + number)}",
            f"store ptr %x{number}, ptr %q{number}",
        ]
    stores = []
    filled = {"next": "0", "done": "0", "holders": "1"}
    for number, field in enumerate(FIELDS):
        stores += [
            f"%f{number} = getelementptr i8, ptr %run, i64 {8 * number}",
            f"store i64 {filled.get(field, f'%{field}')}, ptr %f{number}",
        ]
    return f"""
declare ptr @malloc(i64)
declare void @free(ptr)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)

define ptr @"{name}"(ptr %frame) {{
  %extended = getelementptr i8, ptr %frame, i64 8
  %extension = load ptr, ptr %extended
  %asked = icmp ne ptr %extension, null
  br i1 %asked, label %tell, label %run_it
tell:
  %kind.at = getelementptr i8, ptr %extension, i64 8
  %kind = load i32, ptr %kind.at
  %of_version = icmp eq i32 %kind, 1
  br i1 %of_version, label %metadata, label %run_it
metadata:
  %metadata.at = getelementptr i8, ptr %extension, i64 24
  %told = load ptr, ptr %metadata.at
  %major.at = getelementptr i8, ptr %told, i64 24
  store i32 {major}, ptr %major.at
  %minor.at = getelementptr i8, ptr %told, i64 28
  store i32 {minor}, ptr %minor.at
  %traits.at = getelementptr i8, ptr %told, i64 32
  store i32 0, ptr %traits.at
  ret ptr null
run_it:
  %args.at = getelementptr i8, ptr %frame, i64 72
  %args = load ptr, ptr %args.at
  %rets.at = getelementptr i8, ptr %frame, i64 112
  %rets = load ptr, ptr %rets.at
  %first.at = getelementptr ptr, ptr %args, i64 {len(layout.single) + layout.carried}
  %first = load ptr, ptr %first.at
  %sizes.at = getelementptr i8, ptr %first, i64 40
  %sizes = load ptr, ptr %sizes.at
  %time = load i64, ptr %sizes
  %groups.at = getelementptr i64, ptr %sizes, i64 1
  %groups = load i64, ptr %groups.at
  %row.at = getelementptr i64, ptr %sizes, i64 2
  %row = load i64, ptr %row.at
  %elements = mul i64 %groups, %row
  %none = icmp eq i64 %elements, 0
  br i1 %none, label %nothing, label %some
nothing:
  ret ptr null
some:
  %frame.api.at = getelementptr i8, ptr %frame, i64 16
  %api = load ptr, ptr %frame.api.at
  %frame.context.at = getelementptr i8, ptr %frame, i64 24
  %context = load ptr, ptr %frame.context.at
  %work = mul i64 %elements, %time
  %little = icmp slt i64 %work, {ALONE}
  br i1 %little, label %counted, label %ask
ask:
  %threads.at = alloca i64
  store i64 1, ptr %threads.at
  %count = alloca [4 x i64]
  store i64 32, ptr %count
  %count.1 = getelementptr i64, ptr %count, i64 1
  store ptr null, ptr %count.1
  %count.2 = getelementptr i64, ptr %count, i64 2
  store ptr %context, ptr %count.2
  %count.3 = getelementptr i64, ptr %count, i64 3
  store ptr %threads.at, ptr %count.3
  %counter.at = getelementptr i8, ptr %api, i64 144
  %counter = load ptr, ptr %counter.at
  %uncounted = call ptr %counter(ptr %count)
  %asked_for = load i64, ptr %threads.at
  br label %counted
counted:
  %threads = phi i64 [ 1, %some ], [ %asked_for, %ask ]
  ; a row's tiles: as many as threads, or as keep a tile short; whole vectors, none longer than the row
  %short = icmp slt i64 %row, {WIDTH}
  %width = select i1 %short, i64 1, i64 {WIDTH}
  %spread = udiv i64 %threads, %groups
  %least = call i64 @llvm.smax.i64(i64 %spread, i64 1)
  %row.up = add i64 %row, {TILE - 1}
  %needed = udiv i64 %row.up, {TILE}
  %wished = call i64 @llvm.smax.i64(i64 %least, i64 %needed)
  %part.up = add i64 %row, %wished
  %part.less = sub i64 %part.up, 1
  %part = udiv i64 %part.less, %wished
  %vectors.up = add i64 %part, %width
  %vectors.less = sub i64 %vectors.up, 1
  %vectors = udiv i64 %vectors.less, %width
  %rounded = mul i64 %vectors, %width
  %over = icmp sgt i64 %rounded, %row
  %halves = udiv i64 %vectors, 2
  %odd = and i64 %vectors, 1
  %half = add i64 %halves, %odd
  %halved = mul i64 %half, %width
  %length = select i1 %over, i64 %halved, i64 %rounded
  %tiles.up = add i64 %row, %length
  %tiles.less = sub i64 %tiles.up, 1
  %tiles = udiv i64 %tiles.less, %length
  %total = mul i64 %groups, %tiles
  %run = call ptr @malloc(i64 {8 * slots})
{_indented(stores)}
{_indented(arrays)}
  %others = sub i64 %threads, 1
  %spare = sub i64 %total, 1
  %help = call i64 @llvm.smin.i64(i64 %others, i64 %spare)
  %order = alloca [5 x i64]
  store i64 40, ptr %order
  %order.1 = getelementptr i64, ptr %order, i64 1
  store ptr null, ptr %order.1
  %order.2 = getelementptr i64, ptr %order, i64 2
  store ptr %context, ptr %order.2
  %order.3 = getelementptr i64, ptr %order, i64 3
  store ptr @helper, ptr %order.3
  %order.4 = getelementptr i64, ptr %order, i64 4
  store ptr %run, ptr %order.4
  br label %calls
calls:
  %called = phi i64 [ 0, %counted ], [ %called.more, %call ]
  %enough = icmp sge i64 %called, %help
  br i1 %enough, label %own, label %call
call:
  %holders.at = getelementptr i8, ptr %run, i64 {8 * FIELDS.index("holders")}
  %held = atomicrmw add ptr %holders.at, i64 1 acq_rel
  %scheduler.at = getelementptr i8, ptr %api, i64 136
  %scheduler = load ptr, ptr %scheduler.at
  %scheduled = call ptr %scheduler(ptr %order)
  %called.more = add i64 %called, 1
  br label %calls
own:
  call void @work(ptr %run)
  %done.at = getelementptr i8, ptr %run, i64 {8 * FIELDS.index("done")}
  br label %wait
wait:
  %finished = load atomic i64, ptr %done.at acquire, align 8
  %all = icmp sge i64 %finished, %total
  br i1 %all, label %leave, label %wait
leave:
  call void @let_go(ptr %run)
  ret ptr null
}}"""


_WORK = f"""
define internal void @work(ptr %run) {{
{_indented(list(_fields(("row", "total"))))}
  %next.at = getelementptr i8, ptr %run, i64 {8 * FIELDS.index("next")}
  %done.at = getelementptr i8, ptr %run, i64 {8 * FIELDS.index("done")}
  %short = icmp slt i64 %row, {WIDTH}
  br label %take
take:
  %index = atomicrmw add ptr %next.at, i64 1 acq_rel
  %left = icmp slt i64 %index, %total
  br i1 %left, label %choose, label %stop
choose:
  br i1 %short, label %singly, label %vectorwise
singly:
  call void @tile1(ptr %run, i64 %index)
  br label %finished
vectorwise:
  call void @tile{WIDTH}(ptr %run, i64 %index)
  br label %finished
finished:
  %more = atomicrmw add ptr %done.at, i64 1 acq_rel
  br label %take
stop:
  ret void
}}

define internal void @let_go(ptr %run) {{
  %holders.at = getelementptr i8, ptr %run, i64 {8 * FIELDS.index("holders")}
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
}}"""
