"""From a graph to the bytes of a `.nir` file, made in memory."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from nirjax.errors import ArgumentError, FileError, GraphError
from nirjax.ir.attributes import DIGEST
from nirjax.ir.checking import check_graph
from nirjax.ir.construction import FORMAT, known_types, unbuild
from nirjax.ir.digest import digest_of
from nirjax.ir.graph import NIRGraph
from nirjax.ir.nodes import NODE_TYPES, NIRNode
from nirjax.ir.raw import RawNode

LEAST_COMPRESSED = 1024
"""Arrays of fewer bytes are stored as they are: a compressed one costs some 2 KiB of bookkeeping."""


def serialised(graph: NIRGraph, *, compression: str | int | None = "gzip", custom_nodes: bool = False) -> bytes:
    """The whole file.

    Raises:
        ArgumentError: not a graph, or no such compression.
        GraphError, ShapeError, ParameterError: the graph is not one that could be read again.
        FileError: HDF5 cannot make the file.
    """
    options = compression_options(compression)
    check_graph(graph)
    raw = unbuild(graph, known_types(_custom_types(graph, "", custom_nodes).values()))
    try:
        with h5py.File(f"nirjax {secrets.token_hex(8)}", "w", driver="core", backing_store=False) as file:
            file.create_dataset("version", data=fixed_word(FORMAT))
            file.attrs.create(DIGEST, fixed_word(digest_of(raw)))
            _write_node(file.create_group("node"), raw, options)
            file.flush()
            return bytes(file.id.get_file_image())
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise FileError("HDF5 cannot make the file", found=str(error)) from None


def compression_options(compression: str | int | None) -> dict[str, Any]:
    """What h5py is told of a compression; raises ArgumentError for one that it does not have."""
    if compression is None:
        return {}
    if isinstance(compression, int) and not isinstance(compression, bool) and compression in range(10):
        return {"compression": "gzip", "compression_opts": compression}
    if compression in ("gzip", "lzf", "szip"):
        return {"compression": compression}
    raise ArgumentError(
        "no such compression",
        field="compression",
        found=repr(compression),
        expected="'gzip', a level 0-9, 'lzf', 'szip' or None",
    )


def _custom_types(graph: NIRGraph, path: str, allowed: bool) -> dict[str, type[NIRNode]]:
    """The node types that NIR does not have; raises GraphError if there are any and they are not allowed."""
    found: dict[str, type[NIRNode]] = {}
    for name, node in graph.nodes.items():
        where, cls = f"{path}.{name}" if path else name, type(node)
        if isinstance(node, NIRGraph):
            found |= _custom_types(node, where, allowed)
        elif NODE_TYPES.get(cls.__name__) is not cls:
            if not allowed:
                raise GraphError(
                    "NIR has no such node type; other tools will refuse the file",
                    node=where,
                    field="type",
                    found=cls.__name__,
                    hint="Give custom_nodes=True to write it all the same.",
                )
            found[cls.__name__] = cls
    return found


def _write_node(group: Any, node: RawNode, options: dict[str, Any]) -> None:
    group.create_dataset("type", data=fixed_word(node.type))
    for name, value in node.fields.items():
        _write_value(group, name, value, options)
    if node.metadata:
        _write_mapping(group.create_group("metadata", track_order=True), node.metadata, options)
    if node.nodes is not None:
        # the order of nodes is content: cycles are cut, and outputs listed, in that order
        holder = group.create_group("nodes", track_order=True)
        for name, inner in node.nodes.items():
            _write_node(holder.create_group(name), inner, options)
    if node.edges is not None:
        _write_edges(group, node.edges, options)


def _write_mapping(group: Any, mapping: Mapping[str, Any], options: dict[str, Any]) -> None:
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            _write_mapping(group.create_group(name, track_order=True), value, options)
        else:
            _write_value(group, name, value, options)


def _write_value(group: Any, name: str, value: Any, options: dict[str, Any]) -> None:
    if isinstance(value, str):
        group.create_dataset(name, data=fixed_word(value))
    elif value.dtype == object:
        group.create_dataset(name, shape=value.shape, dtype=h5py.string_dtype(), data=value)
    else:
        group.create_dataset(name, data=value, **(options if value.nbytes >= LEAST_COMPRESSED else {}))


def _write_edges(group: Any, edges: tuple[tuple[str, str], ...], options: dict[str, Any]) -> None:
    names = np.array([[end.encode() for end in edge] for edge in edges], dtype="S").reshape(-1, 2)
    if names.dtype.itemsize == 0 or not edges:
        group.create_dataset("edges", shape=(0, 2), dtype=h5py.string_dtype())
        return
    data = names.astype(h5py.string_dtype("utf-8", names.dtype.itemsize))
    group.create_dataset("edges", data=data, **(options if data.nbytes >= LEAST_COMPRESSED else {}))


def fixed_word(text: str) -> np.ndarray:
    """A string as HDF5 keeps it best: of fixed length, in UTF-8. Strings of any length are where damage hangs it."""
    data = text.encode()
    return np.array(data, dtype=h5py.string_dtype("utf-8", max(1, len(data))))
