"""`nirjax.data.read` and `nirjax.data.write`: files of NIR data, without the reference package."""

from __future__ import annotations

import os
from typing import Any

from nirjax.data.nir_data import KINDS, NIRGraphData, NIRNodeData, from_reference, made
from nirjax.data.observables import Observable
from nirjax.errors import DataError, FileError, NIRError, NIRWarning, RepairWarning, quoted
from nirjax.ir.hdf5 import check_digest, content_of, tell
from nirjax.ir.raw import RawNode, check_depth


def read(
    path: str | os.PathLike[str], *, repair: bool = False, trusted: bool = False, max_bytes: int | None = None
) -> NIRGraphData:
    """Read a file of NIR data, as `nir.write_data` and `nirjax.data.write` make them.

    As safe as `nirjax.read`: a worker process with limits reads the file, whatever its bytes.

    Args:
        path: the file.
        repair: take content that is not what was written, with a RepairWarning.
        trusted: read in this process: faster, and a damaged file may crash or hang HDF5.
        max_bytes: the most data that the file may hold; by default the larger of 256 MiB and 64 times the file's size.

    Raises:
        FileError: the file cannot be opened, is damaged, asks for too much, or points outside itself.
        GraphError: it is no file of NIR data, or its structure is wrong.
        DataError, ParameterError: an observable that is none, naming node and field.
    """
    name = os.fspath(path)
    try:
        raw = content_of(name, None, trusted=trusted, max_bytes=max_bytes)
        mends = check_digest(raw, repair)
        data = _graph(raw.node, "")
    except NIRError as error:
        located = error.located(file=name)
        if isinstance(error, FileError) and error.hint:
            located.hint = error.hint.replace("nirjax.read", "nirjax.data.read")
        raise located from None
    tell(name, [*((mend, RepairWarning) for mend in mends), *((notice, NIRWarning) for notice in raw.notices)])
    return data


def write(path: str | os.PathLike[str], data: Any, *, compression: str | int | None = "gzip") -> None:
    """Write a file of NIR data that `nir.read_data` reads too, subgraphs included.

    The file appears whole or not at all, as that of `nirjax.write`.

    Args:
        path: the file; an existing one is replaced.
        data: a NIRGraphData; a `nir.NIRGraphData` will do.
        compression: "gzip" or a level 0-9, "lzf", "szip", or None. Small arrays are stored as they are.

    Raises:
        DataError: no data, or a name that HDF5 cannot hold. GraphError: subgraphs nested too deep to be read again.
        FileError: the file cannot be written.
    """
    from nirjax.ir.atomic import replace_file
    from nirjax.ir.data_writing import data_serialised

    try:
        replace_file(path, data_serialised(_raw(as_graph_data(data), ""), compression=compression))
    except NIRError as error:
        raise error.located(file=os.fspath(path)) from None


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Does a file begin as those of NIR data do? Nothing but its first bytes is looked at."""
    try:
        with open(path, "rb") as file:
            return file.read(8) == b"\x89HDF\r\n\x1a\n"
    except OSError:
        return False


def _graph(raw: RawNode, path: str) -> NIRGraphData:
    nodes: dict[str, NIRGraphData | NIRNodeData] = {}
    for name, inner in (raw.nodes or {}).items():
        here = f"{path}.{name}" if path else name
        if inner.type == "NIRGraphData":
            nodes[name] = _graph(inner, here)
        else:
            observables = {key: made(one.type, one.fields, here, key) for key, one in (inner.nodes or {}).items()}
            nodes[name] = NIRNodeData(observables)
    return NIRGraphData(nodes)


def _raw(data: NIRGraphData | NIRNodeData, path: str, depth: int = 1) -> RawNode:
    nodes: dict[str, RawNode] = {}
    if isinstance(data, NIRNodeData):
        for name, one in data.observables.items():
            if "/" in name:
                raise DataError("HDF5 cannot hold such a name", node=path, field="observables", found=quoted(name))
            nodes[_name(name, path)] = _leaf(one)
        return RawNode("NIRNodeData", {}, {}, nodes)
    for name, inner in data.nodes.items():
        here = f"{path}.{name}" if path else name
        parts = name.split("/")
        if any("/".join(parts[:end]) in data.nodes for end in range(1, len(parts))):
            raise DataError("the node would lie inside another node's group", node=here, found=quoted(name))
        check_depth(depth + len(parts) - 1, here)
        nodes[_name(name, path)] = _raw(inner, here, depth + len(parts))
    return RawNode("NIRGraphData", {}, {}, nodes)


def _leaf(one: Observable) -> RawNode:
    kind = type(one).__name__
    assert kind in KINDS
    return RawNode(kind, dict(one.__dict__))


def _name(name: str, path: str) -> str:
    try:
        name.encode("utf-8")
        held = all(part not in ("", ".") for part in name.split("/"))
    except UnicodeEncodeError:
        held = False
    if not held:
        raise DataError("HDF5 cannot hold such a name", node=path or None, found=quoted(name))
    return name


def as_graph_data(source: Any) -> NIRGraphData:
    """Data from whatever stands for it: a NIRGraphData, a `nir.NIRGraphData`, or the path of a file of NIR data.

    Raises:
        DataError: something else. What `nirjax.data.read` raises.
    """
    if isinstance(source, NIRGraphData):
        return source
    if type(source).__name__ == "NIRGraphData" and hasattr(source, "nodes"):
        return from_reference(source)
    if hasattr(source, "__fspath__") or isinstance(source, str):
        return read(source)
    raise DataError("this is no NIR data", found=type(source).__name__, expected="NIRGraphData, or a path")
