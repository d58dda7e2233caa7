"""From an open HDF5 file to plain data: the walk over a graph's groups, everything through the gate.

The walk checks the whole file and reads nothing but types and the version. What it has found is read afterwards.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from h5py import h5g

from nirjax.errors import FileError, GraphError, ParameterError, UnknownNodeError, quoted
from nirjax.ir import attributes
from nirjax.ir.filling import filled, slots_of
from nirjax.ir.gate import Gate, kind_of
from nirjax.ir.limits import BYTES_PER_EDGE, Limits
from nirjax.ir.places import Slot, Where
from nirjax.ir.raw import DEEPEST, Notice, RawFile, RawNode, check_depth

FieldTable = Mapping[str, tuple[str, ...]]
"""Node types to the names under which files keep their fields."""


@dataclass(frozen=True)
class Sketch:
    """A graph whose datasets have passed the gate and are not read yet: `RawNode`s with `Slot`s for arrays."""

    file: RawFile
    slots: tuple[Slot, ...]


def sketch(gate: Gate, table: FieldTable) -> Sketch:
    """Walk a whole file.

    Args:
        gate: the open file.
        table: the node types that are known. The graph itself needs no entry.

    Raises:
        FileError, GraphError, UnknownNodeError, ParameterError: naming node and field, not yet the file.
    """
    walk = _Walk(gate, table)
    root = gate.root()
    version = walk.version(root)
    node = walk.root_node(root)
    file = RawFile(node, version, attributes.digest(root), tuple(walk.notices))
    return Sketch(file, tuple(slots_of(node)))


def read_trusted(path: bytes, walk: Callable[[Gate], Sketch], limits: Limits) -> RawFile:
    """The content of a file, read in this process; raises as `walk`, and FileError for damaged data."""
    gate = Gate.open_file(path, limits)
    arrays: dict[bytes, np.ndarray] = {}

    def load(slot: Slot) -> np.ndarray:
        if slot.path not in arrays:
            arrays[slot.path] = gate.read(slot)
        return arrays[slot.path]

    try:
        found = filled(walk(gate).file, load)
    except BaseException:
        with contextlib.suppress(FileError):  # what was found first is what is told
            gate.close()
        raise
    gate.close()
    return found


@dataclass
class _Walk:
    gate: Gate
    table: FieldTable
    notices: list[Notice] = field(default_factory=list)
    words: dict[bytes, str] = field(default_factory=dict)

    def notice(self, message: str, where: Where) -> None:
        self.notices.append(Notice(message, where.node, where.field))

    def word(self, slot: Slot) -> str:
        if slot.path not in self.words:
            self.words[slot.path] = self.gate.word(slot)
        return self.words[slot.path]

    # ---------------------------------------------------------------------------------------------- top level

    def version(self, root: Any) -> str | None:
        where = Where(None, "version")
        address = self.gate.link(root, "version", where)
        if address is None:
            self.notice("the file does not say its version of the format", where)
            return None
        return self.word(self.gate.slot(root, "version", address, b"/version", where))

    def root_node(self, root: Any) -> RawNode:
        where = Where(None, "node")
        address = self.gate.link(root, "node", where)
        if address is None:
            data = attributes.word(root, attributes.TYPE, where) is not None
            raise GraphError(
                "this is a file of NIR data, not of a graph" if data else "this is not a NIR file",
                field="node",
                found="no group /node",
                expected="a group /node",
                hint="nirjax.data.read reads it." if data else None,
            )
        group = self.gate.group(root, "node", where)
        here = Where("")
        node = self.node(group, self.gate.links(group, here), b"/node", here, (address,), 1)
        if node.nodes is None:
            raise GraphError(
                "the root node is not a graph",
                node="",
                field="type",
                found=quoted(node.type),
                expected="'NIRGraph'",
                hint="Wrap the node with NIRGraph.from_list and write it again.",
            )
        return node

    # -------------------------------------------------------------------------------------------------- nodes

    def node(
        self, group: Any, links: dict[str, int], path: bytes, where: Where, above: tuple[int, ...], depth: int
    ) -> RawNode:
        if "type" not in links:
            raise GraphError("the node has no type", node=where.node, field="type", expected="the name of a node type")
        kind = self.word(self.gate.slot(group, "type", links["type"], path + b"/type", where.at("type")))
        is_graph = kind == "NIRGraph"
        if not is_graph and kind not in self.table:
            raise _unknown_type(kind, self.table, where)
        own = ("nodes", "edges") if is_graph else self.table[kind]
        metadata: Mapping[str, Any] = {}
        slots: dict[str, Slot] = {}
        for name, address in links.items():
            place = where.at(name)
            if name == "metadata":
                metadata = self.metadata(group, address, path, place, above)
            elif name not in own and name != "type":
                self.notice(f"{kind} has no such field; it is ignored", place)
            elif not is_graph and name != "type":
                slots[name] = self.field(self.gate.slot(group, name, address, path + b"/" + name.encode(), place))
        if not is_graph:
            return RawNode(kind, slots, metadata)
        nodes = self.nodes(group, links, path, where, above, depth)
        return RawNode(kind, {}, metadata, nodes, self.edges(group, links, path, where.at("edges")))

    def field(self, slot: Slot) -> Slot:
        if slot.is_words and slot.shape != ():
            raise ParameterError(
                "not numbers", node=slot.where.node, field=slot.where.field, found=f"strings of shape {slot.shape}"
            )
        return slot

    def nodes(
        self, group: Any, links: dict[str, int], path: bytes, where: Where, above: tuple[int, ...], depth: int
    ) -> dict[str, RawNode]:
        if "nodes" not in links:
            raise GraphError("the graph has no nodes", node=where.node, field="nodes", expected="a group of nodes")
        check_depth(depth, where.node)
        holder = self.gate.group(group, "nodes", where.at("nodes"))
        found: dict[str, RawNode] = {}
        self.nodes_in(holder, path + b"/nodes", "", where, (*above, links["nodes"]), depth, found)
        return found

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
            links = self.gate.links(group, inner, ordered=False)
            if links and "type" not in links and all(self.gate.is_group(group, key, inner) for key in links):
                # nir.write makes a group of every part of a name with slashes
                check_depth(depth + 1, inner.node)
                self.nodes_in(group, here, f"{name}/", where, all_above, depth + 1, found)
            else:
                found[name] = self.node(group, links, here, inner, all_above, depth + 1)

    def edges(self, group: Any, links: dict[str, int], path: bytes, where: Where) -> Any:
        if "edges" not in links:
            raise GraphError("the graph has no edges", node=where.node, field="edges", expected="a list of pairs")
        slot = self.gate.slot(group, "edges", links["edges"], path + b"/edges", where)
        if slot.shape and slot.shape[0] == 0:
            return ()
        if not slot.is_words:
            raise GraphError("edges are pairs of names", node=where.node, field="edges", found=f"dtype {slot.dtype}")
        if len(slot.shape) != 2 or slot.shape[1] != 2:
            raise GraphError(
                "edges are pairs of names",
                node=where.node,
                field="edges",
                found=f"shape {slot.shape}",
                expected="two columns",
            )
        self.gate.count(slot.shape[0] * BYTES_PER_EDGE, where)
        return slot

    def metadata(
        self, group: Any, address: int, path: bytes, where: Where, above: tuple[int, ...]
    ) -> Mapping[str, Any]:
        found = self.gate.open(group, "metadata", where)
        if not isinstance(found, h5g.GroupID):
            self.notice(f"metadata is {kind_of(found)} instead of a group; it is ignored", where)
            return {}
        return self._mapping(group, "metadata", address, path + b"/metadata", where, above, 1)

    def _mapping(
        self, parent: Any, name: str, address: int, path: bytes, where: Where, above: tuple[int, ...], depth: int
    ) -> dict[str, Any]:
        if address in above or depth > DEEPEST:
            raise FileError(
                "metadata contains itself" if address in above else "metadata is nested too deep",
                node=where.node,
                field=where.field,
                found="a hard link to a group above it" if address in above else f"over {DEEPEST} levels",
            )
        group = self.gate.group(parent, name, where)
        result: dict[str, Any] = {}
        for key, inner in self.gate.links(group, where).items():
            here = path + b"/" + key.encode()
            if self.gate.is_group(group, key, where):
                result[key] = self._mapping(group, key, inner, here, where, (*above, address), depth + 1)
            else:
                result[key] = self.gate.slot(group, key, inner, here, where, metadata=True)
        return result


def _unknown_type(kind: str, table: FieldTable, where: Where) -> UnknownNodeError:
    names = [*table, "NIRGraph"]
    folded = {name.casefold(): name for name in names}
    close = [folded[name] for name in difflib.get_close_matches(kind.strip().casefold(), folded, n=1, cutoff=0.7)]
    return UnknownNodeError(
        "no such node type",
        node=where.node,
        field="type",
        found=quoted(kind),
        expected=f"one of {', '.join(names)}",
        hint=f"Did you mean {close[0]!r}?" if close else "Give nirjax.read its class in node_types, if it is your own.",
    )
