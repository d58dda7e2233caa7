"""A step on rows, taken apart into elementwise operations and products with matrices.

A cycle's step is no elementwise function, but it treats every sample alike: an array is (samples, n), each with its own
n, and what is not elementwise is a product of such an array with a constant matrix.

Operations are sorted into levels. At level 0 is all that needs no product of this step; behind a product its level is
one higher. So the elementwise operations of one level can all be done at once, and then its products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jax.extend.core import ClosedJaxpr, Literal

from nirjax.kernels.steps import called
from nirjax.kernels.walk import NotKnownError

MATRIX = -1
"""In place of the n of a row."""

SAMPLES = 1_000_003
"""With how many samples a step is traced: so many that no axis of a row is taken for them. Nothing is computed."""


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
        elif equation.primitive.name in ("dot_general", "event_product"):
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
    # an `event_product` says no axes: it is always rows with the first axis of a matrix
    ((left,), (right,)), batch = equation.params.get("dimension_numbers", (((1,), (0,)), ((), ())))
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
