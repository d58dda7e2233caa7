"""From an open file of NIR data to plain data: the walk over its groups, everything through the gate.

A file of NIR data has the graph's tree: groups `nodes/<name>` for nodes and subgraphs, in a node `observables/<name>`,
in an observable its arrays. Types, time steps and counts are attributes. In plain data an attribute is a field like any
other, a group of nodes or observables is `nodes`.

Source: the package `nir` 1.0.8, `nir.serialization`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nirjax.errors import GraphError, ParameterError, quoted
from nirjax.ir import attributes
from nirjax.ir.attributes import TYPE
from nirjax.ir.filling import slots_of
from nirjax.ir.gate import Gate
from nirjax.ir.places import Slot, Where
from nirjax.ir.raw import Notice, RawFile, RawNode, check_depth
from nirjax.ir.reading import FieldTable, Sketch, sketch

GRAPH, NODE = "NIRGraphData", "NIRNodeData"

ARRAYS = {"TimeGriddedData": ("data",), "EventData": ("idx", "time"), "ValuedEventData": ("idx", "time", "value")}
"""Kinds of observables, and the datasets of each."""

NUMBERS = {"TimeGriddedData": ("dt",), "EventData": ("n_neurons", "t_max"), "ValuedEventData": ("n_neurons", "t_max")}
"""Kinds of observables, and the attributes of each."""


def walk_of(table: FieldTable | None) -> Callable[[Gate], Sketch]:
    """How a file is walked: as a graph of the node types in `table`; as NIR data, which knows none, for None."""
    return data_sketch if table is None else functools.partial(sketch, table=table)


def data_sketch(gate: Gate) -> Sketch:
    """Walk a whole file.

    Raises:
        FileError, GraphError, ParameterError: naming node and field, not yet the file.
    """
    walk = _Walk(gate)
    root = gate.root()
    if attributes.word(root, TYPE, Where(None, TYPE)) != GRAPH:
        links = gate.links(root, Where(None))
        raise GraphError(
            "this is not a file of NIR data",
            field=TYPE,
            found="a NIR graph" if "node" in links else "no mark of one",
            expected=quoted(GRAPH),
            hint="nirjax.read reads graphs." if "node" in links else None,
        )
    node = walk.graph(root, b"", Where(""), (), 1)
    return Sketch(RawFile(node, None, attributes.digest(root), tuple(walk.notices)), tuple(slots_of(node)))


@dataclass
class _Walk:
    gate: Gate
    notices: list[Notice] = field(default_factory=list)

    def graph(self, group: Any, path: bytes, where: Where, above: tuple[int, ...], depth: int) -> RawNode:
        check_depth(depth, where.node)
        links = self.members(group, where, ("nodes",))
        holder = self.gate.group(group, "nodes", where.at("nodes"))
        found: dict[str, RawNode] = {}
        self.nodes_in(holder, path + b"/nodes", "", where, (*above, links["nodes"]), depth, found)
        return RawNode(GRAPH, {}, {}, found)

    def nodes_in(
        self,
        holder: Any,
        path: bytes,
        prefix: str,
        where: Where,
        above: tuple[int, ...],
        depth: int,
        found: dict[str, RawNode],
    ) -> None:
        for name, part, inner, all_above, group in self.gate.nodes(holder, prefix, where, above):
            here = path + b"/" + part
            kind = attributes.word(group, TYPE, inner.at(TYPE))
            if kind is None and self.gate.links(group, inner):
                # a name with slashes is a group for each of its parts
                check_depth(depth + 1, inner.node)
                self.nodes_in(group, here, f"{name}/", where, all_above, depth + 1, found)
            elif kind == GRAPH:
                found[name] = self.graph(group, here, inner, all_above, depth + 1)
            elif kind == NODE:
                found[name] = self.node(group, here, inner)
            else:
                raise GraphError(
                    "no such kind of node", node=inner.node, field=TYPE,
                    found="nothing" if kind is None else quoted(kind), expected=f"{NODE} or {GRAPH}",
                )  # fmt: skip

    def node(self, group: Any, path: bytes, where: Where) -> RawNode:
        self.members(group, where, ("observables",))
        holder = self.gate.group(group, "observables", where.at("observables"))
        found: dict[str, RawNode] = {}
        for name in self.gate.links(holder, where.at("observables")):
            here = path + b"/observables/" + name.encode()
            found[name] = self.observable(self.gate.group(holder, name, where.at(name)), here, where.at(name))
        return RawNode(NODE, {}, {}, found)

    def observable(self, group: Any, path: bytes, where: Where) -> RawNode:
        kind = attributes.word(group, TYPE, where)
        if kind is None or kind not in ARRAYS:
            raise ParameterError(
                "no such kind of observable", node=where.node, field=where.field,
                found="nothing" if kind is None else quoted(kind), expected=f"one of {', '.join(ARRAYS)}",
            )  # fmt: skip
        for name in attributes.names(group, where):
            if name not in (TYPE, *NUMBERS[kind]):
                self.notices.append(Notice(f"{kind} has no attribute {quoted(name)}; it is ignored", *_place(where)))
        links = self.members(group, where, ARRAYS[kind])
        fields: dict[str, Any] = {
            name: attributes.number(group, name, where.at(f"{where.field}.{name}")) for name in NUMBERS[kind]
        }
        for name in ARRAYS[kind]:
            place = where.at(f"{where.field}.{name}")
            slot = self.gate.slot(group, name, links[name], path + b"/" + name.encode(), place, metadata=True)
            fields[name] = _numbers(slot)
        return RawNode(kind, fields)

    def members(self, group: Any, where: Where, wanted: tuple[str, ...]) -> dict[str, int]:
        """The links of a group, which has what is wanted; anything else is noticed and ignored."""
        links = self.gate.links(group, where)
        for name in wanted:
            if name not in links:
                raise GraphError("the group lacks a member", node=where.node, field=where.field, expected=quoted(name))
        for name in links:
            if name not in wanted:
                self.notices.append(Notice(f"{quoted(name)} has no meaning here; it is ignored", *_place(where)))
        return links


def _place(where: Where) -> tuple[str | None, str | None]:
    return where.node, where.field


def _numbers(slot: Slot) -> Slot:
    if slot.dtype is None or slot.dtype.kind not in "biuf":
        raise ParameterError(
            "not numbers", node=slot.where.node, field=slot.where.field,
            found="strings" if slot.is_words else f"dtype {slot.dtype}", expected="bool, integers or floats",
        )  # fmt: skip
    return slot
