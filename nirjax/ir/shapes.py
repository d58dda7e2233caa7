"""Shape inference: what flows along every edge, for graphs in any node order, recurrent and nested ones too.

The rule is one pass of a worklist: a node whose input shape is known (from its own fields, or from any edge that
enters it) gives its output shape to its successors, until nothing new is learnt. Then every edge is checked.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

from nirjax.errors import GraphError, ShapeError, quoted
from nirjax.ir.inline import FlatGraph
from nirjax.ir.nodes import NIRNode, Shape


@dataclass(frozen=True)
class Signal:
    """Shapes of one time step of one sample at a node."""

    input: Shape
    output: Shape


def infer_shapes(flat: FlatGraph) -> dict[str, Signal]:
    """The shapes at every node.

    Raises:
        ShapeError: an edge whose two ends differ (naming the destination, its field and the source), or a node
            whose shape neither its fields nor its neighbours tell.
    """
    known = known_shapes(flat)
    for name, node in flat.nodes.items():
        if name not in known:
            raise ShapeError(
                "the shape of its input is not known",
                node=name,
                found=repr(node),
                hint="Connect it to an Input, or give it its input shape.",
            )
    return {name: known[name] for name in flat.nodes}


def known_shapes(flat: FlatGraph) -> dict[str, Signal]:
    """The shapes at every node where they can be told.

    Raises:
        ShapeError: an edge whose two ends differ, naming the destination, its field and the source.
    """
    successors: dict[str, list[str]] = defaultdict(list)
    for source, destination in flat.edges:
        successors[source].append(destination)
    arriving: dict[str, Shape] = {}
    leaving: dict[str, Shape] = {}
    queue: deque[str] = deque()
    for name, node in flat.nodes.items():
        own = node.accepts()
        if own is not None:
            arriving[name] = own
            queue.append(name)
    while queue:
        name = queue.popleft()
        if name in leaving:
            continue
        leaving[name] = _output(name, flat.nodes[name], arriving[name])
        for after in successors[name]:
            if after not in arriving:
                arriving[after] = leaving[name]
                queue.append(after)
    _check_edges(flat, leaving)
    return {name: Signal(arriving[name], shape) for name, shape in leaving.items()}


def _output(name: str, node: NIRNode, shape: Shape) -> Shape:
    try:
        return node.gives(shape)
    except (ShapeError, GraphError) as error:
        raise error.located(node=name) from None


def _check_edges(flat: FlatGraph, leaving: dict[str, Shape]) -> None:
    fitting: set[tuple[str, Shape]] = set()
    for source, destination in flat.edges:
        if source not in leaving or (destination, leaving[source]) in fitting:
            continue
        fitting.add((destination, leaving[source]))
        try:
            flat.nodes[destination].gives(leaving[source])
        except ShapeError as error:
            error = error.located(node=destination)
            error.message = f"what the edge from {quoted(source)} brings does not fit"
            raise error from None
    entering: dict[str, tuple[str, Shape]] = {}
    for source, destination in flat.edges:
        if source in leaving:
            first, shape = entering.setdefault(destination, (source, leaving[source]))
            if shape != leaving[source]:
                raise ShapeError(
                    "two edges bring different shapes",
                    node=destination,
                    found=f"{leaving[source]} from {quoted(source)} and {shape} from {quoted(first)}",
                )
