"""The data of a graph in NIR's own data format: observables by node, nested as the graph is.

Names and fields are those of the reference package `nir`, whose objects are taken wherever data is, and given back by
`NIRGraphData.to_reference`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from nirjax.data.observables import EventData, Observable, TimeGriddedData, ValuedEventData
from nirjax.errors import DataError, MissingExtraError, NIRError, quoted
from nirjax.ir.fields import FrozenDict
from nirjax.ir.inline import FlatGraph, inline
from nirjax.ir.nodes import NIRNode
from nirjax.ir.reference import as_graph
from nirjax.ir.shapes import known_shapes

if TYPE_CHECKING:
    import nir

Path = tuple[str, ...]

KINDS: dict[str, type[Observable]] = {
    kind.__name__: kind for kind in (TimeGriddedData, EventData, ValuedEventData)
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class NIRNodeData:
    """What was observed at one node.

    Args:
        observables: names, such as "spikes" or "v", to what was observed.

    Raises:
        DataError: something else under a name, or a name that is no text.
    """

    observables: Mapping[str, Observable]

    def __post_init__(self) -> None:
        object.__setattr__(self, "observables", _checked(self.observables, "observables", TimeGriddedData | EventData))

    def check_observables(self, node: NIRNode) -> bool:
        """Has every observable as many neurons as the node gives values? None is wrong while its shape is not known."""
        shape = node.output_type.get("output")
        return shape is None or all(one.n_neurons == math.prod(map(int, shape)) for one in self.observables.values())


@dataclass(frozen=True, eq=False)
class NIRGraphData:
    """One batch of what was observed in a graph.

    Args:
        nodes: names of nodes to their data, and of subgraphs to the data of theirs.

    Raises:
        DataError: something else under a name, or a name that is no text.
    """

    nodes: Mapping[str, NIRGraphData | NIRNodeData]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", _checked(self.nodes, "nodes", NIRGraphData | NIRNodeData))

    def check_nodes(self, graph: Any) -> None:
        """Hold the data against a graph: a `nirjax.NIRGraph`, a path, or a `nir.NIRGraph`.

        Raises:
            DataError: a node that the graph does not have, a node where the graph has a subgraph or the other way
                round, a number of neurons that is not the node's.
        """
        flat = inline(as_graph(graph))
        names = {path: name for name, path in flat.paths.items()}
        shapes = _shapes(flat)
        for path, name, observable in self.walk():
            if path not in names:
                inside = any(known[: len(path)] == path for known in names)
                raise DataError(
                    "data of one node where the graph has a subgraph" if inside else "the graph has no such node",
                    node=".".join(path), field="nodes", expected=f"some of {quoted(sorted(flat.nodes))}",
                )  # fmt: skip
            shape = shapes.get(names[path])
            if shape is not None and observable.n_neurons != math.prod(shape):
                raise DataError(
                    "not the node's number of neurons", node=names[path], field=name, found=observable.n_neurons,
                    expected=f"{math.prod(shape)}, of shape {shape}",
                )  # fmt: skip

    def walk(self) -> Iterator[tuple[Path, str, Observable]]:
        """Every observable: the path of its node, its name, itself."""
        for name, inner in self.nodes.items():
            if isinstance(inner, NIRGraphData):
                yield from (((name, *path), key, observable) for path, key, observable in inner.walk())
            else:
                yield from (((name,), key, observable) for key, observable in inner.observables.items())

    @staticmethod
    def of(observables: Mapping[tuple[Path, str], Observable]) -> NIRGraphData:
        """The data whose `walk` gives these observables.

        Raises:
            DataError: a node that has observables and nodes inside.
        """
        here: dict[str, dict[str, Observable]] = {}
        below: dict[str, dict[tuple[Path, str], Observable]] = {}
        for (path, name), observable in observables.items():
            if len(path) == 1:
                here.setdefault(path[0], {})[name] = observable
            else:
                below.setdefault(path[0], {})[path[1:], name] = observable
        for name in here.keys() & below.keys():
            raise DataError("a node has no nodes inside", node=name, found=quoted(sorted(map(str, below[name]))))
        order = dict.fromkeys(path[0] for path, _ in observables)
        return NIRGraphData(
            {name: NIRNodeData(here[name]) if name in here else NIRGraphData.of(below[name]) for name in order}
        )

    def to_reference(self) -> nir.NIRGraphData:
        """The same data as an object of the reference package (an extra: `pip install 'nirjax[nir]'`).

        Raises:
            MissingExtraError: `nir` is not installed.
        """
        try:
            import nir
        except ImportError:
            raise MissingExtraError(
                "the reference package is not installed", expected="nir", hint="pip install 'nirjax[nir]' brings it."
            ) from None
        return _to_reference(self, nir)


def from_reference(data: Any, path: str = "") -> NIRGraphData:
    """The same data as a nirjax.data.NIRGraphData, of a `nir.NIRGraphData`.

    Raises:
        DataError: naming the node and the field.
    """
    nodes: dict[str, NIRGraphData | NIRNodeData] = {}
    for name, inner in data.nodes.items():
        here = f"{path}.{name}" if path else str(name)
        if type(inner).__name__ == "NIRGraphData":
            nodes[str(name)] = from_reference(inner, here)
        elif type(inner).__name__ == "NIRNodeData":
            observables = {str(key): _observable(one, here, str(key)) for key, one in inner.observables.items()}
            nodes[str(name)] = NIRNodeData(observables)
        else:
            raise DataError("this is no NIR data", node=here, found=type(inner).__name__, expected="NIRNodeData")
    return NIRGraphData(nodes)


def made(kind: str, content: Mapping[str, Any], node: str, name: str) -> Observable:
    """An observable of this kind.

    Raises:
        DataError: naming the node, and the observable and its field as `<observable>.<field>`.
    """
    try:
        return KINDS[kind](**content)
    except NIRError as error:
        place = error.located(node=node)
        place.field = f"{name}.{place.field}" if place.field else name
        raise place from None


def _observable(one: Any, node: str, name: str) -> Observable:
    kind = type(one).__name__
    if kind not in KINDS:
        raise DataError("no such kind of observable", node=node, field=name, found=kind,
                        expected=f"one of {', '.join(KINDS)}")  # fmt: skip
    return made(kind, {field.name: getattr(one, field.name) for field in fields(KINDS[kind])}, node, name)


def _to_reference(data: Any, nir: Any) -> Any:
    if isinstance(data, NIRGraphData):
        return nir.NIRGraphData({name: _to_reference(inner, nir) for name, inner in data.nodes.items()})
    if isinstance(data, NIRNodeData):
        return nir.NIRNodeData({name: _to_reference(one, nir) for name, one in data.observables.items()})
    content = {field.name: getattr(data, field.name) for field in fields(data)}
    copied = {name: value.copy() if hasattr(value, "copy") else value for name, value in content.items()}
    return getattr(nir, type(data).__name__)(**copied)


def _checked(mapping: Any, field: str, kinds: Any) -> FrozenDict:
    if not isinstance(mapping, Mapping):
        raise DataError(f"{field} is a mapping by name", field=field, found=type(mapping).__name__)
    for name, value in mapping.items():
        if not isinstance(name, str) or not name or "\0" in name:
            raise DataError("a name is a text without NUL", field=field, found=quoted(name))
        if not isinstance(value, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds.__args__)
            raise DataError("not data", node=name, field=field, found=type(value).__name__, expected=expected)
    return FrozenDict(mapping)


def _shapes(flat: FlatGraph) -> dict[str, tuple[int, ...]]:
    try:
        return {name: signal.output for name, signal in known_shapes(flat).items()}
    except NIRError:
        return {}
