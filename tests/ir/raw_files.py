"""Files made by hand with h5py, sound or not, as other writers make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

TEXT = h5py.string_dtype()


def put(group: Any, name: str, value: Any) -> None:
    """Store one value: a mapping as a group, text as a string, an array as it is."""
    if isinstance(value, Mapping):
        inner = group.create_group(name)
        for key, item in value.items():
            put(inner, key, item)
    elif isinstance(value, str):
        group.create_dataset(name, data=value, dtype=TEXT)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "U":
        group.create_dataset(name, data=value.astype(object), dtype=TEXT)
    else:
        group.create_dataset(name, data=value)


def node(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The group of a node."""
    return {"type": kind, **fields}


def graph(nodes: Mapping[str, Any], edges: Iterable[tuple[str, str]], **more: Any) -> dict[str, Any]:
    """The group of a graph."""
    pairs = np.array([list(edge) for edge in edges], dtype=object).reshape(-1, 2)
    return {"type": "NIRGraph", "nodes": dict(nodes), "edges": pairs, **more}


def save(path: Path, root: Mapping[str, Any], version: str | None = "1.0.8", **options: Any) -> Path:
    """A file with `root` as its graph."""
    with h5py.File(path, "w", **options) as file:
        if version is not None:
            put(file, "version", version)
        _put_graph(file.create_group("node"), root)
    return path


def _put_graph(group: Any, content: Mapping[str, Any]) -> None:
    for name, value in content.items():
        if name == "nodes":
            holder = group.create_group("nodes")
            for key, inner in value.items():
                _put_graph(holder.create_group(key), inner)
        elif name == "edges":
            group.create_dataset("edges", data=value, dtype=TEXT)
        else:
            put(group, name, value)
