"""A walk of rows through time as one function of machine code: elementwise work and products with matrices.

A tile is a few samples here, which walk through all of time on their own, and threads never wait for each other. Within
a step (see `nirjax.kernels.rows`), the elementwise operations of one level and one n are one loop over the tile's
elements, in vectors; then come the level's products. What one loop leaves to others lies in the tile's own memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nirjax.kernels.llvm_handler import Cut, handler
from nirjax.kernels.llvm_products import products
from nirjax.kernels.llvm_run import BEGIN, Layout, addresses, fields, indented, memory
from nirjax.kernels.llvm_step import FLOATS, SIZES, WIDTH, Value, Writer, known_number, operation
from nirjax.kernels.rows import Matrix, Program
from nirjax.kernels.walk import NotKnownError

TILE = 16
"""Samples of a tile at most."""

ALONE = 1 << 18
"""Multiplications up to which no help is asked for."""

WORTH = 1024
"""Vectors of a matrix from which on it is worth a look whether few elements of the rows are not zero."""


@dataclass(frozen=True)
class Shapes:
    """How long rows are.

    Attributes:
        constants: of each, n, or 0 for a single number, or -1 for a matrix.
        carry, sequences, results: of each, n.
        samples: of a tile, at most.
    """

    constants: tuple[int, ...]
    carry: tuple[int, ...]
    sequences: tuple[int, ...]
    results: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Of a tile, so that what it carries stays near the processor."""
        widest = max((*self.carry, *self.sequences, *self.results, 1))
        return max(4, min(TILE, 4096 // widest // 4 * 4))


def module(name: str, program: Program, shapes: Shapes, layout: Layout, version: tuple[int, int]) -> str:
    """The program, whose `name` is a handler for XLA's foreign function interface.

    What it takes are the constants (those that are matrices as an empty place), the matrices, turned as they are used
    and filled up to whole vectors, then carry and sequences; see `Layout`.

    Raises:
        NotKnownError: for an operation that cannot be written.
    """
    uses = set[str]()
    tile = _Tile(program, shapes, layout, uses).text()
    work = sum(max(program.sizes[taken], 1) * max(program.sizes[given], 1) for _, _, taken, given in program.products)
    cut = Cut(1, shapes.samples, max(ALONE // max(work, 64), 2))
    return "\n".join((handler(name, layout, version, cut), products(FLOATS[layout.dtype]), tile, *sorted(uses), ""))


class _Tile:
    """The function for one tile. Writes the text once, piece by piece."""

    def __init__(self, program: Program, shapes: Shapes, layout: Layout, uses: set[str]) -> None:
        self.program, self.shapes, self.layout, self.uses = program, shapes, layout, uses
        self.scalar = FLOATS[layout.dtype]
        self.size = SIZES[self.scalar]
        self.names = [f"%a{n}" for n in range(layout.taken + layout.given)]
        self.room = 0
        self.once: list[str] = []
        self.each: list[str] = []
        self.number = 0

    def text(self) -> str:
        """The whole function."""
        self.once += [*fields(("time", "elements", "length")), *addresses(self.names)]
        self.once += BEGIN
        where = self._constants()
        shapes, matrices, constants = self.shapes, len(self.program.matrices), len(self.shapes.constants)
        first = constants + matrices
        start = self.names[first : first + len(shapes.carry)]
        rows = self.names[first + len(shapes.carry) : self.layout.taken]
        last = self.names[self.layout.taken : self.layout.taken + len(shapes.carry)]
        results = self.names[self.layout.taken + len(shapes.carry) :]
        before, after = [], []
        for begin, end, n in zip(start, last, shapes.carry, strict=True):
            one, other = self._room(n), self._room(n)
            begin, end = self._skipped(begin, n), self._skipped(end, n)
            odd, even = self._either("%isodd", one, other), self._either("%isodd", other, one)
            before.append(self._either("%isfirst", begin, odd))
            after.append(self._either("%islast", end, even))
        now = [self._row_of(one, n) for one, n in zip(rows, shapes.sequences, strict=True)]
        to = [self._row_of(one, n) for one, n in zip(results, shapes.results, strict=True)]
        arguments = constants + len(shapes.carry)
        where |= dict(zip(range(constants, arguments), before, strict=True))
        where |= dict(zip(range(arguments, arguments + len(now)), now, strict=True))
        self._step(where, [*after, *to])
        backward = "%lastturn, %turn" if self.layout.backward else "%turn, 0"
        return f"""
define internal void @tile1(ptr %run, i64 %index) {{
{indented(memory("%rooms", str(self.room)))}
{indented(self.once)}
  %lastturn = sub i64 %time, 1
  br label %steps
steps:
  %turn = phi i64 [ 0, %0 ], [ %nextturn, %stepped ]
  %t = sub i64 {backward}
  %isfirst = icmp eq i64 %turn, 0
  %islast = icmp eq i64 %turn, %lastturn
  %parity = and i64 %turn, 1
  %isodd = icmp eq i64 %parity, 1
{indented(self.each)}
  br label %stepped
stepped:
  %nextturn = add nuw nsw i64 %turn, 1
  %further = icmp slt i64 %nextturn, %time
  br i1 %further, label %steps, label %over
over:
  call void @free(ptr %memory)
  ret void
}}"""

    # ------------------------------------------------------------------------------------------------------ places

    def _name(self) -> str:
        self.number += 1
        return f"%n{self.number}"

    def _room(self, n: int) -> str:
        """Memory of the tile for rows of n elements, and one vector more."""
        return self._numbers(self.shapes.samples * n + WIDTH)

    def _numbers(self, count: int) -> str:
        """Memory of the tile for so many numbers."""
        name = self._name()
        self.once.append(f"{name} = getelementptr i8, ptr %rooms, i64 {self.room}")
        self.room += -(-count * self.size // 64) * 64
        return name

    def _skipped(self, array: str, n: int) -> str:
        """Where the tile's rows are in a carry."""
        by, name = self._name(), self._name()
        self.once += [f"{by} = mul i64 %begin, {n * self.size}", f"{name} = getelementptr i8, ptr {array}, i64 {by}"]
        return name

    def _row_of(self, array: str, n: int) -> str:
        """Where the tile's rows are in a sequence at the present step."""
        past, row, by, name = (self._name() for _ in range(4))
        self.each += [
            f"{past} = mul i64 %t, %elements",
            f"{row} = add i64 {past}, %begin",
            f"{by} = mul i64 {row}, {n * self.size}",
            f"{name} = getelementptr i8, ptr {array}, i64 {by}",
        ]
        return name

    def _either(self, where: str, one: str, other: str) -> str:
        name = self._name()
        self.each.append(f"{name} = select i1 {where}, ptr {one}, ptr {other}")
        return name

    def _constants(self) -> dict[int, str]:
        """Where constants are: single numbers in their arrays, rows repeated for the tile's samples."""
        where = {}
        for number, n in enumerate(self.shapes.constants):
            where[number] = self.names[number]
            if n > 0:
                copy, length, row = self._room(n), self._name(), self._name()
                self.once += [
                    f"{length} = mul i64 %length, {n}",
                    f"{row} = call ptr @repeated(ptr {copy}, ptr {self.names[number]}, i64 0, i64 {length}, i64 {n}, "
                    f"i64 -1, i64 {self.size})",
                ]
                where[number] = row
        return where

    # -------------------------------------------------------------------------------------------------------- a step

    def _step(self, where: dict[int, str], targets: Sequence[str]) -> None:
        """All levels of a step; then its results in their places."""
        program = self.program
        to: dict[int, list[str]] = {}
        for result, target in zip(program.results, targets, strict=True):
            if isinstance(result, int) and program.sizes[result] > 0:
                to.setdefault(result, []).append(target)
        sizes = [*self.shapes.carry, *self.shapes.results]
        for level in range(max(program.levels, default=0) + 1):
            for n in sorted({size for size in program.sizes if size > 0}):
                self._loop(level, n, where, to)
            for at, matrix, taken, given in program.products:
                if at == level:
                    where[given] = self._room(program.sizes[given])
                    self._multiplied(matrix, where[taken], where[given], program.sizes[taken], program.sizes[given])
        produced = {given for one in program.operations for given in one.given}
        for result, target, n in zip(program.results, targets, sizes, strict=True):
            if not isinstance(result, int) or program.sizes[result] <= 0:
                self._vectors(
                    n, lambda writer, n=n, result=result, target=target: self._put(writer, where, result, target)
                )
            elif result not in produced:
                self._copied(where[result], target, n)

    def _loop(self, level: int, n: int, where: dict[int, str], to: dict[int, list[str]]) -> None:
        """The elementwise operations of a level, for rows of n elements, as one loop."""
        program = self.program
        own = [
            one
            for one in program.operations
            if program.sizes[one.given[0]] == n and program.levels[one.given[0]] == level
        ]
        if not own:
            return
        made = {given for one in own for given in one.given}
        later = {taken for one in program.operations if one not in own for taken in one.taken if isinstance(taken, int)}
        later |= {taken for _, _, taken, _ in program.products}
        kept = {value: self._room(n) for value in sorted(made & later)}

        def body(writer: Writer) -> None:
            values: dict[int, Value] = {}
            for one in own:
                taken = [self._value(writer, values, where, atom) for atom in one.taken]
                values |= dict(zip(one.given, operation(writer, one.equation, taken), strict=True))
            for value in sorted(made):
                for address in [*to.get(value, []), *([kept[value]] if value in kept else [])]:
                    self._stored(writer, address, self._as_number(writer, values[value]))

        self._vectors(n, body)
        where |= kept

    def _value(self, writer: Writer, values: dict[int, Value], where: dict[int, str], atom: Any) -> Value:
        """A value where it is needed: known, made in this loop, or read."""
        if not isinstance(atom, int):
            return known_number(writer, atom.aval.dtype, float(atom.val))
        if atom not in values:
            values[atom] = self._read(writer, values, where, atom)
        return values[atom]

    def _read(self, writer: Writer, values: dict[int, Value], where: dict[int, str], atom: int) -> Value:
        if atom in where and self.program.sizes[atom] > 0:
            at = writer.put("ptr", f"getelementptr {self.scalar}, ptr {where[atom]}, i64 {writer.index}")
            return writer.put(writer.real, f"load {writer.real}, ptr {at.name}, align {self.size}")
        if atom in where:
            one = writer.put(self.scalar, f"load {self.scalar}, ptr {where[atom]}")
            return writer.spread(one)
        # a single number that is computed of others: in every loop anew
        (maker,) = [one for one in self.program.operations if atom in one.given]
        taken = [self._value(writer, values, where, one) for one in maker.taken]
        return operation(writer, maker.equation, taken)[maker.given.index(atom)]

    def _as_number(self, writer: Writer, value: Value) -> Value:
        """A value as it lies in memory: truth values as 1 and 0."""
        if value.type == writer.real:
            return value
        raise NotKnownError("a truth value that leaves a loop")

    def _put(self, writer: Writer, where: dict[int, str], atom: Any, target: str) -> None:
        self._stored(writer, target, self._value(writer, {}, where, atom))

    def _stored(self, writer: Writer, address: str, value: Value) -> None:
        at = writer.put("ptr", f"getelementptr {self.scalar}, ptr {address}, i64 {writer.index}")
        writer.lines.append(f"store {value.type} {value.name}, ptr {at.name}, align {self.size}")

    def _vectors(self, n: int, body: Any) -> None:
        """A loop over the elements of the tile's rows: whole vectors, then what is left one by one."""
        total, vectors, done = self._name(), self._name(), self._name()
        self.each += [
            f"{total} = mul i64 %length, {n}",
            f"{vectors} = udiv i64 {total}, {WIDTH}",
            f"{done} = mul i64 {vectors}, {WIDTH}",
        ]
        self._counted("0", done, WIDTH, body)
        self._counted(done, total, 1, body)

    def _counted(self, begin: str, end: str, width: int, body: Any) -> None:
        self.number += 1
        loop = f"loop{self.number}"
        index = f"%i{self.number}"
        writer = Writer(self.scalar, width, uses=self.uses, prefix=f"{loop}.", index=index)
        body(writer)
        self.each += [
            f"br label %{loop}.check",
            f"{loop}.check:",
            f"{index} = phi i64 [ {begin}, %{self._block()} ], [ {index}.next, %{loop} ]",
            f"{index}.more = icmp slt i64 {index}, {end}",
            f"br i1 {index}.more, label %{loop}, label %{loop}.end",
            f"{loop}:",
            *writer.lines,
            f"{index}.next = add nuw nsw i64 {index}, {width}",
            f"br label %{loop}.check",
            f"{loop}.end:",
        ]

    def _block(self) -> str:
        """The block that is being written."""
        labels = [line[:-1] for line in self.each if line.endswith(":")]
        return labels[-1] if labels else "steps"

    def _copied(self, source: str, target: str, n: int) -> None:
        by = self._name()
        self.each += [
            f"{by} = mul i64 %length, {n * self.size}",
            f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {by}, i1 false)",
        ]

    def _multiplied(self, matrix: Matrix, source: str, target: str, taken: int, given: int) -> None:
        place = self.names[len(self.shapes.constants) + self.program.matrices.index(matrix)]
        arrays = f"ptr {target}, ptr {source}, ptr {place}, i64 %length, i64 {taken}, i64 {given}"
        if taken * -(-given // WIDTH) >= WORTH:
            room = f"ptr {self._numbers(taken)}, ptr {self._numbers(taken)}"
            self.each.append(f"call void @multiply({arrays}, {room})")
        else:
            self.each.append(f"call void @products({arrays})")
