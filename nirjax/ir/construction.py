"""From plain data to nodes and back."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from nirjax.errors import ArgumentError, FileError, GraphError, NIRError, ParameterError, quoted
from nirjax.ir.fields import REQUIRED, FrozenDict, spec_of
from nirjax.ir.graph import NIRGraph
from nirjax.ir.nodes import NODE_TYPES, NIRNode
from nirjax.ir.raw import DEEPEST, RawFile, RawNode, check_depth

FORMAT = "1.0.8"
"""The version of the format that nirjax writes, and the newest that it knows."""


def known_types(node_types: Iterable[type[NIRNode]] = ()) -> dict[str, type[NIRNode]]:
    """NIR's node types and a user's own, by name; raises ArgumentError for one that is no NIRNode, or takes a name."""
    types = dict(NODE_TYPES)
    for cls in node_types:
        if not (isinstance(cls, type) and issubclass(cls, NIRNode)):
            raise ArgumentError(
                "not a node type", field="node_types", found=quoted(cls), expected="a subclass of NIRNode"
            )
        if cls.__name__ in (*NODE_TYPES, "NIRGraph"):
            raise ArgumentError("NIR has a node type of this name", field="node_types", found=cls.__name__)
        types[cls.__name__] = cls
    return types


def stored_names(cls: type[NIRNode]) -> Mapping[str, str]:
    """The names of a node type's fields in a file, to those in Python."""
    return _stored_names(cls)  # type: ignore[arg-type]


@functools.cache
def _stored_names(cls: type[NIRNode]) -> Mapping[str, str]:
    return MappingProxyType({spec_of(cls, name).stored or name: name for name in cls.field_names()})


def check_version(file: RawFile) -> str | None:
    """A warning's text where the version is newer than nirjax knows.

    Raises:
        FileError: it is no version, or of a format that may mean something else.
    """
    if file.version is None:
        return None
    found = re.fullmatch(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:[.+-]?[A-Za-z][\w.+-]*|\+[\w.+-]+)?", file.version)
    if found is None:
        raise FileError(
            "not a version of the format", field="version", found=quoted(file.version), expected="like 1.0.8"
        )
    numbers = tuple(int(n or 0) for n in found.groups())
    if numbers[0] > 1:
        raise FileError(
            "a version of the format that nirjax does not know",
            field="version",
            found=quoted(file.version),
            expected=f"at most {FORMAT}, or a later 1.x",
        )
    newer = numbers > tuple(int(n) for n in FORMAT.split("."))
    return (
        f"version {file.version} of the format is newer than {FORMAT}, the newest that nirjax knows" if newer else None
    )


def build(node: RawNode, types: Mapping[str, type[NIRNode]], path: str = "") -> NIRNode:
    """The node, with all that is in it.

    Raises:
        NIRError: naming the node, by its path from the root, and the field.
    """
    try:
        if node.nodes is None:
            return _build_leaf(node, types)
        built = dict(_built_nodes(node.nodes, types, path))
        nodes = {name: built[name] for name in node.nodes}
    except NIRError as error:
        raise (error if error.node is not None else error.located(node=path)) from None
    try:
        return NIRGraph(nodes, node.edges or (), metadata=node.metadata)
    except NIRError as error:
        raise (error.inside(path) if path else error.located(node="")) from None


def _built_nodes(
    nodes: Mapping[str, RawNode], types: Mapping[str, type[NIRNode]], path: str
) -> Iterator[tuple[str, NIRNode]]:
    """Ports last: their shapes follow from the other nodes, whose faults are to be named first."""
    for name in sorted(nodes, key=lambda name: nodes[name].type in ("Input", "Output")):
        yield name, build(nodes[name], types, f"{path}.{name}" if path else name)


def _build_leaf(node: RawNode, types: Mapping[str, type[NIRNode]]) -> NIRNode:
    cls = types[node.type]
    given: dict[str, Any] = {}
    for stored, name in stored_names(cls).items():
        if stored in node.fields:
            given[name] = node.fields[stored]
        elif spec_of(cls, name).default is REQUIRED:
            given[name] = REQUIRED
    return cls(**given, metadata=node.metadata)


