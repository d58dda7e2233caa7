"""`nirjax.merge_linear`: linear nodes with nothing between them become one.

    Scale s, then Affine, Linear, Conv      W := W s (the columns, the input channels)
    Affine, Linear, Conv, then Scale s      W := s W, b := s b (the rows, the output channels)
    Scale s, then Scale t                   t s
    Affine, then Affine (Linear: b = 0)     W2 W1, W2 b1 + b2, where that leaves fewer weights
    SumPool2d with Scale 1 / window         AvgPool2d, and the other way round

On its way to a node that takes it in, a Scale passes pools (where it is one number for each channel) and Flattens
(where it is one number). New numbers are computed in float64 and rounded once.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nirjax.errors import quoted
from nirjax.ir.graph import Edge, NIRGraph
from nirjax.ir.inline import FlatGraph, inline
from nirjax.ir.nodes import Affine, AvgPool2d, Conv1d, Conv2d, Flatten, Linear, NIRNode, Scale, SumPool2d
from nirjax.ir.raw import Notice
from nirjax.ir.reference import as_graph

MERGED = "merged"
"""Under this name a node's metadata lists the nodes that it stands for, in the order of the signal."""

_Pool = SumPool2d | AvgPool2d


def merge_linear(graph: Any) -> NIRGraph:
    """The graph with linear nodes that follow each other merged, where spikes stay as they are but for rounding.

    Two nodes are merged where the one feeds nothing but the other, the other is fed by nothing but the one, both lie
    in one (sub)graph, and no edge between them can be fed back. The merged node has the name of the one that has
    weights, of two of a kind that of the last; its `metadata["merged"]` lists all that it stands for, and it has the
    metadata of all. A merge whose numbers cannot be held to the precision of the source is left out.

    Args:
        graph: a NIRGraph, a `nir.NIRGraph` or a path.

    Raises:
        GraphError: nesting too deep, edges into an Input or out of an Output.
    """
    return merged(as_graph(graph))[0]


def merged(graph: NIRGraph) -> tuple[NIRGraph, list[Notice]]:
    """The graph with linear nodes merged, and what was done."""
    with np.errstate(all="ignore"):
        return _merged_level(graph, (), _Ways(inline(graph)))


def _merged_level(graph: NIRGraph, above: tuple[str, ...], ways: _Ways) -> tuple[NIRGraph, list[Notice]]:
    done: list[Notice] = []
    nodes: dict[str, NIRNode] = {}
    for name, node in graph.nodes.items():
        nodes[name] = node
        if isinstance(node, NIRGraph):
            nodes[name], more = _merged_level(node, (*above, name), ways)
            done += more
    level = _Level(above, nodes, tuple(dict.fromkeys(graph.edges)), {})
    while (found := _first_merge(level, ways)) is not None:
        level, text, name = found
        done.append(Notice(text, ".".join((*above, name))))
    if not done:
        return graph, []
    nodes = {name: _with_members(node, level.members.get(name)) for name, node in level.nodes.items()}
    return NIRGraph(nodes, level.edges, metadata=graph.metadata), done


def _with_members(node: NIRNode, members: Sequence[str] | None) -> NIRNode:
    return node if members is None else dataclasses.replace(node, metadata={**node.metadata, MERGED: list(members)})


# --------------------------------------------------------------------------------------------------- what may merge


class _Ways:
    """Which node leads to which, told from the whole graph as it was read: merging does not change it."""

    def __init__(self, flat: FlatGraph) -> None:
        self.names = {path: name for name, path in flat.paths.items()}
        self.after: dict[str, list[str]] = {name: [] for name in flat.nodes}
        for source, destination in flat.edges:
            self.after[source].append(destination)

    def lead(self, start: tuple[str, ...], end: tuple[str, ...]) -> bool:
        """Does a path of edges go from the one node to the other?"""
        seen, queue, goal = {self.names[start]}, [self.names[start]], self.names[end]
        while queue:
            for name in self.after[queue.pop()]:
                if name == goal:
                    return True
                if name not in seen:
                    seen.add(name)
                    queue.append(name)
        return False


