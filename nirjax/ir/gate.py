"""The gate: what of an HDF5 file may be looked at, decided for every object before any of its data is read.

A `.nir` file may come from a stranger, and HDF5 can name other files (external links, external storage, virtual
datasets), call for plug-ins (filters), claim sizes that it does not have, and hold itself. Every object of a file is
opened here. Only h5py's low-level interface is used: the high-level one follows links.

Source: the HDF5 file format specification, version 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any

import numpy as np
from h5py import File, h5, h5d, h5f, h5g, h5l, h5o, h5p, h5s

from nirjax.errors import FileError, GraphError, ParameterError, quoted
from nirjax.ir.chunks import Chunked, check_sizes, is_ours
from nirjax.ir.heap import REFERENCE, references, words
from nirjax.ir.limits import BYTES_PER_WORD, Limits
from nirjax.ir.link_names import hidden_name
from nirjax.ir.places import Slot, Where, decoded, hdf5
from nirjax.ir.storage import check_storage, chunks, element_of, shape_of

LONGEST_WORD = 1024
LARGEST_OF_WORDS = 2**24


@dataclass
class Gate:
    """An open file, its limits, and what has been asked of it so far."""

    file: Any
    limits: Limits
    declared: int = 0
    groups: int = 0
    seen: dict[int, Slot] = field(default_factory=dict)
    repeated: tuple[str | None, str] | None = None

    @staticmethod
    def open_file(path: bytes, limits: Limits) -> Gate:
        """Open a file for reading; raises FileError where HDF5 finds no sound file of its own."""
        with hdf5(Where(None), "not a sound HDF5 file", "a whole file in HDF5, as .nir files are"):
            try:
                return Gate(h5f.open(path, h5f.ACC_RDONLY), limits)
            except BlockingIOError:
                raise FileError("another process is writing the file", hint="Read it when that is done.") from None

    def close(self) -> None:
        """Close the file, and whatever of it an error's traceback may still hold.

        Raises:
            FileError: it is so damaged that HDF5 cannot.
        """
        with hdf5(Where(None)):
            File(self.file).close()

    # ------------------------------------------------------------------------------------------------- groups

    def links(self, group: Any, where: Where, *, of_nodes: bool = False, ordered: bool = True) -> dict[str, int]:
        """Names in a group to the addresses of what they lead to.

        Args:
            group: the open group.
            where: the node whose group this is, with a field where it lies below one.
            of_nodes: the names are nodes of the graph `where`.
            ordered: in creation order where the file keeps one; otherwise by name.

        Raises:
            FileError: a link that is not a hard link (it might lead out of the file).
            GraphError: a name that HDF5 cannot look up: empty, ".", with "/" or NUL, not UTF-8, or there twice.
        """
        found: list[tuple[bytes, int, int]] = []
        with hdf5(where):
            ordered = ordered and group.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED
            order = h5.INDEX_CRT_ORDER if ordered else h5.INDEX_NAME
            group.links.iterate(lambda name, info: found.append((name, info.type, info.u)), info=True, idx_type=order)
            hidden = self._hidden_name(group) if of_nodes else None
        result: dict[str, int] = {}
        for raw, kind, address in found:
            name = _name(raw, where, of_nodes)
            if name in result or raw == hidden:
                raise _name_error("the name is there twice, or holds a NUL", raw, name, where, of_nodes)
            if kind != h5l.TYPE_HARD:
                raise _link_error(kind, _place(name, where, of_nodes))
            result[name] = address
        if of_nodes and self.repeated is None and len(set(result.values())) < len(result):
            self.repeated = _repeated(result, where)
        return result

    def link(self, group: Any, name: str, where: Where) -> int | None:
        """Address behind one link of a group, None where there is none; raises FileError unless it is a hard link."""
        with hdf5(where):
            if not group.links.exists(name.encode()):
                return None
            info = group.links.get_info(name.encode())
            if info.type != h5l.TYPE_HARD:
                raise _link_error(info.type, where)
            return int(info.u)

    def root(self) -> Any:
        """The file's root group."""
        with hdf5(Where(None)):
            return h5g.open(self.file, b"/")

    def open(self, parent: Any, name: str, where: Where) -> Any:
        """The object behind a hard link that `links` gave."""
        with hdf5(where):
            return h5o.open(parent, name.encode())

    def is_group(self, parent: Any, name: str, where: Where) -> bool:
        """Does a hard link lead to a group?"""
        return isinstance(self.open(parent, name, where), h5g.GroupID)

    def group(self, parent: Any, name: str, where: Where) -> Any:
        """A group behind a hard link; counts it.

        Raises:
            GraphError: it is not a group.
            FileError: more groups than the file can hold without holding some many times over.
        """
        found = self.open(parent, name, where)
        if not isinstance(found, h5g.GroupID):
            raise GraphError(
                "not a group", node=where.node, field=where.field, found=kind_of(found), expected="a group"
            )
        self.groups += 1
        if self.groups > self.limits.groups:
            node, links = self.repeated or (where.node, "")
            raise FileError(
                "hard links make more groups than a file of this size holds",
                node=node,
                found=f"over {self.limits.groups} groups{links}",
            )
        return found

    def nodes(
        self, holder: Any, prefix: str, where: Where, above: tuple[int, ...]
    ) -> Iterator[tuple[str, bytes, Where, tuple[int, ...], Any]]:
        """The groups in a group of nodes: name, its last part, place in the graph, addresses above, the group itself.

        Args:
            holder: the open group.
            prefix: where it is the first parts of a name with slashes, these.
            where: the graph whose nodes these are.
            above: addresses of the groups that the holder lies in, and its own.

        Raises:
            GraphError: a group that lies in itself, or what `links` and `group` raise.
        """
        for name, address in self.links(holder, where, of_nodes=True).items():
            full = prefix + name
            inner = Where(f"{where.node}.{full}" if where.node else full)
            if address in above:
                raise GraphError("the graph contains itself", node=inner.node, found="a hard link to a group above it")
            yield full, name.encode(), inner, (*above, address), self.group(holder, name, inner)

    def _hidden_name(self, group: Any) -> bytes | None:
        base = self.file.get_create_plist().get_userblock()
        return hidden_name(int(self.file.get_vfd_handle()), base, h5o.get_info(group).addr)

    # ----------------------------------------------------------------------------------------------- datasets

    def slot(self, group: Any, name: str, address: int, path: bytes, where: Where, *, metadata: bool = False) -> Slot:
        """Check a dataset without reading it: storage, filters, element type, size.

        Raises:
            FileError: storage outside the file, a virtual dataset, an unknown filter, or too large.
            ParameterError: not a dataset, no data, or elements of a type that NIR does not have.
        """
        if address in self.seen:
            slot = self.seen[address]
            self.count(slot.nbytes, where)
            return Slot(slot.path, where, slot.dtype, slot.shape, slot.nbytes)
        found = self.open(group, name, where)
        if not isinstance(found, h5d.DatasetID):
            raise ParameterError(
                "not a dataset", node=where.node, field=where.field, found=kind_of(found), expected="a dataset"
            )
        with hdf5(where):
            plist = found.get_create_plist()
            check_storage(plist, where)
            shape = shape_of(found, where)
            dtype = element_of(found, where, metadata)
            nbytes = math.prod(shape) * (BYTES_PER_WORD if dtype is None else dtype.itemsize)
            self.count(nbytes, where)
            self._check_chunks(plist, shape, dtype, where)
            if dtype is None and nbytes:
                nbytes = int(references(self.file, found, shape, where)["length"].sum(dtype=np.uint64))
                self.count(nbytes, where)
        slot = Slot(path, where, dtype, shape, nbytes)
        self.seen[address] = slot
        return slot

    def word(self, slot: Slot) -> str:
        """Read a dataset that is one word (a type, a version).

        Raises:
            ParameterError: anything but a single string in UTF-8.
            FileError: a string that is too long for a word.
        """
        place = {"node": slot.where.node, "field": slot.where.field}
        if not slot.is_words or slot.shape != ():
            kind = "strings" if slot.is_words else f"dtype {slot.dtype}"
            raise ParameterError("not a string", found=f"{kind} of shape {slot.shape}", expected="one string", **place)
        if slot.nbytes > LONGEST_WORD:
            most = f"at most {LONGEST_WORD}"
            raise FileError("too long a string", found=f"{slot.nbytes} bytes", expected=most, **place)
        return decoded(bytes(self.read(slot)[()]), slot.where)

    def count(self, nbytes: int, where: Where) -> None:
        """Add to what the file has asked for; raises FileError where that is more than it may."""
        self.declared += nbytes
        if self.declared > self.limits.bytes:
            raise FileError(
                "the file declares more data than it may",
                node=where.node,
                field=where.field,
                found=f"{self.declared} bytes up to here",
                expected=f"at most {self.limits.bytes}",
                hint="If the file is meant to be so large, give nirjax.read a larger max_bytes.",
            )

    def _check_chunks(self, plist: Any, shape: tuple[int, ...], dtype: np.dtype | None, where: Where) -> None:
        found = chunks(plist, shape)
        if found is None:
            return
        count, chunk = found
        size = math.prod(chunk) * (REFERENCE if dtype is None else dtype.itemsize)
        # a chunk is held twice, beside the array, while its filters are undone
        most = LARGEST_OF_WORDS if dtype is None else self.limits.bytes // 4
        if count > self.limits.chunks or size > most:
            raise FileError(
                "cut into more chunks, or larger ones, than a file of this size has",
                node=where.node,
                field=where.field,
                found=f"{count} chunks of {chunk}",
                expected=f"at most {self.limits.chunks}, of at most {most} bytes",
            )

    # -------------------------------------------------------------------------------------------------- values

    def read(self, slot: Slot) -> np.ndarray:
        """The values of a dataset that has passed; words of any length as an object array of bytes.

        Raises:
            FileError: the data is damaged.
        """
        with hdf5(slot.where):
            if slot.dtype is None:
                return self._words(slot)
            array = np.zeros(slot.shape, slot.dtype)  # HDF5 leaves alone what was never stored and has no fill value
            self.read_into(slot, array)
            return array

    def read_into(self, slot: Slot, array: np.ndarray) -> None:
        """Put the values of a dataset of numbers into a C-contiguous array of its shape and dtype; raises as `read`."""
        if not array.size:
            return
        with hdf5(slot.where):
            dataset = h5d.open(self.file, slot.path)
            if is_ours(dataset.get_create_plist()):
                Chunked.of(dataset, slot.shape, array.dtype, slot.where).read_into(array)
            else:
                check_sizes(dataset, array.dtype, slot.where)
                dataset.read(h5s.ALL, h5s.ALL, array, _in_memory(dataset, slot))

    def _words(self, slot: Slot) -> np.ndarray:
        dataset = h5d.open(self.file, slot.path)
        found = list(words(self.file, references(self.file, dataset, slot.shape, slot.where), slot.where))
        array = np.empty(len(found), dtype=object)
        array[:] = found
        return array.reshape(slot.shape)


