"""Where the nodes of a graph go in a drawing: in layers from top to bottom, every edge downwards but those of cycles.

The method is Sugiyama's: edges that close a cycle are turned round, each node gets the longest path from the inputs as
its layer, edges over several layers get a way point in each, every layer is ordered by the middle of its neighbours,
and places are found by least squares. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nirjax.ir.cycles import feedback_edges, in_order
from nirjax.ir.graph import Edge

_SWEEPS = 8
_GAP = 0.3
_WAY_POINT = 0.25

Place = tuple[float, int]


@dataclass(frozen=True)
class Layout:
    """A drawing's geometry.

    Attributes:
        places: node to its middle: x in units of length, and its layer, 0 at the top.
        routes: edge to the points that it goes through, from its source to its destination; both included.
        backward: edges that go against the layers, self-loops not included.
        loops: edges from a node to itself.
        width: of the whole drawing.
        layers: how many there are.
    """

    places: dict[str, Place]
    routes: dict[Edge, tuple[Place, ...]]
    backward: frozenset[Edge]
    loops: frozenset[Edge]
    width: float
    layers: int


def layout(names: Sequence[str], edges: Sequence[Edge], starts: Sequence[str], widths: dict[str, float]) -> Layout:
    """Lay nodes and edges out.

    Args:
        names, edges, starts: the graph; starts are its inputs.
        widths: node to the width of its box.
    """
    loops = frozenset(edge for edge in edges if edge[0] == edge[1])
    plain = [edge for edge in edges if edge not in loops]
    backward = frozenset(feedback_edges(names, plain, starts))
    downward = {edge: (edge[1], edge[0]) if edge in backward else edge for edge in plain}
    layer_of = _layers(names, list(dict.fromkeys(downward.values())))
    rows: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=0) + 1)]
    for name in names:
        rows[layer_of[name]].append(name)
    sizes = dict(widths)
    chains: dict[Edge, list[str]] = {}
    for number, (edge, (top, bottom)) in enumerate(downward.items()):
        chain = [top]
        for layer in range(layer_of[top] + 1, layer_of[bottom]):
            point = f"\0{number} {layer}"
            rows[layer].append(point)
            sizes[point] = _WAY_POINT
            chain.append(point)
        chains[edge] = [*chain, bottom]
    above, below = _neighbours(chains)
    rows = _ordered(rows, above, below)
    x = _placed(rows, above, below, sizes)
    left = min((x[name] - sizes[name] / 2 for name in x), default=0.0)
    right = max((x[name] + sizes[name] / 2 for name in x), default=1.0)
    level = {name: row for row, members in enumerate(rows) for name in members}
    place = {name: (x[name] - left, level[name]) for name in x}
    routes = {
        edge: tuple(place[name] for name in (reversed(chain) if edge in backward else chain))
        for edge, chain in chains.items()
    }
    return Layout({name: place[name] for name in names}, routes, backward, loops, right - left, len(rows))


def _layers(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The longest way from above; a node without sources goes right above its first destination."""
    layer = dict.fromkeys(names, 0)
    order = in_order(names, edges)
    after: dict[str, list[str]] = {name: [] for name in names}
    entered = set()
    for source, destination in edges:
        after[source].append(destination)
        entered.add(destination)
    for name in order:
        for target in after[name]:
            layer[target] = max(layer[target], layer[name] + 1)
    for name in names:
        if name not in entered and after[name]:
            layer[name] = min(layer[target] for target in after[name]) - 1
    return layer


def _neighbours(chains: dict[Edge, list[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain in chains.values():
        for top, bottom in pairwise(chain):
            above.setdefault(bottom, []).append(top)
            below.setdefault(top, []).append(bottom)
    return above, below


def _ordered(rows: list[list[str]], above: dict[str, list[str]], below: dict[str, list[str]]) -> list[list[str]]:
    """Each layer in the order of the mean rank of its neighbours, downwards and upwards in turn; the best is kept."""
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            near = above if down else below
            rank = {name: place for other in rows for place, name in enumerate(other)}
            middle = {
                name: sum(rank[other] for other in near[name]) / len(near[name]) if near.get(name) else rank[name]
                for name in row
            }
            row.sort(key=middle.__getitem__)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _crossings(rows: list[list[str]], below: dict[str, list[str]]) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        rank = {name: place for place, name in enumerate(lower)}
        ends = [sorted(rank[name] for name in below.get(top, ())) for top in upper]
        seen: list[int] = []
        for group in ends:
            total += sum(sum(1 for other in seen if other > end) for end in group)
            seen += group
    return total


def _placed(
    rows: list[list[str]], above: dict[str, list[str]], below: dict[str, list[str]], sizes: dict[str, float]
) -> dict[str, float]:
    """x of everything: as near to the mean of its neighbours as order and widths allow."""
    x: dict[str, float] = {}
    for row in rows:
        at = -sum(sizes[name] + _GAP for name in row) / 2
        for name in row:
            x[name] = at + (sizes[name] + _GAP) / 2
            at += sizes[name] + _GAP
    for sweep in range(2 * _SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wished = []
            for name in row:
                near = (above.get(name, []) if sweep % 2 == 0 else below.get(name, [])) or [name]
                if sweep >= 2 * _SWEEPS - 2:
                    near = [*above.get(name, []), *below.get(name, [])] or [name]
                wished.append(sum(x[other] for other in near) / len(near))
            apart = [(sizes[a] + sizes[b]) / 2 + _GAP for a, b in pairwise(row)]
            x.update(zip(row, _spread(wished, apart), strict=True))
    return x


def _spread(wished: list[float], apart: list[float]) -> list[float]:
    """The places nearest to the wished ones, in least squares, that lie at least `apart` (pool adjacent violators)."""
    offsets = [0.0]
    for gap in apart:
        offsets.append(offsets[-1] + gap)
    blocks: list[tuple[float, int]] = []
    for value, offset in zip(wished, offsets, strict=True):
        blocks.append((value - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks.pop(-2), blocks.pop()
            blocks.append(((a * n + b * m) / (n + m), n + m))
    flat = [value for value, count in blocks for _ in range(count)]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]
