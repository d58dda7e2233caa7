"""The digest of a graph's content: of one in memory, and of what a file holds, the same for the same content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nirjax.errors import ParameterError
from nirjax.ir.construction import plain_fields, plain_value
from nirjax.ir.graph import NIRGraph
from nirjax.ir.nodes import NIRNode
from nirjax.ir.raw import RawNode


def content_digest(graph: NIRGraph) -> str:
    """`digest_of` what a file of this graph holds."""
    return digest_of(_raw(graph))


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


def _raw(node: NIRNode) -> RawNode:
    """The plain data of a node, unchecked: a graph that no file can hold, for its names say, has a digest too."""
    metadata = _lenient(node.metadata)
    if isinstance(node, NIRGraph):
        nodes = {name: _raw(inner) for name, inner in node.nodes.items()}
        return RawNode("NIRGraph", {}, metadata, nodes, node.edges)
    return RawNode(type(node).__name__, plain_fields(node), metadata)


def _lenient(mapping: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in mapping.items():
        try:
            plain[name] = _lenient(value) if isinstance(value, Mapping) else plain_value(value, name)
        except ParameterError:
            plain[name] = f"{type(value).__name__} {value!r}"
    return plain
