"""What a Run says, and how a tile's function reads it, in LLVM's language.

A Run is one call of a kernel, which threads share: see `llvm_handler`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nirjax.kernels.llvm_step import WIDTH

FIELDS = ("next", "done", "holders", "time", "elements", "length", "tiles")
"""What a Run says, 8 bytes each, before the addresses of all arrays and the lengths of some axes: the next
tile, how many are done, and who holds it; the sizes; elements of a tile, and how many tiles there are."""

BEGIN = (
    "%wished = mul i64 %index, %length",
    "%latest = sub i64 %elements, %length",
    "%begin = call i64 @llvm.smin.i64(i64 %wished, i64 %latest)",
)
"""The element at which a tile begins: the last tile overlaps the one before."""

APART = (
    "%wished = mul i64 %index, %longest",
    "%latest = sub i64 %elements, %longest",
    "%earlier = call i64 @llvm.smin.i64(i64 %wished, i64 %latest)",
    "%left = sub i64 %elements, %wished",
    "%shorter = call i64 @llvm.smin.i64(i64 %left, i64 %longest)",
    f"%odd = urem i64 %elements, {WIDTH}",
    "%even = icmp eq i64 %odd, 0",
    "%begin = select i1 %even, i64 %wished, i64 %earlier",
    "%length = select i1 %even, i64 %shorter, i64 %longest",
)
"""The same, and a tile's length: where elements are whole vectors the last tile is shorter, and none overlaps another,
so that a result may lie where a sequence was."""


@dataclass(frozen=True)
class Layout:
    """The arrays of a walk, in order: constants, carry, start of a walk ahead, sequences; and last carry and results.

    Attributes:
        single: for each constant, whether it is one number for all elements.
        carried, sequences, results: how many there are of each.
        dtype: of all.
        backward: from the last row to the first.
        ahead: how many arrays the carry of a walk ahead has.
        sizes: (array, axis) pairs whose length the Run says; by default the first axis of each constant.
        shape: the array whose first axes are time and elements; by default the first sequence.
    """

    single: tuple[bool, ...]
    carried: int
    sequences: int
    results: int
    dtype: str
    backward: bool
    ahead: int = 0
    sizes: tuple[tuple[int, int], ...] | None = None
    shape: int | None = None

    @property
    def taken(self) -> int:
        """How many arrays come in."""
        return len(self.single) + self.carried + self.ahead + self.sequences

    @property
    def given(self) -> int:
        """How many arrays go out."""
        return self.carried + self.results

    @property
    def told(self) -> tuple[tuple[int, int], ...]:
        """The (array, axis) pairs whose length the Run says."""
        return tuple((n, 0) for n in range(len(self.single))) if self.sizes is None else self.sizes

    @property
    def shaped(self) -> int:
        """The array whose first axes are time and elements."""
        return self.taken - self.sequences if self.shape is None else self.shape

    @property
    def slots(self) -> int:
        """How many words of 8 bytes a Run has."""
        return len(FIELDS) + self.taken + self.given + len(self.told)


def indented(lines: Sequence[str]) -> str:
    """Lines of a function."""
    return "\n".join(f"  {line}" for line in lines)


def fields(names: Sequence[str]) -> Iterator[str]:
    """Read fields of the Run; "length as longest" by another name."""
    for words in names:
        name, _, called = words.partition(" as ")
        yield f"%at.{name} = getelementptr i64, ptr %run, i64 {FIELDS.index(name)}"
        yield f"%{called or name} = load i64, ptr %at.{name}"


def addresses(names: Sequence[str]) -> Iterator[str]:
    """Read the addresses of all arrays."""
    for number, name in enumerate(names):
        yield f"{name}.at = getelementptr i64, ptr %run, i64 {len(FIELDS) + number}"
        yield f"{name} = load ptr, ptr {name}.at"


def memory(name: str, size: str) -> list[str]:
    """So many bytes of memory, from the begin of a line of the cache on; `%memory` has to be freed."""
    return [
        f"%memory.room = add i64 {size}, 64",
        "%memory = call ptr @malloc(i64 %memory.room)",
        "%memory.at = ptrtoint ptr %memory to i64",
        "%memory.up = add i64 %memory.at, 63",
        "%memory.line = and i64 %memory.up, -64",
        f"{name} = inttoptr i64 %memory.line to ptr",
    ]


def told(layout: Layout, names: Sequence[str]) -> Iterator[str]:
    """Read the lengths that the Run says."""
    for number, name in enumerate(names):
        yield f"{name}.at = getelementptr i64, ptr %run, i64 {len(FIELDS) + layout.taken + layout.given + number}"
        yield f"{name} = load i64, ptr {name}.at"
