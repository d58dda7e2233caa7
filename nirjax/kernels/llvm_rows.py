"""A walk of rows through time as one function of machine code: elementwise work and products with matrices.

A cycle's step is no elementwise function, but it treats every sample alike: an array is (samples, n), each with its own
n, and what is not elementwise is a product of such an array with a matrix. So a tile is a few samples here, which walk
through all of time on their own, and threads never wait for each other.

Within a step, operations are sorted into levels. At level 0 is all that needs no product of this step; behind a product
its level is one higher. The elementwise operations of one level and one n are one loop over the tile's elements, in
vectors; then come the level's products. What one loop leaves to others lies in the tile's own memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jax.extend.core import ClosedJaxpr, Literal

from nirjax.kernels.llvm_step import FLOATS, NotKnownError, Value, Writer, known_number, operation
from nirjax.kernels.llvm_walk import WIDTH, Cut, Layout, addresses, fields, handler, indented
from nirjax.kernels.steps import called

MATRIX = -1
"""In place of the n of a row."""

SAMPLES = 3
"""With how many samples a step is traced; no axis of a row may be taken for it."""

TILE = 16
"""Samples of a tile at most."""

ALONE = 1 << 18
"""Multiplications from which on other threads are asked for help."""


@dataclass(frozen=True)
class Matrix:
    """A constant that rows are multiplied by: which, and whether turned, so that rows go in and columns come out."""

    constant: int
    turned: bool


@dataclass(frozen=True)
class Operation:
    """An operation of a step, on numbered values."""

    equation: Any
    taken: tuple[Any, ...]
    given: tuple[int, ...]


@dataclass
class Program:
    """A step, taken apart.

    Values are numbers; the step's arguments come first. Those that are known are literals of JAX instead.

    Attributes:
        sizes: of each value, n; 0 for a single number that all elements share.
        levels: of each value.
        turned: of the values that are matrices, which they are.
        operations: elementwise, in order.
        products: (level, matrix, value that goes in, value that comes out).
        matrices: all that are used.
        results: what the step gives.
    """

    sizes: list[int] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    turned: dict[int, Matrix] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    products: list[tuple[int, Matrix, int, int]] = field(default_factory=list)
    matrices: list[Matrix] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)

    def value(self, size: int, level: int) -> int:
        """A new value."""
        self.sizes.append(size)
        self.levels.append(level)
        return len(self.sizes) - 1

    def level_of(self, atoms: Sequence[Any]) -> int:
        """The level at which all of some values are there."""
        return max((self.levels[atom] for atom in atoms if isinstance(atom, int)), default=0)


def taken_apart(traced: ClosedJaxpr, constants: int) -> Program:
    """A step as a program.

    Args:
        traced: of arrays (SAMPLES, n), with constants first, which are (n,) or (1, n), one number, or matrices.
        constants: how many of them there are.

    Raises:
        NotKnownError: for what is no elementwise operation on rows, and no product of a row with a constant matrix.
    """
    program = Program()
    for number, variable in enumerate(traced.jaxpr.invars):
        matrix = number < constants and _is_matrix(variable.aval.shape)
        program.value(MATRIX if matrix else _size(variable.aval.shape), 0)
        if matrix:
            program.turned[number] = Matrix(number, turned=False)
    arguments: list[Any] = list(range(len(traced.jaxpr.invars)))
    program.results = _apart(program, traced, arguments)
    _drop_unused(program)
    return program


def _is_matrix(shape: Sequence[int]) -> bool:
    return len(shape) == 2 and shape[0] != 1


def _size(shape: Sequence[int]) -> int:
    """n of (SAMPLES, n), (1, n) or (n,); 0 of a single number."""
    if len(shape) > 2 or (len(shape) == 2 and shape[0] not in (1, SAMPLES)):
        raise NotKnownError(f"an array of shape {tuple(shape)}")
    if all(size == 1 for size in shape):
        return 0
    return shape[-1]


def _apart(program: Program, traced: ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
    if traced.consts:
        raise NotKnownError("arrays of its own")
    known = dict(zip(traced.jaxpr.invars, arguments, strict=True))

    def value(atom: Any) -> Any:
        return atom if isinstance(atom, Literal) else known[atom]

    for equation in traced.jaxpr.eqns:
        given = [value(atom) for atom in equation.invars]
        within = called(equation.params)
        if within is not None:
            results = _apart(program, within, given)
        elif equation.primitive.name == "dot_general":
            results = [_product(program, equation, given)]
        elif equation.primitive.name == "transpose" and given[0] in program.turned:
            results = [_transpose(program, given[0])]
        else:
            results = _elementwise(program, equation, given)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in traced.jaxpr.outvars]


def _transpose(program: Program, value: int) -> int:
    """The transpose of a matrix: the same matrix, turned."""
    result = program.value(MATRIX, 0)
    program.turned[result] = replace(program.turned[value], turned=not program.turned[value].turned)
    return result


def _product(program: Program, equation: Any, given: list[Any]) -> int:
    row, other = given
    ((left,), (right,)), batch = equation.params["dimension_numbers"]
    if (
        not isinstance(row, int)
        or program.sizes[row] < 1
        or other not in program.turned
        or batch != ((), ())
        or left != 1
    ):
        raise NotKnownError("a product of something else than a row and a constant matrix")
    matrix = replace(program.turned[other], turned=program.turned[other].turned != (right == 1))
    if matrix not in program.matrices:
        program.matrices.append(matrix)
    level = program.levels[row]
    result = program.value(_size(equation.outvars[0].aval.shape), level + 1)
    program.products.append((level, matrix, row, result))
    return result


def _elementwise(program: Program, equation: Any, given: list[Any]) -> list[int]:
    sizes = {_size(variable.aval.shape) for variable in equation.outvars}
    taken = {program.sizes[atom] for atom in given if isinstance(atom, int)}
    if len(sizes) != 1 or not taken <= sizes | {0}:
        raise NotKnownError(f"{equation.primitive.name} between rows of several lengths")
    level, (size,) = program.level_of(given), sizes
    results = [program.value(size, level) for _ in equation.outvars]
    program.operations.append(Operation(equation, tuple(given), tuple(results)))
    return results


def _drop_unused(program: Program) -> None:
    """Leave out what nothing needs."""
    needed = {atom for atom in program.results if isinstance(atom, int)}
    produced: dict[int, Sequence[Any]] = {
        **{given: operation.taken for operation in program.operations for given in operation.given},
        **{given: (taken,) for _, _, taken, given in program.products},
    }
    left = list(needed)
    while left:
        for atom in produced.get(left.pop(), ()):
            if isinstance(atom, int) and atom not in needed:
                needed.add(atom)
                left.append(atom)
    program.operations = [one for one in program.operations if needed & set(one.given)]
    program.products = [one for one in program.products if one[3] in needed]
    used = {matrix for _, matrix, _, _ in program.products}
    program.matrices = [matrix for matrix in program.matrices if matrix in used]


# ------------------------------------------------------------------------------------------------------------ as text


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
    products = [_product_text(FLOATS[layout.dtype], rows, vectors) for rows in (4, 1) for vectors in (2, 1)]
    scalar = FLOATS[layout.dtype]
    bits = {"float": "f32", "double": "f64"}[scalar]
    uses.add(f"declare <{WIDTH} x {scalar}> @llvm.fmuladd.v{WIDTH}{bits}({', '.join([f'<{WIDTH} x {scalar}>'] * 3)})")
    return "\n".join((handler(name, layout, version, cut), *products, _products_text(scalar), tile, *sorted(uses), ""))


class _Tile:
    """The function for one tile. Writes the text once, piece by piece."""

    def __init__(self, program: Program, shapes: Shapes, layout: Layout, uses: set[str]) -> None:
        self.program, self.shapes, self.layout, self.uses = program, shapes, layout, uses
        self.scalar = FLOATS[layout.dtype]
        self.size = {"float": 4, "double": 8}[self.scalar]
        self.names = [f"%a{n}" for n in range(layout.taken + layout.given)]
        self.room = 0
        self.once: list[str] = []
        self.each: list[str] = []
        self.number = 0

    def text(self) -> str:
        """The whole function."""
        self.once += [*fields(("time", "elements", "length")), *addresses(self.names)]
        self.once += [
            "%wished = mul i64 %index, %length",
            "%latest = sub i64 %elements, %length",
            "%begin = call i64 @llvm.smin.i64(i64 %wished, i64 %latest)",
        ]
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
  %memory.all = call ptr @malloc(i64 {self.room + 64})
  %memory.int = ptrtoint ptr %memory.all to i64
  %memory.up = add i64 %memory.int, 63
  %memory.aligned = and i64 %memory.up, -64
  %memory = inttoptr i64 %memory.aligned to ptr
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
  call void @free(ptr %memory.all)
  ret void
}}"""

    # ------------------------------------------------------------------------------------------------------ places

    def _name(self) -> str:
        self.number += 1
        return f"%n{self.number}"

    def _room(self, n: int) -> str:
        """Memory of the tile for rows of n elements, and one vector more."""
        name = self._name()
        self.once.append(f"{name} = getelementptr i8, ptr %memory, i64 {self.room}")
        size = (self.shapes.samples * n + WIDTH) * self.size
        self.room += -(-size // 64) * 64
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
        self.each.append(
            f"call void @products(ptr {target}, ptr {source}, ptr {place}, i64 %length, i64 {taken}, i64 {given})"
        )


# ----------------------------------------------------------------------------------------------------------- products


def _product_text(scalar: str, rows: int, vectors: int) -> str:
    """y (rows, columns) = x (rows, inner) times a matrix, for some rows and some vectors of columns, in registers."""
    size = {"float": 4, "double": 8}[scalar]
    vector, bits = f"<{WIDTH} x {scalar}>", {"float": "f32", "double": "f64"}[scalar]
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
        f"%n{r}.{c} = call {vector} @llvm.fmuladd.v{WIDTH}{bits}({vector} %x{r}.all, {vector} %w{c}, {vector} %s{r}.{c})"
        for r, c in sums
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
define internal void @product{rows}x{vectors}(ptr %y, ptr %x, ptr %matrix, i64 %inside, i64 %stride, i64 %line_length) {{
  br label %inner
inner:
  %k = phi i64 [ 0, %0 ], [ %k.next, %inner ]
{indented(begin)}
  %line.place = mul i64 %k, %line_length
  %line = getelementptr {scalar}, ptr %matrix, i64 %line.place
{indented(body)}
  %k.next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %k.next, %inside
  br i1 %more, label %inner, label %over
over:
{indented(end)}
  ret void
}}"""


def _products_text(scalar: str) -> str:
    """y (rows, outside) = x (rows, inside) times a matrix, whose lines are filled up to whole vectors.

    Blocks of rows and of columns go through registers. A block of columns that reaches beyond the last one is written
    to a place of its own, and what belongs to y is copied.
    """
    size = {"float": 4, "double": 8}[scalar]
    cases = []
    for rows in (4, 1):
        for vectors in (2, 1):
            cases.append(
                f"""
do{rows}x{vectors}:
  br i1 %fits, label %to{rows}x{vectors}, label %aside{rows}x{vectors}
to{rows}x{vectors}:
  call void @product{rows}x{vectors}(ptr %y.at, ptr %x.at, ptr %m.at, i64 %inside, i64 %outside, i64 %line)
  br label %next
aside{rows}x{vectors}:
  call void @product{rows}x{vectors}(ptr %aside, ptr %x.at, ptr %m.at, i64 %inside, i64 {2 * WIDTH}, i64 %line)
  br label %copy"""
            )
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
