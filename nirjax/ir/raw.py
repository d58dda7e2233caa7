"""The content of a file as plain data: what lies between the bytes on disk and the nodes.

The reader makes it, possibly in another process; construction turns it into nodes; the writer goes the other way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Edge = tuple[str, str]

DEEPEST = 128
"""The most levels of subgraphs inside subgraphs, and of mappings inside metadata."""


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


def digest_of(node: RawNode) -> str:
    """SHA-256 of the content, `sha256:<hex>`: names, types, edges and their order, dtypes, shapes, every bit of the
    values, and metadata. The order of nodes and of fields does not count (HDF5 may not keep it)."""
    digest = hashlib.sha256()
    for part in _node_parts(node):
        digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def _node_parts(node: RawNode) -> Iterator[Any]:
    yield _word("node", node.type)
    yield from _mapping_parts("fields", node.fields)
    yield from _mapping_parts("metadata", node.metadata)
    if node.nodes is not None:
        yield _word("nodes", str(len(node.nodes)))
        for name in sorted(node.nodes):
            yield _word("name", name)
            yield from _node_parts(node.nodes[name])
    if node.edges is not None:
        yield _word("edges", str(len(node.edges)))
        for pair in node.edges:
            yield from (_word("end", end) for end in pair)


def _mapping_parts(kind: str, mapping: Mapping[str, Any]) -> Iterator[Any]:
    yield _word(kind, str(len(mapping)))
    for name in sorted(mapping):
        value = mapping[name]
        yield _word("name", name)
        if isinstance(value, Mapping):
            yield from _mapping_parts("mapping", value)
        elif isinstance(value, str):
            yield _word("word", value)
        else:
            yield from _array_parts(np.asarray(value))


def _array_parts(array: np.ndarray) -> Iterator[Any]:
    if array.dtype == object:
        yield _word("words", str(array.shape))
        yield from (_word("word", text.decode("utf-8", "surrogateescape")) for text in array.ravel().tolist())
        return
    yield _word("array", f"{array.dtype.str} {array.shape}")
    yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b""


def _word(kind: str, text: str) -> bytes:
    """The kind, the length and the text: no two sequences of parts run together to the same bytes."""
    data = text.encode("utf-8", "surrogateescape")
    return b"%s %d:%s;" % (kind.encode(), len(data), data)
