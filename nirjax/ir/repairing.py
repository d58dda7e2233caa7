"""Mends of what exporters are known to get wrong, where only one thing can have been meant.

`mend_content` works on plain data, before there are nodes; `mend_shapes` on the finished graph. Each mend is a Notice.
"""

from __future__ import annotations

import dataclasses
import difflib
import unicodedata
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from nirjax.errors import NIRError, quoted
from nirjax.ir.construction import stored_names
from nirjax.ir.graph import NIRGraph, splits
from nirjax.ir.inline import FlatGraph, Path, inline
from nirjax.ir.nodes import Input, NIRNode, Output, Scale, Shape
from nirjax.ir.raw import Notice, RawNode
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
    unknown = [end for end, node in ends.items() if node is None]
    alike: dict[str, list[str]] = defaultdict(list)
    for name in nodes if unknown else ():
        alike[_plain(name)].append(name)
    meant = {end: alike[_plain(end)] for end in unknown}
    renamed = {end: names[0] for end, names in meant.items() if len(names) == 1}
    unknown = [end for end in unknown if end not in renamed]
    named = {*ends.values(), *renamed.values()}
    idle = [name for name in nodes if name not in named]
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
    return next((first for first, _ in splits(end) if first in nodes and nodes[first].nodes is not None), None)


# ------------------------------------------------------------------------------------------------ after construction


def mend_shapes(graph: NIRGraph) -> tuple[NIRGraph, list[Notice]]:
    """The graph with the shapes of Inputs and Outputs mended where other nodes contradict them, and what was done."""
    done: list[Notice] = []
    for wrong in (_wrong_inputs, _wrong_outputs):
        flat = inline(graph)
        found = wrong(flat)
        if found:
            graph = _replaced(
                graph, {flat.paths[name]: _with_shape(flat.nodes[name], found[name][0]) for name in found}
            )
            done += [Notice(text, name, "shape") for name, (_, text) in found.items()]
    return graph, done


def _wrong_inputs(flat: FlatGraph) -> dict[str, tuple[Shape, str]]:
    """Inputs whose leading axes of size 1 (an exporter's sample batch) none of their successors takes: the shape that
    each should have, and words for it. Inner ones come first: an Input may lead to another."""
    after: dict[str, list[str]] = defaultdict(list)
    for a, b in flat.edges:
        after[a].append(b)
    nodes, found = dict(flat.nodes), {}
    for name in reversed(flat.nodes):
        node, led_to = flat.nodes[name], [nodes[successor] for successor in after[name]]
        if not isinstance(node, Input) or all(_takes(one, node.shape) for one in led_to):
            continue
        ones = next((at for at, size in enumerate(node.shape) if size != 1), len(node.shape))
        shapes = (node.shape[cut:] for cut in range(1, min(ones + 1, len(node.shape))))
        shape = next((shape for shape in shapes if all(_takes(one, shape) for one in led_to)), None)
        if shape is not None:
            nodes[name] = _with_shape(node, shape)
            found[name] = shape, f"shape {node.shape} has leading axes that nothing takes; it becomes {shape}"
    return dict(reversed(found.items()))


def _wrong_outputs(flat: FlatGraph) -> dict[str, tuple[Shape, str]]:
    """Outputs whose shape is not that of what enters them: the shape that each should have, and words for it."""
    anything = Scale(np.array(1, np.float32))
    nodes = {name: anything if isinstance(node, Output) else node for name, node in flat.nodes.items()}
    try:
        known = known_shapes(dataclasses.replace(flat, nodes=nodes))
    except NIRError:
        return {}
    return {
        name: (known[name].input, f"shape {node.shape} is not its source's; it becomes {known[name].input}")
        for name, node in flat.nodes.items()
        if isinstance(node, Output) and name in known and known[name].input != node.shape
    }


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


def _replaced(graph: NIRGraph, changed: Mapping[Path, NIRNode]) -> NIRGraph:
    """The graph with other nodes at these paths."""
    nodes = dict(graph.nodes)
    inner: dict[str, dict[Path, NIRNode]] = defaultdict(dict)
    for path, node in changed.items():
        if len(path) == 1:
            nodes[path[0]] = node
        else:
            inner[path[0]][path[1:]] = node
    for name, below in inner.items():
        within = nodes[name]
        assert isinstance(within, NIRGraph)
        nodes[name] = _replaced(within, below)
    return NIRGraph(nodes, graph.edges, metadata=graph.metadata)
