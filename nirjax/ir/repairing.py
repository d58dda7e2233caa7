"""Mends of what exporters are known to get wrong, where only one thing can have been meant.

`mend_content` works on plain data, before there are nodes; `mend_shapes` on the finished graph. Each mend is a Notice.
"""

from __future__ import annotations

import dataclasses
import difflib
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np

from nirjax.errors import NIRError, quoted
from nirjax.ir.construction import stored_names
from nirjax.ir.graph import NIRGraph
from nirjax.ir.inline import FlatGraph, Path, inline
from nirjax.ir.nodes import Input, NIRNode, Output, Scale, Shape
from nirjax.ir.raw import DEEPEST, Notice, RawNode
from nirjax.ir.shapes import known_shapes

# ---------------------------------------------------------------------------------------------- before construction


def mend_content(node: RawNode, types: Mapping[str, type[NIRNode]], path: str = "") -> tuple[RawNode, list[Notice]]:
    """The node with edges to misnamed nodes and neurons of mixed scalars and arrays mended, and what was done."""
    if node.nodes is None:
        return _mend_scalars(node, types, path)
    done: list[Notice] = []
    nodes = {}
    for name, inner in node.nodes.items():
        nodes[name], mends = mend_content(inner, types, f"{path}.{name}" if path else name)
        done += mends
    mended, mends = _mend_edges(dataclasses.replace(node, nodes=nodes), path)
    return mended, done + mends


def _mend_scalars(node: RawNode, types: Mapping[str, type[NIRNode]], path: str) -> tuple[RawNode, list[Notice]]:
    """0-d parameters beside full ones take their shape, in nodes whose parameters all have one shape."""
    cls = types[node.type]
    if not cls.elementwise:
        return node, []
    names = [name for name in stored_names(cls) if isinstance(node.fields.get(name), np.ndarray)]
    shapes = {node.fields[name].shape for name in names}
    scalars = [name for name in names if node.fields[name].shape == () and name != "w_in"]
    full = shapes - {()}
    if len(full) != 1 or not scalars:
        return node, []
    shape = full.pop()
    fields = {**node.fields, **{name: np.full(shape, node.fields[name]) for name in scalars}}
    text = f"single numbers beside parameters of shape {shape}; they are repeated"
    return dataclasses.replace(node, fields=fields), [Notice(text, path, ", ".join(scalars))]


def _mend_edges(graph: RawNode, path: str) -> tuple[RawNode, list[Notice]]:
    """An edge to a name that no node has goes to the one node that can have been meant: one whose name differs only
    in case or Unicode form; or, where a single name is unknown and a single node has no edge at all, that node, if its
    name is like it."""
    assert graph.nodes is not None
    nodes = graph.nodes
    ends = {end: _node_of(end, nodes) for edge in graph.edges or () for end in edge}
    renamed = {}
    for end in (end for end, node in ends.items() if node is None):
        alike = [name for name in nodes if _plain(name) == _plain(end)]
        if len(alike) == 1:
            renamed[end] = alike[0]
    unknown = [end for end, node in ends.items() if node is None and end not in renamed]
    idle = [name for name in nodes if name not in ends.values() and name not in renamed.values()]
    if len(unknown) == 1 and len(idle) == 1 and _like(unknown[0], idle[0]):
        renamed[unknown[0]] = idle[0]
    edges = tuple((renamed.get(a, a), renamed.get(b, b)) for a, b in graph.edges or ())
    done = [
        Notice(f"edges name {quoted(end)}, which is not there; they are taken to mean {quoted(name)}", path, "edges")
        for end, name in renamed.items()
    ]
    return dataclasses.replace(graph, edges=edges), done


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _like(end: str, name: str) -> bool:
    """Are two names alike? A path into a node is not like the node."""
    close = difflib.SequenceMatcher(None, _plain(end)[:200], _plain(name)[:200]).ratio() >= 0.6
    return close and not end.startswith((f"{name}.", f"{name}/"))


def _node_of(end: str, nodes: Mapping[str, RawNode]) -> str | None:
    """The node that an end of an edge names, or in which the port that it names would lie."""
    if end in nodes:
        return end
    dots = (at for at in range(len(end) - 1, 0, -1) if end[at] == ".")
    return next((end[:at] for at in dots if end[:at] in nodes and nodes[end[:at]].nodes is not None), None)


# ------------------------------------------------------------------------------------------------ after construction


def mend_shapes(graph: NIRGraph) -> tuple[NIRGraph, list[Notice]]:
    """The graph with the shapes of Inputs and Outputs mended where other nodes contradict them, and what was done."""
    done: list[Notice] = []
    for _ in range(2 * DEEPEST):
        flat = inline(graph)
        found = _wrong_input(flat) or _wrong_output(flat)
        if found is None:
            break
        name, shape, text = found
        path = flat.paths[name]
        graph = _replaced(graph, path, _with_shape(flat.nodes[name], shape))
        done.append(Notice(text, name, "shape"))
    return graph, done


def _wrong_input(flat: FlatGraph) -> tuple[str, Shape, str] | None:
    """An Input whose leading axes of size 1 (an exporter's sample batch) none of its successors takes."""
    for name, node in flat.nodes.items():
        if not isinstance(node, Input):
            continue
        after = [flat.nodes[b] for a, b in flat.edges if a == name]
        if not after or all(_takes(successor, node.shape) for successor in after):
            continue
        for cut in range(1, len(node.shape)):
            if node.shape[cut - 1] != 1:
                break
            shape = node.shape[cut:]
            if all(_takes(successor, shape) for successor in after):
                return name, shape, f"shape {node.shape} has leading axes that nothing takes; it becomes {shape}"
    return None


def _wrong_output(flat: FlatGraph) -> tuple[str, Shape, str] | None:
    """An Output whose shape is not that of what enters it."""
    anything = Scale(np.array(1, np.float32))
    nodes = {name: anything if isinstance(node, Output) else node for name, node in flat.nodes.items()}
    try:
        known = known_shapes(dataclasses.replace(flat, nodes=nodes))
    except NIRError:
        return None
    for name, node in flat.nodes.items():
        if isinstance(node, Output) and name in known and known[name].input != node.shape:
            shape = known[name].input
            return name, shape, f"shape {node.shape} is not its source's; it becomes {shape}"
    return None


def _takes(node: NIRNode, shape: Shape) -> bool:
    try:
        node.gives(shape)
    except NIRError:
        return False
    return True


def _with_shape(node: NIRNode, shape: Shape) -> NIRNode:
    if isinstance(node, Input):
        dtype = node.input_type["input"].dtype
        return Input(np.array(shape, dtype), metadata=node.metadata)
    assert isinstance(node, Output)
    return Output(np.array(shape, node.output_type["output"].dtype), metadata=node.metadata)


def _replaced(graph: NIRGraph, path: Path, node: NIRNode) -> NIRGraph:
    """The graph with another node at `path`."""
    inner: Any = node
    if len(path) > 1:
        below = graph.nodes[path[0]]
        assert isinstance(below, NIRGraph)
        inner = _replaced(below, path[1:], node)
    return NIRGraph({**graph.nodes, path[0]: inner}, graph.edges, metadata=graph.metadata)
