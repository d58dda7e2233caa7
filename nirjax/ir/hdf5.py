"""`nirjax.read` and `nirjax.write`: graphs from and to `.nir` files, without the reference package."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nirjax.errors import ArgumentError, FileError, NIRError, NIRWarning, RepairWarning, quoted
from nirjax.ir.checking import check_graph, notices_of
from nirjax.ir.construction import build, check_version, known_types, stored_names
from nirjax.ir.digest import digest_of
from nirjax.ir.graph import NIRGraph
from nirjax.ir.inline import FlatGraph
from nirjax.ir.limits import Limits
from nirjax.ir.nodes import NIRNode
from nirjax.ir.process import read_apart
from nirjax.ir.raw import Notice, RawFile, RawNode
from nirjax.ir.reference import as_graph
from nirjax.ir.repairing import mend_content, mend_shapes
from nirjax.ir.rewiring import rewired

REWIRE = "rewire"
"""The repair that also rewires recurrent layers."""

MOST_WARNINGS = 20
"""Beyond so many, one more warning says how many there would be."""


def read(
    path: str | os.PathLike[str],
    *,
    repair: bool | str = False,
    trusted: bool = False,
    max_bytes: int | None = None,
    node_types: Iterable[type[NIRNode]] = (),
) -> NIRGraph:
    """Read a graph from a `.nir` file, of any version from 0.1.1 on.

    Whatever the bytes, no other file is opened, nothing hangs and memory stays bounded: the file is read by a worker
    process with limits, which hands over plain arrays.

    Args:
        path: the file.
        repair: True: mend what can be mended without guessing, with one RepairWarning a mend; see
            `nirjax.ir.repairing`. "rewire": that, and lead what enters the weights of a recurrent layer into its
            neuron, as Spyx and snnTorch meant it; see `nirjax.ir.rewiring`.
        trusted: read in this process: a quarter of a second faster, and a damaged file may crash or hang HDF5.
        max_bytes: the most data that the file may hold; by default the larger of 256 MiB and 64 times the file's size.
        node_types: node classes of your own that the file may hold.

    Raises:
        FileError: the file cannot be opened, is damaged, asks for too much, or points outside itself.
        GraphError: the structure is wrong. UnknownNodeError: a node type that is not known.
        ParameterError: a field is missing or has a wrong type, rank, size or value.
        ShapeError: shapes do not fit along an edge.
    """
    name = os.fspath(path)
    if repair not in (False, True, REWIRE):
        raise ArgumentError("no such repair", field="repair", found=repair, expected=f"False, True or {REWIRE!r}")
    types = known_types(node_types)
    try:
        table = {kind: tuple(stored_names(cls)) for kind, cls in types.items()}
        raw = content_of(name, table, trusted=trusted, max_bytes=max_bytes)
        graph, notices = _graph(raw, types, bool(repair))
        if repair == REWIRE:
            graph, mends = rewired(graph)
            notices = [*((mend, RepairWarning) for mend in mends), *notices]
    except NIRError as error:
        raise error.located(file=name) from None
    tell(name, notices)
    return graph


def write(
    path: str | os.PathLike[str], graph: Any, *, compression: str | int | None = "gzip", custom_nodes: bool = False
) -> None:
    """Write a graph to a `.nir` file that every NIR tool reads.

    The file appears whole or not at all: it is made in memory, written beside the target under another name and
    moved there. What was there before stays if anything fails.

    Args:
        path: the file; an existing one is replaced.
        graph: the graph; a `nir.NIRGraph` will do.
        compression: "gzip" or a level 0-9, "lzf", "szip", or None. Small arrays are stored as they are.
        custom_nodes: allow node types that NIR does not have; only nirjax will read them, given their classes.

    Raises:
        GraphError: a custom node without `custom_nodes`, a name that HDF5 cannot hold, edges or shapes that do not fit.
        FileError: the file cannot be written.
    """
    from nirjax.ir.atomic import replace_file
    from nirjax.ir.writing import serialised

    try:
        replace_file(path, serialised(as_graph(graph), compression=compression, custom_nodes=custom_nodes))
    except NIRError as error:
        raise error.located(file=os.fspath(path)) from None


def content_of(
    name: str, table: Mapping[str, tuple[str, ...]] | None, *, trusted: bool, max_bytes: int | None
) -> RawFile:
    """The content of a file, unchecked: of a graph of the node types in `table`, of NIR data for None."""
    limits = Limits.of(_size(name), max_bytes)
    if not trusted:
        return read_apart(os.fsencode(name), table, limits)
    from nirjax.ir.data_reading import walk_of
    from nirjax.ir.reading import read_trusted

    return read_trusted(os.fsencode(name), walk_of(table), limits)


def _size(name: str) -> int:
    """Size of a regular file that holds something; raises FileError for anything else."""
    try:
        found = os.stat(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError("the file cannot be opened", found=reason) from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise FileError("the file cannot be opened", found=kind, expected="a .nir file")
    if found.st_size == 0:  # and nothing that the system makes up on reading, which may never come
        raise FileError("the file is empty", expected="a .nir file")
    return found.st_size


def tell(name: str, notices: Sequence[tuple[Notice, type[NIRWarning]]]) -> None:
    """Warn of what was odd or mended in a file; to be called by the function that the user calls."""
    for notice, kind in notices[:MOST_WARNINGS]:
        text = str(NIRError(notice.message, file=name, node=notice.node, field=notice.field))
        warnings.warn(text, kind, stacklevel=3)
    if len(notices) > MOST_WARNINGS:
        warnings.warn(f"file {quoted(name)}: {len(notices) - MOST_WARNINGS} more of this kind", kind, stacklevel=3)


def _graph(raw: RawFile, types: dict[str, type[NIRNode]], repair: bool) -> tuple[NIRGraph, list[tuple[Notice, Any]]]:
    """The graph and the warnings, with their kinds, that come with it."""
    newer = check_version(raw)
    odd = [*raw.notices, *([Notice(newer, None, "version")] if newer else [])]
    mends = check_digest(raw, repair)
    try:
        graph, flat = _checked(raw.node, types)
    except NIRError as error:
        if not repair:
            raise _with_hint(error, raw, types) from None
        graph, flat, more = _mended(raw.node, types)
        mends += more
    notices = [*odd, *notices_of(graph, flat)]
    return graph, [*((mend, RepairWarning) for mend in mends), *((notice, NIRWarning) for notice in notices)]


def check_digest(raw: RawFile, repair: bool) -> list[Notice]:
    """Hold the content against its digest, if the file has one.

    Returns:
        that it differs, where that is to be repaired.

    Raises:
        FileError: it differs, and is not to be repaired.
    """
    if raw.digest is None or raw.digest == digest_of(raw.node):
        return []
    if not repair:
        raise FileError(
            "the content is not what was written: the file is damaged, or was changed by hand",
            field="digest",
            found=digest_of(raw.node),
            expected=raw.digest,
            hint="If the change was meant, nirjax.read(path, repair=True) takes the content as it is.",
        )
    return [Notice("the content differs from its digest; it is taken as it is", None, "digest")]


def _checked(node: RawNode, types: dict[str, type[NIRNode]]) -> tuple[NIRGraph, FlatGraph]:
    graph = build(node, types)
    assert isinstance(graph, NIRGraph)
    return graph, check_graph(graph)


def _mended(node: RawNode, types: dict[str, type[NIRNode]]) -> tuple[NIRGraph, FlatGraph, list[Notice]]:
    node, first = mend_content(node, types)
    graph = build(node, types)
    assert isinstance(graph, NIRGraph)
    graph, second = mend_shapes(graph)
    return graph, check_graph(graph), first + second


def _with_hint(error: NIRError, raw: RawFile, types: dict[str, type[NIRNode]]) -> NIRError:
    """The error, naming `repair=True` if that would help."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _, _, mends = _mended(raw.node, types)
        except NIRError:
            return error
    error.hint = f"nirjax.read(path, repair=True) mends it ({'; '.join(mend.message for mend in mends[:3])})."
    return error
