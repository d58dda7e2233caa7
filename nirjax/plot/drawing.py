"""A picture of a graph: nodes in layers, cycles and delayed edges plain to see."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.errors import NIRError
from nirjax.ir.cycles import components, feedback_edges
from nirjax.ir.graph import Edge
from nirjax.ir.inline import FlatGraph, inline
from nirjax.ir.nodes import NIRNode
from nirjax.ir.reference import as_graph
from nirjax.ir.shapes import infer_shapes
from nirjax.plot.canvas import COLOURS, GREY, axes_of
from nirjax.plot.layers import Layout, Place, layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = 0.17
_CHARACTER = 0.083
_BETWEEN = 0.36
_MARGIN = 0.25
_LONGEST_NAME = 34

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ports": ("#D9D9D9", ("Input", "Output")),
    "weights": ("#BFE3D6", ("Affine", "Linear", "Scale", "Conv1d", "Conv2d")),
    "spiking neurons": ("#B3D4EA", ("LIF", "CubaLIF", "IF", "Threshold")),
    "integrators": ("#DDF0FB", ("LI", "CubaLI", "I")),
    "delays": ("#F8DFA8", ("Delay",)),
    "pooling and reshaping": ("#F9F5BE", ("SumPool2d", "AvgPool2d", "Flatten")),
}
"""What a node's colour says: a tint of the palette, and the node types that have it."""

_OTHER = ("other", "#EFDCE7")


def graph(
    graph: Any,
    *,
    ax: Axes | None = None,
    feedback: Sequence[Edge] | None = None,
    parameters: bool = False,
    title: str | None = None,
) -> Axes:
    """The graph from top to bottom. Nodes on a cycle have a strong outline; an edge that delivers what it carried one
    step before is dashed and marked.

    Args:
        graph: a `nirjax.NIRGraph`, a path, a `nir.NIRGraph`, or a Model, whose own delayed edges are then drawn.
        ax: where to draw; by default a figure as large as the graph needs.
        feedback: delayed edges, by dotted names; by default those of a depth-first search from the inputs.
        parameters: write each node's parameters, with their ranges, into its box.
        title: above the drawing.

    Raises:
        FileError, GraphError: the graph cannot be read.
        MissingExtraError: matplotlib is not installed.
    """
    flat, delayed = flat_with_delays(graph, feedback)
    texts = _texts(flat, parameters)
    sizes = {name: 0.2 + _CHARACTER * max(map(len, lines)) for name, lines in texts.items()}
    geometry = layout(list(flat.nodes), flat.edges, flat.inputs, sizes)
    rows = _Rows.of(geometry, {name: 0.12 + _LINE * len(lines) for name, lines in texts.items()})
    looped = on_cycles(flat)
    legend = _legend(flat, looped, delayed)
    width = max(geometry.width, 2.2) + 2 * _MARGIN + (0.5 if geometry.loops else 0)
    below = 0.2 * len(legend) + 0.1
    height = rows.total + 2 * _MARGIN + below
    ax = axes_of(ax, width, height + (0.3 if title else 0))
    ax.set_axis_off()
    ax.set_xlim(geometry.width / 2 - width / 2, geometry.width / 2 + width / 2)
    ax.set_ylim(rows.total + _MARGIN + below, -_MARGIN)
    ax.set_aspect("equal")
    scale = _scale(ax, width, height)
    for edge in flat.edges:
        _edge(ax, edge, geometry, rows, sizes, edge in delayed, scale)
    for name, lines in texts.items():
        _box(ax, geometry.places[name], rows, lines, sizes[name], colour_of(flat.nodes[name])[1], name in looped, scale)
    for row, (kind, colour, style) in enumerate(legend):
        _legend_row(ax, ax.get_xlim()[0] + _MARGIN, rows.total + 0.3 + 0.2 * row, kind, colour, style, scale)
    if title:
        ax.set_title(title, fontsize=11 * scale, loc="left")
    return ax


