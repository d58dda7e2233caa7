"""From a sketch of a file to its content: each slot replaced by the values that belong there, the rest left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nirjax.ir.places import Slot, decoded
from nirjax.ir.raw import Edge, RawFile, RawNode

_AT_ONCE = 2**16


def filled(file: RawFile, load: Callable[[Slot], np.ndarray]) -> RawFile:
    """The file with every slot replaced by what `load` gives for it: arrays, words decoded, edges as pairs of names."""
    return replace(file, node=_filled(file.node, load))


def _filled(node: RawNode, load: Callable[[Slot], np.ndarray]) -> RawNode:
    return RawNode(
        type=node.type,
        fields={name: _value(slot, load) for name, slot in node.fields.items()},
        metadata=_filled_mapping(node.metadata, load),
        nodes=None if node.nodes is None else {name: _filled(inner, load) for name, inner in node.nodes.items()},
        edges=None if node.edges is None else _pairs(node.edges, load),
    )


def _filled_mapping(mapping: Mapping[str, Any], load: Callable[[Slot], np.ndarray]) -> dict[str, Any]:
    return {
        name: _filled_mapping(value, load) if isinstance(value, Mapping) else _number(_value(value, load))
        for name, value in mapping.items()
    }


def _value(slot: Any, load: Callable[[Slot], np.ndarray]) -> Any:
    if not isinstance(slot, Slot):
        return slot
    array = load(slot)
    array.flags.writeable = False
    return decoded(bytes(array[()]), slot.where) if slot.is_words and slot.shape == () else array


def _number(value: Any) -> Any:
    """A 0-d array as a NumPy number, which is what the reference package has in metadata."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _pairs(edges: Any, load: Callable[[Slot], np.ndarray]) -> tuple[Edge, ...]:
    if not isinstance(edges, Slot):
        return tuple(edges)
    array = load(edges).reshape(-1)
    names: dict[bytes, str] = {}
    ends: list[str] = []
    for at in range(0, len(array), _AT_ONCE):
        part = array[at : at + _AT_ONCE].tolist()
        for data in dict.fromkeys(part):
            if data not in names:
                names[data] = decoded(data, edges.where)
        ends += map(names.__getitem__, part)
    return tuple(zip(ends[::2], ends[1::2], strict=True))


def slots_of(node: RawNode) -> Iterator[Slot]:
    """Every slot of a node and of what is in it."""
    yield from (value for value in node.fields.values() if isinstance(value, Slot))
    yield from _mapping_slots(node.metadata)
    edges: Any = node.edges
    if isinstance(edges, Slot):
        yield edges
    for inner in (node.nodes or {}).values():
        yield from slots_of(inner)


def _mapping_slots(mapping: Mapping[str, Any]) -> Iterator[Slot]:
    for value in mapping.values():
        if isinstance(value, Mapping):
            yield from _mapping_slots(value)
        else:
            yield value
