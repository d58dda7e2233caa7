"""Damage to a file's content, made with HDF5 itself: links, storage, types, shapes, values, names.

What comes out is a sound HDF5 file with something in it that a reader should not trust.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t, h5z

from fuzzing.checksums import timeless

VICTIMS = ("victims/secret.h5", "victims/raw.bin")
"""Files beside the mutants that must not be opened."""
OUTSIDE = ("/etc/hostname", *VICTIMS)

_WORDS = (
    *("LIF", "NIRGraph", "Input", "Output", "Affine", "Conv2d", "Flatten", "Delay", "NoSuchNode", "lif", "", " "),
    *("1.0.8", "0.1", "2.0.0", "9" * 400, "x" * 2000, "same", "valid", "\x1b[31m", "\u202e", "é" * 40, "node", "/"),
)
_NUMBERS = (0, 1, -1, 2, 0.5, np.nan, np.inf, -np.inf, 1e-45, 1e38, 1e300, 2**31, 2**53, 2**63, -(2**63), 7)


_NOT_MADE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RuntimeError, OSError)
"""What HDF5 raises where it cannot make a change, or not after what was changed before."""


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three changes to a sound file."""
    file = h5f.open_file_image(data, flags=1)
    try:
        opened = h5py.File(file)
        for _ in range(rng.integers(1, 4)):
            change = CHANGES[rng.integers(len(CHANGES))]
            with contextlib.suppress(*_NOT_MADE):
                change(opened, rng)
        h5f.flush(file)
        return timeless(bytes(file.get_file_image()))
    finally:
        file.close()


def _found(file: Any, kind: type) -> list[tuple[Any, str, Any]]:
    """(group, name, object) of everything of one kind behind hard links, each address once."""
    found, seen, todo = [], set(), [file["/"]]
    while todo:
        group = todo.pop()
        for name in list(group):
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if isinstance(item, kind):
                found.append((group, name, item))
            if isinstance(item, h5py.Group) and address not in seen:
                seen.add(address)
                todo.append(item)
    return found


def _one(file: Any, kind: type, rng: np.random.Generator) -> tuple[Any, str, Any] | None:
    found = _found(file, kind)
    return found[rng.integers(len(found))] if found else None


def _replace(change: Callable[[Any, str, Any, np.random.Generator], None], kind: type = h5py.Dataset) -> Any:
    """A change that puts something else in the place of an object."""

    def apply(file: Any, rng: np.random.Generator) -> None:
        found = _one(file, kind, rng)
        if found is None:
            return
        group, name, old = found
        kept = _plain_value(old)
        del group[name]
        change(group, name, kept, rng)

    return apply


def _plain_value(item: Any) -> Any:
    """The value of a dataset that no change has touched yet, else None."""
    if not isinstance(item, h5py.Dataset) or not item.size or item.size > 10**6:
        return None
    if item.external is not None or item.is_virtual:
        return None
    try:
        return item[()]
    except (OSError, TypeError, ValueError, RuntimeError):
        return None


