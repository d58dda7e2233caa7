"""A graph in Graphviz's language, for its tools and all that read it; nothing has to be installed for it.

Source: the DOT language, https://graphviz.org/doc/info/lang.html.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from nirjax.errors import NIRError
from nirjax.ir.graph import Edge
from nirjax.ir.inline import FlatGraph, Path
from nirjax.ir.shapes import infer_shapes
from nirjax.plot.canvas import COLOURS, GREY
from nirjax.plot.drawing import colour_of, flat_with_delays, on_cycles, spread

_RED = f'"{COLOURS["vermilion"]}"'
_DELAYED = f'style=dashed, color={_RED}, fontcolor={_RED}, label="-1 step", tailport=w, headport=w'


def to_dot(
    graph: Any, *, feedback: Sequence[Edge] | None = None, parameters: bool = False, title: str | None = None
) -> str:
    """The graph as DOT: `dot -Tsvg graph.dot` draws it.

    It looks as what `nirjax.plot.graph` draws: nodes coloured by kind, those on a cycle with a strong outline, an edge
    that delivers what it carried one step before dashed and marked; subgraphs are clusters. Whatever the names are,
    they stay text.

    Args:
        graph: a `nirjax.NIRGraph`, a path, a `nir.NIRGraph`, or a Model, whose own delayed edges are then marked.
        feedback: delayed edges, by dotted names; by default those of a depth-first search from the inputs.
        parameters: write each node's parameters, with their ranges, below it.
        title: above the drawing.

    Raises:
        FileError, GraphError: the graph cannot be read.
    """
    flat, delayed = flat_with_delays(graph, feedback)
    looped, numbers = on_cycles(flat), {name: f"n{place}" for place, name in enumerate(flat.nodes)}
    lines = [
        "digraph {",
        "  rankdir=TB;",
        f'  node [shape=box, style="rounded,filled", color="{GREY}", fontname=Helvetica];',
    ]
    lines.append("  edge [fontname=Helvetica, fontsize=10];")
    if title:
        lines.append(f"  label={quoted([title])}; labelloc=t;")
    texts = _texts(flat, parameters)
    nodes = {
        name: f"{numbers[name]} [{_attributes(texts[name], colour_of(node)[1], name in looped)}];"
        for name, node in flat.nodes.items()
    }
    lines += _clustered({flat.paths[name]: line for name, line in nodes.items()}, (), "  ", itertools.count())
    for source, destination in flat.edges:
        mark = f" [{_DELAYED}]" if (source, destination) in delayed else ""
        lines.append(f"  {numbers[source]} -> {numbers[destination]}{mark};")
    return "\n".join([*lines, "}", ""])


def quoted(lines: Sequence[str]) -> str:
    """Lines of text as a string of DOT, in which nothing has a meaning of its own."""

    def escaped(text: str) -> str:
        shown = text if text.isprintable() else ascii(text)[1:-1]
        return shown.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")

    return '"' + "\\n".join(map(escaped, lines)) + '"'


def _attributes(lines: Sequence[str], colour: str, looped: bool) -> str:
    outline = f", color={_RED}, penwidth=2.2" if looped else ""
    return f'label={quoted(lines)}, fillcolor="{colour}"{outline}'


def _texts(flat: FlatGraph, parameters: bool) -> dict[str, list[str]]:
    """The lines in each node: its name inside its subgraph, its type and what it gives, its parameters."""
    try:
        shapes = {name: signal.output for name, signal in infer_shapes(flat).items()}
    except NIRError:
        shapes = {}
    texts = {}
    for name, node in flat.nodes.items():
        size = "" if name not in shapes else "  " + " x ".join(map(str, shapes[name]))
        texts[name] = [flat.paths[name][-1], f"{type(node).__name__}{size}"]
        if parameters:
            texts[name] += [f"{field} {spread(getattr(node, field))}" for field in type(node).parameter_names()]
    return texts


def _clustered(nodes: dict[Path, str], above: Path, indent: str, numbers: itertools.count[int]) -> list[str]:
    """The nodes of a subgraph, and its own subgraphs around theirs."""
    lines: list[str] = []
    inside: dict[Path, dict[Path, str]] = {}
    for path, line in nodes.items():
        if len(path) == len(above) + 1:
            lines.append(f"{indent}{line}")
        else:
            inside.setdefault(path[: len(above) + 1], {})[path] = line
    for cluster, members in inside.items():
        lines += [f"{indent}subgraph cluster_{next(numbers)} {{", f"{indent}  label={quoted([cluster[-1]])};"]
        lines += [*_clustered(members, cluster, indent + "  ", numbers), f"{indent}}}"]
    return lines
