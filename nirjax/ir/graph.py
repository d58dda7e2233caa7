"""The graph: named nodes and the edges between them, nested without limit.

Source: the NIR specification, https://neuroir.org/docs/, and the package `nir` 1.0.8.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.errors import GraphError, NIRError, NIRWarning, quoted
from nirjax.ir.fields import FrozenDict
from nirjax.ir.nodes import Input, NIRNode, Output, Shape
from nirjax.ir.raw import DEEPEST
from nirjax.ir.raw import Edge as Edge

if TYPE_CHECKING:
    import nir


@dataclass(frozen=True, eq=False, repr=False)
class NIRGraph(NIRNode):
    """A directed graph of nodes; itself a node of a larger graph.

    An edge carries the output of its source to its destination; a node that several edges enter receives their
    sum. An edge names a node of this graph or a port of a subgraph (`"sub.in1"`); an exact node name wins.

    Args:
        nodes: names to nodes, in file order.
        edges: pairs (source, destination), in file order. The same pair twice acts once, with a NIRWarning.
        metadata: carried along.

    Raises:
        GraphError: an edge to or from a node that does not exist, an empty name, a nesting that is too deep.
    """

    nodes: Mapping[str, NIRNode] = dataclasses.field(default_factory=FrozenDict)
    edges: tuple[Edge, ...] = ()

    if TYPE_CHECKING:
        # What may be given is more than what is kept.
        def __init__(
            self,
            nodes: Mapping[str, NIRNode] = ...,
            edges: Iterable[Edge] = ...,
            *,
            metadata: Mapping[str, Any] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", FrozenDict(_checked_nodes(self.nodes)))
        object.__setattr__(self, "edges", _checked_edges(self.edges))
        object.__setattr__(self, "metadata", FrozenDict.deep(self.metadata))
        sources, destinations = set(), set()
        for edge in self.edges:
            if edge[0] not in sources:
                self.source(edge)
                sources.add(edge[0])
            if edge[1] not in destinations:
                self.destination(edge)
                destinations.add(edge[1])
        repeated = [edge for edge, count in Counter(self.edges).items() if count > 1]
        if repeated:
            warnings.warn(
                f"field 'edges': {quoted(repeated)} appear twice; an edge acts once", NIRWarning, stacklevel=3
            )

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        return ("nodes", "edges")

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        return ()

    @property
    def inputs(self) -> dict[str, Input]:
        """The graph's Input nodes by name, in file order."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, Input)}

    @property
    def outputs(self) -> dict[str, Output]:
        """The graph's Output nodes by name, in file order."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, Output)}

    @property
    def input_type(self) -> dict[str, np.ndarray | None]:
        """Shapes of the Input nodes by name."""
        return {name: node.input_type["input"] for name, node in self.inputs.items()}

    @property
    def output_type(self) -> dict[str, np.ndarray | None]:
        """Shapes of the Output nodes by name."""
        return {name: node.output_type["output"] for name, node in self.outputs.items()}

    def gives(self, shape: Shape) -> Shape:
        raise GraphError("a subgraph has ports, not one shape")

    def source(self, edge: Edge) -> tuple[str, ...]:
        """Path of the node that the edge comes from: a node, or the Output of a subgraph."""
        return _endpoint(self, edge[0], edge, Output)

    def destination(self, edge: Edge) -> tuple[str, ...]:
        """Path of the node that the edge goes to: a node, or the Input of a subgraph."""
        return _endpoint(self, edge[1], edge, Input)

    @staticmethod
    def from_list(*nodes: NIRNode | list[NIRNode]) -> NIRGraph:
        """A chain of nodes, named by type (`lif`, `lif_1`, ...), with an Input and an Output added where missing.

        Raises:
            GraphError: no node, or a first or last node whose shape its fields leave open.
        """
        chain: list[NIRNode] = []
        for item in nodes:
            chain.extend(item if isinstance(item, list | tuple) else [item])
        if not chain:
            raise GraphError("a chain needs at least one node")
        if not isinstance(chain[0], Input):
            chain.insert(0, Input(_known(chain[0], chain[0].input_type.get("input"))))
        if not isinstance(chain[-1], Output):
            chain.append(Output(_known(chain[-1], chain[-1].output_type.get("output"))))
        counts: Counter[str] = Counter()
        named: dict[str, NIRNode] = {}
        for node in chain:
            base = type(node).__name__.lower()
            named[f"{base}_{counts[base]}" if counts[base] else base] = node
            counts[base] += 1
        names = list(named)
        return NIRGraph(named, tuple(itertools.pairwise(names)))

    def to_reference(self) -> nir.NIRGraph:
        """The same graph as an object of the reference package `nir` (an extra: `pip install nirjax[nir]`)."""
        from nirjax.ir.reference import to_reference

        return to_reference(self)

    def __repr__(self) -> str:
        lines = [f"  {quoted(name)}: {node!r}".replace("\n", "\n  ") for name, node in self.nodes.items()]
        return "\n".join(["NIRGraph(", *lines, f"  edges={list(self.edges)}", ")"])

    def __reduce__(self) -> tuple[Any, ...]:
        return (_quietly, (dict(self.nodes), self.edges, dict(self.metadata)))


_COMPARED = 20_000
"""Characters of names, at most, among which one that may be meant is looked for."""


def _quietly(nodes: dict[str, NIRNode], edges: tuple[Edge, ...], metadata: dict[str, Any]) -> NIRGraph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NIRWarning)
        return NIRGraph(nodes, edges, metadata=metadata)


def _known(node: NIRNode, shape: np.ndarray | None) -> np.ndarray:
    if shape is None:
        raise GraphError(
            "the shape of the chain's end is not known",
            found=repr(node),
            hint="Put an Input first and an Output last, or give the node its input shape.",
        )
    return shape


def _checked_nodes(nodes: Any) -> dict[str, NIRNode]:
    if not isinstance(nodes, Mapping):
        raise GraphError("nodes is a mapping of names to nodes", field="nodes", found=type(nodes).__name__)
    for name, node in nodes.items():
        if not isinstance(name, str) or not name or "\0" in name:
            raise GraphError("a node's name is a text without NUL", field="nodes", node=str(name), found=quoted(name))
        if not isinstance(node, NIRNode):
            raise GraphError("not a NIR node", node=name, found=type(node).__name__, expected="a nirjax.ir node")
    return dict(nodes)


def _checked_edges(edges: Iterable[Any]) -> tuple[Edge, ...]:
    pairs = []
    for edge in edges:
        if not isinstance(edge, tuple | list) or len(edge) != 2:
            raise GraphError("an edge is a pair of names", node="", field="edges", found=quoted(edge))
        a, b = edge
        if not isinstance(a, str) or not isinstance(b, str):
            raise GraphError("an edge is a pair of names", node="", field="edges", found=quoted(edge))
        pairs.append((a, b))
    return tuple(pairs)


def _endpoint(graph: NIRGraph, name: str, edge: Edge, port: type[Input] | type[Output]) -> tuple[str, ...]:
    """Resolve one end of an edge to the path of a node, through as many subgraphs as the name goes."""
    if name in graph.nodes:
        node = graph.nodes[name]
        return (name, _only_port(node, name, edge, port)) if isinstance(node, NIRGraph) else (name,)
    for first, rest in splits(name):
        inner = graph.nodes.get(first)
        if isinstance(inner, NIRGraph) and isinstance(inner.nodes.get(rest), port):
            return (first, rest)
    names = _endpoints(graph, port)
    close = difflib.get_close_matches(name[:200], names, n=1) if sum(map(len, names)) < _COMPARED else []
    raise GraphError(
        f"the edge {quoted(edge)} names no node and no port of a subgraph",
        node=name,
        field="edges",
        found=quoted(name),
        expected=f"one of {quoted(names)}",
        hint=f"Did you mean {quoted(close[0])}?" if close else None,
    )


def splits(name: str) -> Iterator[tuple[str, str]]:
    """The ways in which a name can be that of a subgraph, a dot, and that of a port in it, the longest first. A name of
    more dots than subgraphs can be nested is that of a node, or of nothing."""
    if name.count(".") <= DEEPEST:
        at = name.rfind(".")
        while at > 0:
            yield name[:at], name[at + 1 :]
            at = name.rfind(".", 0, at)


def _only_port(node: NIRGraph, name: str, edge: Edge, port: type[Input] | type[Output]) -> str:
    ports = [key for key, inner in node.nodes.items() if isinstance(inner, port)]
    if len(ports) != 1:
        raise GraphError(
            f"the edge {quoted(edge)} needs one {port.__name__} in the subgraph",
            node=name,
            field="nodes",
            found=quoted(ports) if ports else f"no {port.__name__}",
            expected=f"one {port.__name__}, or an edge that says which: {quoted(f'{name}.<port>')}",
        )
    return ports[0]


def _endpoints(graph: NIRGraph, port: type[Input] | type[Output]) -> list[str]:
    names = list(graph.nodes)
    for key, node in graph.nodes.items():
        if isinstance(node, NIRGraph):
            names += [f"{key}.{inner}" for inner, value in node.nodes.items() if isinstance(value, port)]
    return names


def depth_of(graph: NIRGraph) -> int:
    """Levels of subgraphs: 1 for a graph without any."""
    level, depth = [graph], 0
    while level:
        depth += 1
        level = [node for one in level for node in one.nodes.values() if isinstance(node, NIRGraph)]
    return depth


def located_in_graph(error: NIRError) -> NIRError:
    """The error, said of the graph as a whole where it names no node."""
    return error if error.node is not None else error.located(node="")