def flat_with_delays(graph: Any, feedback: Sequence[Edge] | None) -> tuple[FlatGraph, frozenset[Edge]]:
    """The graph laid out flat, and its delayed edges; a Model brings its own."""
    own = getattr(graph, "program", None)
    if own is not None:
        from nirjax.ir.ports import with_ports

        feedback = graph.feedback if feedback is None else feedback
        flat = inline(with_ports(graph.graph))
    else:
        flat = inline(as_graph(graph))
    if feedback is None:
        feedback = feedback_edges(list(flat.nodes), flat.edges, flat.inputs)
    return flat, frozenset((source, destination) for source, destination in feedback)


def on_cycles(flat: FlatGraph) -> frozenset[str]:
    """The nodes that lie on a cycle."""
    found = components(list(flat.nodes), flat.edges)
    return frozenset(name for part in found if len(part) > 1 or (part[0], part[0]) in set(flat.edges) for name in part)


def _texts(flat: FlatGraph, parameters: bool) -> dict[str, list[str]]:
    """The lines in each node's box: its name; its type and what it gives; its parameters."""
    try:
        shapes = {name: signal.output for name, signal in infer_shapes(flat).items()}
    except NIRError:
        shapes = {}
    texts = {}
    for name, node in flat.nodes.items():
        shape = shapes.get(name)
        size = "" if shape is None else "  " + " x ".join(map(str, shape))
        lines = [_shortened(name), f"{type(node).__name__}{size}"]
        if parameters:
            lines += [f"{field} {spread(getattr(node, field))}" for field in type(node).parameter_names()]
        texts[name] = lines
    return texts


def spread(values: Any) -> str:
    """One number, or the range of an array."""
    array = np.asarray(values)
    if array.size == 0:
        return "empty"
    low, high = float(array.min()), float(array.max())
    return f"{low:.4g}" if low == high else f"{low:.3g} to {high:.3g}"


def _shortened(name: str) -> str:
    half = _LONGEST_NAME // 2 - 1
    shown = name if name.isprintable() else ascii(name)[1:-1]
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:half]}...{shown[-half:]}"


def colour_of(node: NIRNode) -> tuple[str, str]:
    """What kind of node it is, in words, and the colour that says so."""
    for kind, (colour, types) in KINDS.items():
        if type(node).__name__ in types:
            return kind, colour
    return _OTHER


class _Rows:
    """Where layers lie: top and bottom of each box."""

    def __init__(self, middles: list[float], heights: dict[str, float], total: float) -> None:
        self.middles, self.heights, self.total = middles, heights, total

    @classmethod
    def of(cls, geometry: Layout, heights: dict[str, float]) -> _Rows:
        tallest = [0.0] * geometry.layers
        for name, (_, layer) in geometry.places.items():
            tallest[layer] = max(tallest[layer], heights[name])
        middles, at = [], 0.0
        for height in tallest:
            middles.append(at + height / 2)
            at += height + _BETWEEN
        return cls(middles, heights, max(at - _BETWEEN, 0.5))

    def point(self, place: Place) -> tuple[float, float]:
        return place[0], self.middles[place[1]]


def _scale(ax: Axes, width: float, height: float) -> float:
    """Points per inch of the drawing, as a share of what they are where the axes are as large as the drawing."""
    figure = ax.get_figure(root=True)
    if figure is None:
        return 1.0
    box = ax.get_position()
    size = figure.get_size_inches()
    return float(np.clip(min(box.width * size[0] / width, box.height * size[1] / height), 0.2, 1.15))


def _box(
    ax: Axes, place: Place, rows: _Rows, lines: list[str], width: float, colour: str, looped: bool, scale: float
) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = rows.point(place)
    height = 0.12 + _LINE * len(lines)
    corner = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=colour,
        edgecolor=COLOURS["vermilion"] if looped else GREY,
        linewidth=(1.8 if looped else 0.8) * scale,
        zorder=3,
    )
    ax.add_patch(corner)
    for row, line in enumerate(lines):
        at = y - height / 2 + 0.06 + _LINE * (row + 0.52)
        weight = "bold" if row == 0 else "normal"
        size = (9 if row == 0 else 8) * scale
        ax.text(x, at, line, ha="center", va="center", fontsize=size, fontweight=weight, zorder=4, parse_math=False)