def unbuild(node: NIRNode, types: Mapping[str, type[NIRNode]], path: str = "", depth: int = 1) -> RawNode:
    """The plain data of a node, ready to be written.

    Raises:
        GraphError: a node type that is not in `types`, a name that HDF5 cannot hold, nesting that is not read again.
        ParameterError: metadata that HDF5 cannot hold, or nested too deep.
    """
    try:
        metadata = _plain_mapping(node.metadata, "metadata")
    except ParameterError as error:
        raise error.located(node=path) from None
    if isinstance(node, NIRGraph):
        check_names(node, path)
        nodes = {}
        for name, inner in node.nodes.items():
            where, lower = f"{path}.{name}" if path else name, depth + name.count("/")
            check_depth(lower, where)
            nodes[name] = unbuild(inner, types, where, lower + 1)
        return RawNode("NIRGraph", {}, metadata, nodes, node.edges)
    cls = type(node)
    if types.get(cls.__name__) is not cls:
        raise GraphError("a node type that NIR does not have", node=path, field="type", found=cls.__name__)
    return RawNode(cls.__name__, plain_fields(node), metadata)


def plain_fields(node: NIRNode) -> dict[str, Any]:
    """The fields of a node that is no graph, by the names that they have in a file."""
    fields: dict[str, Any] = {}
    for stored, name in stored_names(type(node)).items():
        value = getattr(node, name)
        if isinstance(value, FrozenDict):
            value = value[spec_of(type(node), name).port]
        if value is not None:
            fields[stored] = value
    return fields


def check_names(graph: NIRGraph, path: str) -> None:
    """Raise GraphError for a node name that HDF5 cannot hold: a part between slashes that is empty or ".", text that
    is not Unicode, or a name that would lie inside another node."""
    for name in graph.nodes:
        where = f"{path}.{name}" if path else name
        if any(part in ("", ".") for part in name.split("/")):
            raise GraphError("HDF5 cannot hold such a name", node=where, field="nodes", found=quoted(name))
        if not _is_unicode(name):
            raise GraphError("the name is not Unicode text", node=where, field="nodes", found=quoted(name))
        parts = name.split("/")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in graph.nodes:
                raise GraphError(
                    "the node would lie inside another node's group",
                    node=where,
                    field="nodes",
                    found=f"{quoted(name)} beside {quoted('/'.join(parts[:end]))}",
                    hint="Rename one of them: a slash in a name is a level in the file.",
                )


def _plain_mapping(mapping: Mapping[str, Any], path: str, depth: int = 1) -> dict[str, Any]:
    if depth > DEEPEST:
        raise ParameterError("metadata is nested too deep", field=path, expected=f"at most {DEEPEST} levels")
    result = {}
    for name, value in mapping.items():
        here = f"{path}.{name}"
        if name in ("", ".") or "/" in name or "\0" in name or not _is_unicode(name):
            raise ParameterError("HDF5 cannot hold such a name", field=here, found=quoted(name))
        result[name] = (
            _plain_mapping(value, here, depth + 1) if isinstance(value, Mapping) else plain_value(value, here)
        )
    return result


def plain_value(value: Any, path: str) -> Any:
    """A value of metadata as it is kept in a file: a string, or an array; raises ParameterError for anything else."""
    if isinstance(value, str | bytes):
        return _word(value, path).decode()
    array = np.asarray(value)
    if array.dtype.kind in "UO":
        words = np.empty(array.shape, dtype=object)
        for at, item in np.ndenumerate(array):
            words[at] = _word(item, path)
        return words
    if array.dtype.kind not in "biufcS" or array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        if array.dtype.kind == "S":
            return array
        raise ParameterError(
            "metadata holds strings, numbers, arrays of them, and mappings",
            field=path,
            found=f"{type(value).__name__} of dtype {array.dtype}",
        )
    return array


def _word(value: Any, path: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if not isinstance(data, bytes):
        raise ParameterError(
            "metadata holds strings, numbers, arrays of them, and mappings", field=path, found=type(value).__name__
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise ParameterError("not Unicode text", field=path, found=quoted(value)) from None
    if b"\0" in data:
        raise ParameterError("HDF5 cannot hold a NUL in a string", field=path, found=quoted(value))
    return bytes(data)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
