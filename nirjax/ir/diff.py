"""Where two graphs differ in content: names, edges, types, dtypes, shapes, values bit for bit, metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.errors import quoted
from nirjax.ir.fields import FrozenDict, spec_of
from nirjax.ir.graph import NIRGraph
from nirjax.ir.nodes import NIRNode
from nirjax.ir.reference import as_graph


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        kind: "node", "node order", "type", "edge", "edge order", "field", "dtype", "shape", "value" or "metadata".
        node: path of the node concerned; the empty string is the graph itself.
        field: the node's field, or the path inside its metadata; None where the whole node is meant.
        a, b: what each graph has; None where it has nothing.
        note: how much differs, in words.
    """

    kind: str
    node: str
    field: str | None
    a: Any
    b: Any
    note: str = ""

    def __str__(self) -> str:
        where = "the graph" if self.node == "" else quoted(self.node)
        where += f", {self.field}" if self.field is not None else ""
        note = f" ({self.note})" if self.note else ""
        if self.a is None:
            return f"{where}: {self.kind} only in b: {_brief(self.b)}{note}"
        if self.b is None:
            return f"{where}: {self.kind} only in a: {_brief(self.a)}{note}"
        return f"{where}: {self.kind} {_brief(self.a)} in a, {_brief(self.b)} in b{note}"


def diff(a: Any, b: Any) -> list[Difference]:
    """Every difference in content between two graphs; empty if they are identical.

    The order of nodes and of edges is content too (feedback edges are found in that order) and has kinds of its own.
    Values are compared bit for bit: -0 is not 0, a NaN equals itself. A word list in metadata is its words.

    Args:
        a, b: a NIRGraph, a `nir.NIRGraph` or a path each.

    Raises:
        What `as_graph` raises.
    """
    return list(_graphs(as_graph(a), as_graph(b), ""))


def _graphs(a: NIRGraph, b: NIRGraph, path: str) -> Iterator[Difference]:
    for name in dict.fromkeys([*a.nodes, *b.nodes]):
        where = f"{path}.{name}" if path else name
        one, other = a.nodes.get(name), b.nodes.get(name)
        if one is None or other is None:
            yield Difference("node", where, None, one, other)
        elif type(one).__name__ != type(other).__name__:
            yield Difference("type", where, None, type(one).__name__, type(other).__name__)
        elif isinstance(one, NIRGraph) and isinstance(other, NIRGraph):
            yield from _graphs(one, other, where)
        else:
            yield from _nodes(one, other, where)
    common = [[name for name in one.nodes if name in other.nodes] for one, other in ((a, b), (b, a))]
    if common[0] != common[1]:
        yield Difference("node order", path, "nodes", tuple(common[0]), tuple(common[1]))
    yield from _edges(a, b, path)
    yield from _mappings(a.metadata, b.metadata, path, "metadata")


def _edges(a: NIRGraph, b: NIRGraph, path: str) -> Iterator[Difference]:
    counts, others = Counter(a.edges), Counter(b.edges)
    for edge in dict.fromkeys([*a.edges, *b.edges]):
        missing = counts[edge] - others[edge]
        note = f"{abs(missing)} times" if abs(missing) > 1 or (counts[edge] and others[edge]) else ""
        if missing > 0:
            yield Difference("edge", path, "edges", edge, None, note)
        elif missing < 0:
            yield Difference("edge", path, "edges", None, edge, note)
    if counts == others and a.edges != b.edges:
        at = next(i for i, (one, other) in enumerate(zip(a.edges, b.edges, strict=True)) if one != other)
        yield Difference("edge order", path, "edges", a.edges[at], b.edges[at], f"first at position {at}")


def _nodes(a: NIRNode, b: NIRNode, path: str) -> Iterator[Difference]:
    for name in a.field_names():
        stored = spec_of(type(a), name).stored or name
        yield from _values(_plain(getattr(a, name)), _plain(getattr(b, name, None)), path, stored, "field")
    yield from _mappings(a.metadata, b.metadata, path, "metadata")


def _plain(value: Any) -> Any:
    """The array inside a `{port: shape}`, anything else as it is."""
    return next(iter(value.values())) if isinstance(value, FrozenDict) and len(value) == 1 else value


def _mappings(a: Mapping[str, Any], b: Mapping[str, Any], path: str, field: str) -> Iterator[Difference]:
    for name in dict.fromkeys([*a, *b]):
        one, other = a.get(name), b.get(name)
        here = f"{field}.{name}"
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _mappings(one, other, path, here)
        elif name not in a or name not in b or isinstance(one, Mapping) or isinstance(other, Mapping):
            yield Difference("metadata", path, here, one, other)
        else:
            yield from _values(one, other, path, here, "metadata")


def _values(a: Any, b: Any, path: str, field: str, kind: str) -> Iterator[Difference]:
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        if not (type(a) is type(b) and a == b):
            yield Difference(kind if a is None or b is None else "value", path, field, a, b)
        return
    one, other = _comparable(a), _comparable(b)
    if one.dtype != other.dtype:
        yield Difference("dtype", path, field, str(one.dtype), str(other.dtype))
    if one.shape != other.shape:
        yield Difference("shape", path, field, one.shape, other.shape)
    elif one.dtype == other.dtype:
        yield from _bits(one, other, path, field)
    elif not np.array_equal(one, other, equal_nan=one.dtype.kind in "fc" and other.dtype.kind in "fc"):
        yield Difference("value", path, field, one, other)


def _bits(a: np.ndarray, b: np.ndarray, path: str, field: str) -> Iterator[Difference]:
    if a.dtype.kind in "OUS" or a.size == 0:
        differs = np.asarray(a != b)
    else:
        pairs = (np.ascontiguousarray(x).reshape(-1).view(np.uint8).reshape(x.size, -1) for x in (a, b))
        one, other = pairs
        differs = (one != other).any(axis=1).reshape(a.shape)
    count = int(np.count_nonzero(differs))
    if not count:
        return
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(differs)), differs.shape))
    note = f"{count} of {a.size} differ, first at {list(at)}" if a.ndim else ""
    if a.dtype.kind in "fiub" and a.ndim:
        gap = np.abs(a[differs].astype(np.float64) - b[differs].astype(np.float64))
        note += f", by at most {np.nanmax(gap) if not np.all(np.isnan(gap)) else np.nan:.3g}"
    yield Difference("value", path, field, a[at], b[at], note)


def _comparable(value: Any) -> np.ndarray:
    """The array; words, however they are kept, as an array of str."""
    array = np.asarray(value)
    if array.dtype.kind not in "OU":
        return array
    words = [
        item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in array.ravel().tolist()
    ]
    result = np.empty(len(words), dtype=object)
    result[:] = words
    return result.reshape(array.shape)


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"{value.dtype}{list(value.shape)}"
    return value if isinstance(value, str) else quoted(value.item() if isinstance(value, np.generic) else value)
