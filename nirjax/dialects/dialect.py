"""A dialect: the discretisation of every node of a graph, and what belongs to the graph as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from nirjax.dialects.discretisation import Discretisation, check_choice
from nirjax.errors import ArgumentError, PatternError, UnsupportedByTarget
from nirjax.ir.nodes import CubaLIF, NIRNode


@dataclass(frozen=True)
class Rule:
    """Which nodes a discretisation is for: a node type ("*": any) and where it lies ("cycle", "chain" or "any")."""

    node_type: str
    discretisation: Discretisation
    place: str = "any"

    def applies(self, node_type: str, on_cycle: bool) -> bool:
        """Is the rule for a node of this type at this place?"""
        return self.node_type in ("*", node_type) and self.place in ("any", "cycle" if on_cycle else "chain")


@dataclass(frozen=True)
class Dialect:
    """The discrete semantics of a whole graph.

    Attributes:
        name: what `print(model)` shows: the preset and its arguments.
        rules: the first that applies to a node gives its discretisation.
        overrides: (name pattern, discretisation): wins over the rules.
        registers: where a feedback edge's register starts: "rest" or "zero".
        time_unit: "file": the file's time constants and `dt` are in one unit. "dt": the exporter multiplied every
            time constant by dt, so a step is dt * dt in the file's unit. "step": time constants are taken as steps,
            whatever dt is. "tau/(1+r)": each node's step is the smallest tau_mem/(1+r) of its neurons.
        flatten: order in which Flatten reads its axes: "channels_first" (NIR's) or "channels_last".
        refused: node types that this dialect cannot run.
        source: framework, version and file that this was read from.
    """

    name: str
    rules: tuple[Rule, ...] = (Rule("*", Discretisation()),)
    overrides: tuple[tuple[str, Discretisation], ...] = ()
    registers: str = "rest"
    time_unit: str = "file"
    flatten: str = "channels_first"
    refused: frozenset[str] = frozenset()
    source: str = ""

    def __post_init__(self) -> None:
        check_choice("registers", self.registers, ("rest", "zero"))
        check_choice("time_unit", self.time_unit, ("file", "dt", "step", "tau/(1+r)"))
        check_choice("flatten", self.flatten, ("channels_first", "channels_last"))

    def step_of(self, node: NIRNode, dt: float) -> float:
        """The time step at a node, in the unit of the file's time constants."""
        if self.time_unit == "dt":
            return dt * dt
        if self.time_unit == "step":
            return 1.0
        if self.time_unit == "tau/(1+r)" and isinstance(node, CubaLIF):
            return float(np.min(node.tau_mem / (1 + node.r)))
        return dt

    def of(self, name: str, node_type: str, on_cycle: bool) -> Discretisation:
        """The discretisation of one node.

        Raises:
            UnsupportedByTarget: this dialect cannot run such a node.
            PatternError: two overrides match the node.
        """
        if node_type in self.refused:
            raise UnsupportedByTarget(
                f"the dialect {self.name} cannot run a {node_type}",
                node=name,
                hint="Choose another dialect, or replace the node.",
            )
        chosen = [(pattern, rule) for pattern, rule in self.overrides if fnmatchcase(name, pattern)]
        if len(chosen) > 1:
            raise PatternError("two overrides match one node", node=name, found=[pattern for pattern, _ in chosen])
        if chosen:
            return chosen[0][1]
        for rule in self.rules:
            if rule.applies(node_type, on_cycle):
                return rule.discretisation
        elsewhere = any(rule.applies(node_type, not on_cycle) for rule in self.rules)
        place = f" that lies on {'a' if on_cycle else 'no'} cycle" if elsewhere else ""
        raise UnsupportedByTarget(
            f"the dialect {self.name} cannot run a {node_type}{place}", node=name,
            hint="Its documentation says what it takes; or choose another dialect.",
        )  # fmt: skip

    def changed(
        self, overrides: Mapping[str, Discretisation | Mapping[str, object]], kinds: Mapping[str, tuple[str, bool]]
    ) -> Dialect:
        """This dialect with single nodes set by pattern.

        Args:
            overrides: name pattern to a Discretisation, or to the fields of one that differ from this dialect's own.
            kinds: name to node type, and whether it lies on a cycle, for every stateful node in the graph.

        Raises:
            PatternError: a pattern matches no neuron, or two match one.
        """
        added: dict[str, Discretisation] = {}
        given: dict[str, str] = {}
        for pattern, change in overrides.items():
            names = [name for name in kinds if fnmatchcase(name, pattern)]
            if not names:
                raise PatternError("the override matches no neuron", found=pattern, expected=f"one of {list(kinds)}")
            for name in names:
                if name in given:
                    raise PatternError(
                        "two overrides match one neuron", node=name, field="overrides",
                        found=[given[name], pattern], expected="one pattern for each neuron",
                    )  # fmt: skip
                given[name] = pattern
                added[_literal(name)] = self._changed_one(name, kinds[name], change)
        return replace(self, overrides=self.overrides + tuple(added.items())) if added else self

    def _changed_one(
        self, name: str, kind: tuple[str, bool], change: Discretisation | Mapping[str, object]
    ) -> Discretisation:
        if isinstance(change, Discretisation):
            return change
        unknown = set(change) - {field.name for field in dataclasses.fields(Discretisation)}
        if unknown:
            raise ArgumentError(
                "no such choice in a discretisation",
                field="overrides",
                node=name,
                found=sorted(unknown),
                expected=[field.name for field in dataclasses.fields(Discretisation)],
            )
        return replace(self.of(name, *kind), **change)  # type: ignore[arg-type]


def _literal(name: str) -> str:
    """A pattern that matches exactly this name."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