def _word(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    text = str(rng.choice(_WORDS))
    kinds = (h5py.string_dtype(), h5py.string_dtype("ascii"), h5py.string_dtype("utf-8", max(1, len(text.encode()))))
    group.create_dataset(name, data=text, dtype=kinds[rng.integers(3)])


def _dtype(group: Any, name: str, kept: Any, rng: np.random.Generator) -> None:
    kinds: list[Any] = ["f2", "f4", "f8", ">f4", "i1", "i8", ">i2", "u8", "c8", "c16", "?", "S3", "V4", "g"]
    kinds += [h5py.string_dtype(), h5py.vlen_dtype("i4"), h5py.ref_dtype, h5py.enum_dtype({"a": 1}), ("f4", (2,))]
    kinds += [np.dtype([("r", "f4"), ("i", "f4")]), h5py.opaque_dtype(np.dtype("M8[s]")), "i4", "f4", "f4"]
    shape = np.shape(kept) if kept is not None else (2,)
    group.create_dataset(name, shape, dtype=kinds[rng.integers(len(kinds))])


def _bits(group: Any, name: str, kept: Any, rng: np.random.Generator) -> None:
    """Numbers of a precision, offset or exponent that no processor has."""
    kind = [h5t.IEEE_F32LE, h5t.STD_I32LE, h5t.IEEE_F64LE][rng.integers(3)].copy()
    if rng.integers(2):
        kind.set_precision(int(rng.integers(1, 8 * kind.get_size() + 1)))
    elif kind.get_class() == h5t.FLOAT:
        kind.set_ebias(int(rng.integers(0, 2000)))
    else:
        kind.set_offset(int(rng.integers(0, 8)))
    h5d.create(group.id, name.encode(), kind, h5s.create_simple(np.shape(kept) or (1,)))


def _shape(group: Any, name: str, kept: Any, rng: np.random.Generator) -> None:
    shapes = [(), (0,), (1,), (3,), (0, 3), (3, 1), (1, 3), (1,) * 8, (2,) * 12, (1,) * 32, (4097,), (3, 2)]
    dtype = getattr(kept, "dtype", np.dtype("f4"))
    shape = shapes[rng.integers(len(shapes))]
    group.create_dataset(name, data=np.ones(shape, dtype if dtype.kind in "fiu" else "f4"))


def _huge(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    """More declared than stored."""
    n = int(rng.integers(10, 62))
    axes = int(rng.integers(1, 4))
    shape = tuple(2 ** (n // axes) for _ in range(axes))
    chunk = tuple(min(size, 2 ** int(rng.integers(0, 12))) for size in shape)
    options = {} if rng.integers(2) else {"compression": "gzip"}
    group.create_dataset(name, shape, dtype=["f4", "u1", "f8"][rng.integers(3)], chunks=chunk, **options)


def _values(group: Any, name: str, kept: Any, rng: np.random.Generator) -> None:
    array = np.array(kept if kept is not None and np.asarray(kept).dtype.kind in "fiu" else np.ones(3))
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        for _ in range(rng.integers(1, 3)):
            at = slice(None) if rng.integers(2) else rng.integers(max(flat.size, 1))
            if flat.size:
                flat[at] = np.array(rng.choice(_NUMBERS)).astype(array.dtype)
    group.create_dataset(name, data=array)


def _layout(group: Any, name: str, kept: Any, rng: np.random.Generator) -> None:
    data = np.atleast_1d(np.asarray(kept if kept is not None else np.ones(4, "f4")))
    if data.dtype.kind not in "fiu":
        data = np.ones((4, 4), "f4")
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk(tuple(int(rng.integers(1, max(n, 1) + 1)) for n in data.shape))
    for _ in range(rng.integers(0, 3)):
        kind = rng.integers(8)
        if kind == 0:
            plist.set_deflate(int(rng.integers(10)))
        elif kind == 1:
            plist.set_shuffle()
        elif kind == 2:
            plist.set_fletcher32()
        elif kind == 3:
            plist.set_scaleoffset(h5z.SO_FLOAT_DSCALE if data.dtype.kind == "f" else h5z.SO_INT, 2)
        elif kind == 4:
            plist.set_filter(5, h5z.FLAG_OPTIONAL)  # nbit
        elif kind == 5:
            plist.set_szip(h5z.SZIP_NN_OPTION_MASK, 4)
        elif kind == 6:
            plist.set_filter(32000, h5z.FLAG_OPTIONAL, (4, 0, data.nbytes))
        else:
            plist.set_filter(int(rng.integers(256, 33000)), h5z.FLAG_OPTIONAL)
    space = h5s.create_simple(data.shape, tuple(h5s.UNLIMITED for _ in data.shape))
    made = h5d.create(group.id, name.encode(), h5t.py_create(data.dtype), space, plist)
    if rng.integers(2):
        made.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(data))


def _chunk(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    """A stored chunk that is not what its filters would make."""
    n = 2 ** int(rng.integers(1, 9))
    options = [{"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True}, {"fletcher32": True}][
        rng.integers(4)
    ]
    made = group.create_dataset(name, (n,), "f4", chunks=(n,), **options)
    stored = [
        b"",
        rng.bytes(8),
        zlib.compress(bytes(4 * n)),
        zlib.compress(bytes(2**22)),
        bytes(4 * n),
        rng.bytes(4 * n),
    ]
    made.id.write_direct_chunk((0,), stored[rng.integers(len(stored))], filter_mask=int(rng.integers(4)))


def _external(group: Any, name: str, kept: Any, rng: np.random.Generator) -> None:
    shape = np.shape(kept) or (3,)
    group.create_dataset(name, shape, "f4", external=[(str(rng.choice(OUTSIDE)), 0, h5py.h5f.UNLIMITED)])


def _virtual(group: Any, name: str, kept: Any, rng: np.random.Generator) -> None:
    shape = np.shape(kept) or (3,)
    layout = h5py.VirtualLayout(shape, "f4")
    source = str(rng.choice([*OUTSIDE, "."]))
    layout[...] = h5py.VirtualSource(source, "/w" if source != "." else f"{group.name}/{name}", shape)
    group.create_virtual_dataset(name, layout)


def _soft(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    group[name] = h5py.SoftLink(str(rng.choice(["/node", f"{group.name}/{name}", "/nowhere", "../..", "/version"])))


def _outside(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    group[name] = h5py.ExternalLink(str(rng.choice(OUTSIDE)), "/w")


def _gone(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    return


def _as_group(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    made = group.create_group(name)
    if rng.integers(2):
        made["type"] = str(rng.choice(_WORDS))


def _as_type(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    group[name] = np.dtype("f4")


def _null(group: Any, name: str, _: Any, rng: np.random.Generator) -> None:
    group[name] = h5py.Empty("f4")


def _edges(file: Any, rng: np.random.Generator) -> None:
    for group, name, _ in _found(file, h5py.Dataset):
        if name != "edges":
            continue
        names = [
            *group.get("nodes", {"a": 0}),
            str(rng.choice(_WORDS)),
            "",
            "a.b",
            "\udcff".encode("utf-8", "surrogateescape"),
        ]
        count = [0, 1, 5, 400][rng.integers(4)]
        pairs = [[names[rng.integers(len(names))] for _ in range(2 if rng.integers(20) else 3)] for _ in range(count)]
        pairs = [[end.replace("\0", "") if isinstance(end, str) else end for end in pair][:2] for pair in pairs]
        del group[name]
        if rng.integers(2):
            group.create_dataset(name, data=np.array(pairs, dtype=object).reshape(-1, 2), dtype=h5py.string_dtype())
        else:
            plain = [[end.encode() if isinstance(end, str) else end for end in pair] for pair in pairs]
            group.create_dataset(name, data=np.array(plain, dtype="S").reshape(-1, 2) if plain else np.zeros((0, 2)))
        return


def _rename(file: Any, rng: np.random.Generator) -> None:
    found = _one(file, (h5py.Group, h5py.Dataset)[rng.integers(2)], rng)
    if found is None:
        return
    group, name, _ = found
    text = (
        str(rng.choice([*_WORDS, ".", "..", "a.b", "a/b", "type", "nodes", "edges", "metadata", "weight"])) or "empty"
    )
    if text not in group and not text.startswith("/") and text not in (".", ".."):
        group.move(name, text)


def _hard(file: Any, rng: np.random.Generator) -> None:
    """Another name for a group: somewhere else, above itself, or many."""
    source, target = (_one(file, h5py.Group, rng) for _ in range(2))
    if source is None or target is None:
        return
    for i in range([1, 1, 5, 50][rng.integers(4)]):
        name = f"again{i}"
        if name not in target[2]:
            target[2][name] = source[2]


def _metadata(file: Any, rng: np.random.Generator) -> None:
    found = _one(file, h5py.Group, rng)
    if found is None or "metadata" in found[2]:
        return
    group = found[2].create_group("metadata")
    for _ in range([1, 3, 40, 150][rng.integers(4)]):
        group[f"k{len(group)}"] = ["word", 3, 2.5, np.arange(3), np.array([b"a", b"bc"]), True][rng.integers(6)]
        if rng.integers(2):
            group = group.create_group("deeper")


def _attribute(file: Any, rng: np.random.Generator) -> None:
    values: list[Any] = ["sha256:" + "0" * 64, "x" * 300, 3, np.ones(4), h5py.Empty("f4"), [b"a"], "\u202e"]
    file.attrs.create("nirjax.digest", values[rng.integers(len(values))])


CHANGES: tuple[Callable[[Any, np.random.Generator], None], ...] = (
    *(_replace(change) for change in (_word, _dtype, _bits, _shape, _huge, _values, _values, _layout, _layout, _chunk)),
    *(_replace(change) for change in (_external, _virtual, _soft, _outside, _gone, _as_group, _as_type, _null)),
    *(_replace(change, h5py.Group) for change in (_gone, _soft, _outside, _as_group, _word, _as_type)),
    *(_edges, _edges, _rename, _rename, _hard, _metadata, _attribute),
)
