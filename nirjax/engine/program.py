"""Everything of a model that is not a parameter: static, immutable, and what a compiled function is keyed by."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax.numpy as jnp

from nirjax.dialects import Dialect
from nirjax.engine.lowering import Plan
from nirjax.engine.schedule import Schedule
from nirjax.ir.digest import content_digest
from nirjax.ir.graph import Edge, NIRGraph
from nirjax.primitives.base import Primitive
from nirjax.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class Program:
    """A graph, lowered under its choices.

    Two programs are equal if they are one object, or if all that they were made from is equal: the graph's content,
    its arrays and metadata too, and every choice. With anything less, a cached jit would hand back the model of
    another file.

    Attributes:
        graph: the graph that was read, untouched.
        plan: how it runs.
        dt: the time step, in the file's unit of time.
        dialect: with the overrides in it.
        surrogate, max_delay, dtype, schedule, own, feedback: as given to `from_nir` (own: one's own primitives).
        product_dtype: as given to `from_nir`; None where it would change nothing.
    """

    graph: NIRGraph
    plan: Plan
    dt: float
    dialect: Dialect
    surrogate: Surrogate
    max_delay: float | None
    dtype: jnp.dtype
    schedule: Schedule | str
    own: tuple[Primitive, ...]
    feedback: tuple[Edge, ...] | None = None
    product_dtype: jnp.dtype | None = None

    @functools.cached_property
    def _identity(self) -> tuple[object, ...]:
        types = (str(self.dtype), str(self.product_dtype))
        choices = (self.dt, self.dialect, self.surrogate, self.max_delay, *types, self.schedule, self.own)
        return (content_digest(self.graph), _order(self.graph), self.plan.registers, *choices)

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Program) and self._hash == other._hash and self._identity == other._identity

    def __hash__(self) -> int:
        return self._hash


def _order(graph: NIRGraph) -> tuple[object, ...]:
    """The names of all nodes as they follow each other, which no digest holds."""
    return tuple((name, _order(node)) if isinstance(node, NIRGraph) else name for name, node in graph.nodes.items())
