"""The content of a file as plain data: what lies between the bytes on disk and the nodes.

The reader makes it, possibly in another process; construction turns it into nodes; the writer goes the other way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nirjax.errors import GraphError

Edge = tuple[str, str]

DEEPEST = 128
"""The most levels of subgraphs inside subgraphs, where each slash in a node's name is one too, and of mappings inside
metadata."""


def check_depth(depth: int, node: str | None) -> None:
    """Raise GraphError if the nodes inside this node, or behind this part of a name, lie deeper than `DEEPEST`."""
    if depth > DEEPEST:
        raise GraphError(
            "subgraphs are nested too deep", node=node, field="nodes",
            expected=f"at most {DEEPEST} levels (a slash in a name is one too)",
        )  # fmt: skip


@dataclass(frozen=True)
class RawNode:
    """One node as the file has it, unchecked.

    Attributes:
        type: name of the node type.
        fields: stored names to arrays (0-d for single numbers) or words.
        metadata: names to arrays, words or further mappings; an array of words is an object array of bytes.
        nodes, edges: for a graph, its content in file order; None for any other node.
    """

    type: str
    fields: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    nodes: Mapping[str, RawNode] | None = None
    edges: tuple[Edge, ...] | None = None


@dataclass(frozen=True)
class Notice:
    """Something odd in a file that does not stop it from being read."""

    message: str
    node: str | None = None
    field: str | None = None


@dataclass(frozen=True)
class RawFile:
    """A whole file: its root node, the version it claims, its digest if it has one, and what was odd."""

    node: RawNode
    version: str | None
    digest: str | None = None
    notices: tuple[Notice, ...] = ()
