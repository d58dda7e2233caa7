"""Grids: the numbers that a chip can store in place of a parameter, and where a graph says so.

A `Format` is how a chip stores a kind of parameter, a `Grid` is that with the scale of one parameter in one graph. The
functions take NumPy's arrays and JAX's alike. In a node's metadata a parameter's grid stands as

    metadata["quantization"][field] = {"form": ..., "lowest": ..., "highest": ..., "step": ..., "scale": ...}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.errors import ArgumentError
from nirjax.ir.nodes import NIRNode

KEY = "quantization"
"""Where the grids stand in a node's metadata."""

FORMS = ("multiple", "reciprocal", "power")


@dataclass(frozen=True)
class Grid:
    """The values that an integer n stands for, from `lowest` to `highest` in steps of `step`.

        "multiple"     value = n scale
        "reciprocal"   value = scale / n        a decay dt/tau = n/4096 has the scale 4096 dt
        "power"        value = scale 2^n        a decay by a bit shift of n has tau = dt 2^n, the scale dt

    Each value is the floating-point number nearest to that.

    Attributes:
        form, lowest, highest, step: as above; a highest of None is no bound.
        scale: a positive number, or an array that broadcasts against the parameter: one for each channel, say.
    """

    form: str
    lowest: int
    highest: int | None
    step: int
    scale: Any

    def alike(self, other: Grid) -> bool:
        """Are the two the same but for their scales?"""
        mine, its = ((one.form, one.lowest, one.highest, one.step) for one in (self, other))
        return mine == its

    def numbers(self, values: Any) -> Any:
        """The integers (as floats) whose values are nearest, ties to even, no further out than the grid goes."""
        xp = values.__array_namespace__()
        if self.form == "reciprocal":
            ratio = self.scale / values
        elif self.form == "power":
            ratio = xp.log2(values / self.scale)
        else:
            ratio = values / self.scale
        return xp.clip(xp.round(ratio / self.step) * self.step, self.lowest, self.highest)

    def values(self, numbers: Any) -> Any:
        """What the integers stand for."""
        if self.form == "reciprocal":
            return self.scale / numbers
        if self.form == "power":
            xp = numbers.__array_namespace__()
            return xp.ldexp(xp.asarray(self.scale), numbers.astype(np.int32))
        return numbers * self.scale

    def nearest(self, values: Any) -> Any:
        """The grid's values nearest to the given ones."""
        return self.values(self.numbers(values))

    def holds(self, values: Any) -> Any:
        """Is every value on the grid, bit for bit?"""
        return (self.nearest(values).astype(values.dtype) == values).all()

    def as_metadata(self) -> dict[str, Any]:
        """The grid as an entry of a node's metadata."""
        words = {"form": self.form, "lowest": self.lowest, "highest": self.highest, "step": self.step}
        return {**{name: word for name, word in words.items() if word is not None}, "scale": np.asarray(self.scale)}


@dataclass(frozen=True)
class Format:
    """How a chip stores a kind of parameter: a `Grid` whose scale is still open.

    Attributes:
        lowest, highest, step, form: as of a `Grid`.
        unit: the scale in time steps, for what has the unit of time; None for a scale that is found from the values.
        uniform: all neurons of a layer have one number.
        moves_r: of a membrane's time constant: r moves along, so that (r + moves_r) / tau stays; None: r stays.
    """

    lowest: int
    highest: int | None
    step: int = 1
    form: str = "multiple"
    unit: float | None = None
    uniform: bool = False
    moves_r: float | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ArgumentError("no such form", field="form", found=self.form, expected=f"one of {', '.join(FORMS)}")
        if self.step < 1 or self.lowest % self.step or (self.highest is not None and self.highest % self.step):
            raise ArgumentError("the ends are multiples of the step", field="step", found=self.step)
        if self.highest is not None and self.highest < self.lowest:
            raise ArgumentError("the highest number is below the lowest", field="highest", found=self.highest)
        if self.form == "reciprocal" and self.lowest < 1:
            raise ArgumentError("nothing is divided by numbers below 1", field="lowest", found=self.lowest)

    @property
    def bits(self) -> int | None:
        """How many bits tell the numbers apart; None without a highest one."""
        return None if self.highest is None else ((self.highest - self.lowest) // self.step).bit_length()

    def grid(self, scale: Any) -> Grid:
        """The grid at a scale."""
        return Grid(self.form, self.lowest, self.highest, self.step, scale)

    def narrowed(self, bits: int) -> Format:
        """The same with other bits: 4 are -8 to 7, or -7 to 7 where the numbers are symmetric, or 0 to 15."""
        if self.lowest >= 0:
            return dataclasses.replace(self, lowest=0, highest=(2**bits - 1) * self.step)
        other = signed(bits, symmetric=self.lowest == -(self.highest or 0))
        return dataclasses.replace(self, lowest=other.lowest * self.step, highest=(other.highest or 0) * self.step)


def signed(bits: int, *, symmetric: bool = False) -> Format:
    """Integers in two's complement, -128 to 127 for 8 bits; `symmetric` leaves out the lowest."""
    half = 2 ** (bits - 1)
    return Format(1 - half if symmetric else -half, half - 1)


def grids_of(node: NIRNode) -> dict[str, Grid]:
    """The grids that a node's metadata speaks of, by field; what cannot be read as one is passed over."""
    entries = node.metadata.get(KEY)
    if not isinstance(entries, Mapping):
        return {}
    found = {field: _grid(entry, node, field) for field, entry in entries.items()}
    return {field: grid for field, grid in found.items() if grid is not None}


def _grid(entry: Any, node: NIRNode, field: str) -> Grid | None:
    if not isinstance(entry, Mapping) or field not in type(node).parameter_names():
        return None
    try:
        highest = entry.get("highest")
        form, step, scale = str(entry["form"]), int(entry["step"]), np.asarray(entry["scale"])
        grid = Grid(form, int(entry["lowest"]), None if highest is None else int(highest), step, scale)
        fits = np.broadcast_shapes(scale.shape, np.shape(getattr(node, field))) == np.shape(getattr(node, field))
        return grid if form in FORMS and step > 0 and fits and bool(np.all(scale > 0)) else None
    except (KeyError, TypeError, ValueError):
        return None