def _in_memory(dataset: Any, slot: Slot) -> Any:
    """The type to read as: fixed strings as they are (HDF5 converts no character sets), the rest as NumPy's."""
    return dataset.get_type() if slot.dtype is not None and slot.dtype.kind == "S" else None


def kind_of(found: Any) -> str:
    """What an open HDF5 object is, in words."""
    if isinstance(found, h5g.GroupID):
        return "a group"
    return "a dataset" if isinstance(found, h5d.DatasetID) else "a committed datatype"


def _name(raw: bytes, where: Where, of_nodes: bool) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        shown = raw.decode("utf-8", "backslashreplace")
        raise _name_error("the name is not UTF-8", raw, shown, where, of_nodes) from None
    if name in ("", ".") or "/" in name:
        raise _name_error("HDF5 cannot look up such a name", raw, name, where, of_nodes)
    return name


def _place(name: str, where: Where, of_nodes: bool) -> Where:
    """Where errors about a link say it is: a node of its own, a field of a node, or inside a field."""
    if of_nodes:
        return Where(f"{where.node}.{name}" if where.node else name)
    return where if where.field else where.at(name)


def _name_error(message: str, raw: bytes, name: str, where: Where, of_nodes: bool) -> GraphError:
    node = _place(name, where, True).node if of_nodes and name else where.node
    return GraphError(message, node=node, field="nodes" if of_nodes else where.field, found=f"the name {quoted(raw)}")


def _link_error(kind: int, where: Where) -> FileError:
    return FileError(
        "links are not followed",
        node=where.node,
        field=where.field,
        found="a soft link" if kind == h5l.TYPE_SOFT else "an external link",
        expected="the data itself",
        hint="Store the data in the file itself.",
    )


def _repeated(links: dict[str, int], where: Where) -> tuple[str | None, str]:
    """Nodes that are one and the same group: the path of the first, and words for all."""
    names: dict[int, list[str]] = {}
    for name, address in links.items():
        names.setdefault(address, []).append(name)
    most = max(names.values(), key=len)
    words = f", {len(most)} links {quoted(commonprefix(most))}* to one of them"  # noqa: RUF071
    return _place(most[0], where, True).node, words