@dataclasses.dataclass(frozen=True)
class _Level:
    """One (sub)graph while its nodes are merged.

    Attributes:
        path: the names that lead to it.
        nodes, edges: its content.
        members: merged node to the names that it stands for, in the order of the signal.
    """

    path: tuple[str, ...]
    nodes: Mapping[str, NIRNode]
    edges: tuple[Edge, ...]
    members: Mapping[str, tuple[str, ...]]

    def may_feed_back(self, source: str, destination: str, ways: _Ways) -> bool:
        """Can the edge, the only one that enters its destination, be a feedback edge?

        The search that chooses feedback edges comes to such a node through this edge, unless it starts there; and it
        never starts at a node that one before it in the file leads to.
        """
        order = list(self.nodes)
        later = order.index(destination) < order.index(source)
        return later and ways.lead((*self.path, destination), (*self.path, source))

    def only_edges(self) -> tuple[dict[str, str], dict[str, str]]:
        """Node to the one that alone follows it and is fed by it alone; and the other way round."""
        leaving = Counter(source for source, _ in self.edges)
        entering = Counter(destination for _, destination in self.edges)
        plain = {name for name, node in self.nodes.items() if not isinstance(node, NIRGraph)}
        there = {edge for edge in self.edges if set(edge) <= plain}
        only = {a: b for a, b in there if leaving[a] == entering[b] == 1 and (b, a) not in there}
        return only, {b: a for a, b in only.items()}

    def without(self, name: str, beside: str, changed: Mapping[str, NIRNode]) -> _Level:
        """The level without a node: its edges are led to or from the one beside it, which stands where the first of
        the two stood."""
        order = [beside if other == name else other for other in self.nodes]
        kept = {**self.nodes, **changed}
        edges = tuple((beside if a == name else a, beside if b == name else b) for a, b in self.edges)
        nodes = {other: kept[other] for other in dict.fromkeys(order)}
        return _Level(self.path, nodes, tuple(edge for edge in edges if edge != (beside, beside)), self.members)

    def told(self, name: str, *members: str) -> _Level:
        """The level, knowing what `name` now stands for."""
        found = tuple(itertools.chain.from_iterable(self.members.get(one, (one,)) for one in members))
        others = {other: names for other, names in self.members.items() if other in self.nodes}
        return dataclasses.replace(self, members={**others, name: found})


def _first_merge(level: _Level, ways: _Ways) -> tuple[_Level, str, str] | None:
    """The level after the first merge that is possible, what was done in words, and the name of the merged node."""
    ahead, behind = level.only_edges()
    for name, node in level.nodes.items():
        if isinstance(node, Scale):
            for way, forward in ((ahead, True), (behind, False)):
                found = _taken_in(level, name, way, forward, ways)
                if found is not None:
                    return found
        elif isinstance(node, Affine | Linear) and name in ahead:
            found = _product(level, name, ahead[name], ways)
            if found is not None:
                return found
    return None


def _taken_in(
    level: _Level, name: str, way: Mapping[str, str], forward: bool, ways: _Ways
) -> tuple[_Level, str, str] | None:
    """A Scale taken in by the nearest node ahead of it (or behind it) that can."""
    scale = level.nodes[name]
    assert isinstance(scale, Scale)
    beside = way.get(name)
    if beside is None or (forward and not _shape_stays_known(level, name, beside)):
        return None
    factor: np.ndarray | None = scale.scale
    for at, place in _along(name, way):
        edge = (at, place) if forward else (place, at)
        if factor is None or level.may_feed_back(*edge, ways):
            return None
        node = level.nodes[place]
        taken = _before(node, factor) if forward else _behind(node, factor)
        if taken is not None:
            taken = dataclasses.replace(taken, metadata={**scale.metadata, **taken.metadata})
            members = (name, place) if forward else (place, name)
            after = level.without(name, beside, {place: taken}).told(place, *members)
            return after, f"takes in the Scale {quoted(name)} {'before' if forward else 'behind'} it", place
        factor = _past(node, factor)
    return None