def _edge(
    ax: Axes, edge: Edge, geometry: Layout, rows: _Rows, sizes: dict[str, float], delayed: bool, scale: float
) -> None:
    """An edge as a smooth line through its points, with an arrow at its end."""
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    if edge in geometry.loops:
        points, codes, label = _loop(rows.point(geometry.places[edge[0]]), sizes[edge[0]] / 2)
    else:
        route = _ends(edge, geometry, rows, sizes)
        points, codes = _curve(route)
        label = ((route[0][0] + route[1][0]) / 2, (route[0][1] + route[1][1]) / 2)
    colour = COLOURS["vermilion"] if delayed else "#444444"
    style = (0, (3, 2)) if delayed else "-"
    line = Path(points, codes)
    ax.add_patch(
        PathPatch(
            line, fill=False, color=colour, linewidth=(1.5 if delayed else 1.1) * scale, linestyle=style, zorder=2
        )
    )
    (x0, y0), (x, y) = points[-2:]
    length = float(np.hypot(x - x0, y - y0)) or 1.0
    along = np.array([(x - x0) / length, (y - y0) / length])
    across = np.array([-along[1], along[0]]) * 0.04
    back = np.array([x, y]) - 0.1 * along
    ax.add_patch(
        Polygon(
            np.stack([np.array([x, y]), back + across, back - across]),
            closed=True,
            color=colour,
            linewidth=0,
            zorder=2.5,
        )
    )
    if delayed:
        ax.text(
            *label, "-1 step", fontsize=7.5 * scale, color=colour, ha="center", va="center", zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        )  # fmt: skip


def _ends(edge: Edge, geometry: Layout, rows: _Rows, sizes: dict[str, float]) -> list[tuple[float, float]]:
    """The way of an edge from box to box. One that goes up keeps to the side, beside the one that comes down."""
    up = edge in geometry.backward
    route = [rows.point(place) for place in geometry.routes[edge]]
    side = -1 if route[0][0] < route[-1][0] else 1
    for at, name in ((0, edge[0]), (-1, edge[1])):
        x, y = route[at]
        half = rows.heights[name] / 2
        leaves_below = (at == 0) != up
        route[at] = (x + (side * 0.3 * sizes[name] if up else 0.0), y + half if leaves_below else y - half)
    return route


def _curve(route: list[tuple[float, float]]) -> tuple[list[tuple[float, float]], list[int]]:
    """Cubic pieces that leave and reach each point vertically."""
    points, codes = [route[0]], [1]
    for (x0, y0), (x1, y1) in pairwise(route):
        middle = (y0 + y1) / 2
        points += [(x0, middle), (x1, middle), (x1, y1)]
        codes += [4, 4, 4]
    return points, codes


def _loop(place: tuple[float, float], half: float) -> tuple[list[tuple[float, float]], list[int], tuple[float, float]]:
    """From the right side of a box back to it."""
    x, y = place[0] + half, place[1]
    points = [(x, y - 0.09), (x + 0.42, y - 0.26), (x + 0.42, y + 0.26), (x, y + 0.09)]
    return points, [1, 4, 4, 4], (x + 0.32, y)


def _legend(flat: FlatGraph, looped: frozenset[str], delayed: frozenset[Edge]) -> list[tuple[str, str, str]]:
    present = {colour_of(node) for node in flat.nodes.values()}
    order = [*((kind, colour) for kind, (colour, _) in KINDS.items()), _OTHER]
    rows = [(kind, colour, "box") for kind, colour in order if (kind, colour) in present]
    if looped:
        rows.append(("on a cycle: runs step by step", COLOURS["vermilion"], "outline"))
    if delayed:
        rows.append(("delivers what it carried one step before", COLOURS["vermilion"], "dashed"))
    return rows


def _legend_row(ax: Axes, x: float, y: float, text: str, colour: str, style: str, scale: float) -> None:
    from matplotlib.patches import Rectangle

    if style == "dashed":
        ax.plot([x, x + 0.22], [y, y], color=colour, linestyle=(0, (3, 2)), linewidth=1.6 * scale)
    else:
        face = colour if style == "box" else "none"
        edge, width = (GREY, 0.6) if style == "box" else (colour, 1.6)
        patch = Rectangle((x, y - 0.06), 0.22, 0.12, facecolor=face, edgecolor=edge, linewidth=width * scale)
        ax.add_patch(patch)
    ax.text(x + 0.3, y, text, fontsize=7.5 * scale, va="center", ha="left")
