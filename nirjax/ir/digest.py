"""A digest of a graph's content: equal for equal names, order, edges, types, dtypes, values and metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nirjax.ir.graph import NIRGraph


def content_digest(graph: NIRGraph) -> str:
    """SHA-256 of the graph's content, in hexadecimal."""
    digest = hashlib.sha256()
    for piece in _pieces(graph):
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()


def _pieces(value: Any) -> Iterator[Any]:
    """The content as byte strings, every one preceded by its length when hashed, so that no two contents collide."""
    if isinstance(value, NIRGraph):
        yield b"graph"
        yield from _pieces(dict(value.nodes))
        yield from _pieces([list(edge) for edge in value.edges])
        yield from _pieces(value.metadata)
    elif hasattr(value, "field_names"):
        yield type(value).__name__.encode()
        yield from _pieces({name: getattr(value, name) for name in value.field_names()})
        yield from _pieces(value.metadata)
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)}".encode()
        for key, item in value.items():
            yield str(key).encode()
            yield from _pieces(item)
    elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "OSU":
        yield f"array {value.dtype.str} {value.shape}".encode()
        yield np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    elif isinstance(value, list | tuple | np.ndarray):
        yield f"list {len(value)}".encode()
        for item in value:
            yield from _pieces(item)
    else:
        yield f"{type(value).__name__} {value!r}".encode()