def _along(name: str, way: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The pairs of nodes from `name` on; a ring is walked once."""
    seen = {name}
    while name in way and way[name] not in seen:
        yield name, way[name]
        name = way[name]
        seen.add(name)


def _shape_stays_known(level: _Level, name: str, beside: str) -> bool:
    """Without the Scale, is it known what enters the node behind it?"""
    return level.nodes[beside].accepts() is not None or any(destination == name for _, destination in level.edges)


def _product(level: _Level, first: str, last: str, ways: _Ways) -> tuple[_Level, str, str] | None:
    """Two Affine or Linear nodes as one, where that has fewer weights."""
    a, b = level.nodes[first], level.nodes[last]
    if not isinstance(a, Affine | Linear) or not isinstance(b, Affine | Linear):
        return None
    outputs, inputs = b.weight.shape[-2], a.weight.shape[-1]
    if a.weight.shape[:-2] != b.weight.shape[:-2] or a.weight.shape[-2] != b.weight.shape[-1]:
        return None
    size = math.prod(a.weight.shape[:-2]) * outputs * inputs
    if size >= a.weight.size + b.weight.size or level.may_feed_back(first, last, ways):
        return None
    node = _composed(a, b)
    if node is None:
        return None
    after = level.without(first, last, {last: node}).told(last, first, last)
    return after, f"takes in the {type(a).__name__} {quoted(first)} before it", last


# ------------------------------------------------------------------------------------------------------ closed forms


def _composed(a: Affine | Linear, b: Affine | Linear) -> NIRNode | None:
    """x -> W2 (W1 x + b1) + b2."""
    metadata = {**a.metadata, **b.metadata}
    weight = _rounded(_exact(b.weight) @ _exact(a.weight), a.weight, b.weight)
    if isinstance(a, Linear) and isinstance(b, Linear):
        return None if weight is None else Linear(weight, metadata=metadata)
    sources = [a.weight, b.weight, *(node.bias for node in (a, b) if isinstance(node, Affine))]
    exact = np.zeros(b.weight.shape[:-1])
    if isinstance(a, Affine):
        exact = exact + np.einsum("...oi,...i->...o", _exact(b.weight), _exact(a.bias))
    if isinstance(b, Affine):
        exact = exact + _exact(b.bias)
    bias = _rounded(exact, *sources)
    return None if weight is None or bias is None else Affine(weight, bias, metadata=metadata)


def _before(node: NIRNode, factor: np.ndarray) -> NIRNode | None:
    """x -> node(factor x) as one node; None where there is none."""
    if isinstance(node, Affine | Linear):
        columns = _exact(factor)[..., None, :] if factor.ndim else _exact(factor)
        return _changed(node, factor, weight=_exact(node.weight) * columns)
    if isinstance(node, Conv1d | Conv2d):
        channels = _by_channel(factor)
        if channels is None:
            return None
        groups, outputs = node.group_count(), node.weight.shape[0]
        each = np.broadcast_to(_exact(channels), (groups * node.weight.shape[1],)).reshape(groups, -1)
        rows = np.repeat(each, outputs // groups, axis=0)
        return _changed(node, factor, weight=_exact(node.weight) * _upright(rows, node.weight.ndim))
    return _behind(node, factor) if isinstance(node, Scale | _Pool) else None


def _behind(node: NIRNode, factor: np.ndarray) -> NIRNode | None:
    """x -> factor node(x) as one node; None where there is none."""
    if isinstance(node, Affine | Linear):
        changes = {"weight": _exact(factor)[..., None] * _exact(node.weight)}
        if isinstance(node, Affine):
            changes["bias"] = _exact(factor) * _exact(node.bias)
        return _changed(node, factor, **changes)
    if isinstance(node, Conv1d | Conv2d):
        channels = _by_channel(factor)
        if channels is None:
            return None
        rows = _exact(channels)
        weight = _upright(rows, node.weight.ndim) * _exact(node.weight)
        return _changed(node, factor, weight=weight, bias=rows * _exact(node.bias))
    if isinstance(node, Scale):
        return _changed(node, factor, scale=_exact(node.scale) * _exact(factor))
    return _exchanged(node, factor) if isinstance(node, _Pool) else None


def _exchanged(pool: _Pool, factor: np.ndarray) -> NIRNode | None:
    """A sum divided by the size of its window is a mean, and a mean times that size a sum."""
    number, size = _one_number(factor), math.prod(pool.window())
    if number is None:
        return None
    wanted = 1 / size if isinstance(pool, SumPool2d) else float(size)
    if abs(float(number) / wanted - 1) > np.finfo(np.float32).eps:
        return None
    other = AvgPool2d if isinstance(pool, SumPool2d) else SumPool2d
    return other(pool.kernel_size, pool.stride, pool.padding, metadata=pool.metadata)


def _past(node: NIRNode, factor: np.ndarray) -> np.ndarray | None:
    """The factor on the other side of a pool or Flatten, on which it acts in the same way; None where it does not."""
    if isinstance(node, Flatten):
        return _one_number(factor)
    if not isinstance(node, _Pool):
        return None
    channels = _by_channel(factor)
    return channels if channels is None or channels.ndim == 0 else channels.reshape(-1, 1, 1)


def _one_number(factor: np.ndarray) -> np.ndarray | None:
    """The factor as a single number, if it is one."""
    first = factor.reshape(-1)[:1]
    return first.reshape(()) if first.size and np.all(factor == first) else None


def _by_channel(factor: np.ndarray) -> np.ndarray | None:
    """The factor as one number, or one for each channel, the first axis; None where it is neither."""
    number = _one_number(factor)
    if number is not None:
        return number
    first = factor.reshape(len(factor), -1)[:, :1]
    return first[:, 0] if factor.ndim > 1 and np.all(factor.reshape(len(factor), -1) == first) else None


def _upright(rows: np.ndarray, axes: int) -> np.ndarray:
    """The array with axes of size 1 behind, as many as it then has `axes`; a single number as it is."""
    return rows.reshape(*rows.shape, *(1,) * (axes - rows.ndim)) if rows.ndim else rows


# ---------------------------------------------------------------------------------------------------------- rounding


def _exact(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


def _changed(node: NIRNode, factor: np.ndarray, **exact: np.ndarray) -> NIRNode | None:
    """The node with fields replaced, rounded once; None where they would lose digits, or would not fit."""
    fields: dict[str, Any] = {}
    for name, value in exact.items():
        source = getattr(node, name)
        rounded = _rounded(value, source, factor)
        if rounded is None or rounded.shape != source.shape:
            return None
        fields[name] = rounded
    return dataclasses.replace(node, **fields)


def _rounded(exact: np.ndarray, *sources: np.ndarray) -> np.ndarray | None:
    """The numbers in the widest of the sources' types, float32 at least; None where they do not fit into it."""
    dtype = np.result_type(
        np.float32, *(source.dtype.newbyteorder("=") for source in sources if source.dtype.kind == "f")
    )
    if not np.isfinite(exact).all():
        return None
    rounded = exact.astype(dtype)
    close = np.abs(rounded - exact) <= np.finfo(dtype).eps * np.abs(exact)
    return rounded if close.all() else None
