"""How a dataset is stored, and whether that is something to read: checks that look at its header alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from h5py import h5d, h5s, h5t, h5z

from nirjax.errors import FileError, ParameterError
from nirjax.ir.chunks import LZF, filter_codes
from nirjax.ir.places import Where

MOST_AXES = 32

_FILTERS = {
    h5z.FILTER_DEFLATE: "gzip",
    h5z.FILTER_SHUFFLE: "shuffle",
    h5z.FILTER_FLETCHER32: "fletcher32",
    h5z.FILTER_SZIP: "szip",
    LZF: "lzf",
}


def check_storage(plist: Any, where: Where) -> None:
    """Raise FileError unless the data lies in the file itself, under filters that come with HDF5 and h5py."""
    if plist.get_layout() == h5d.VIRTUAL:
        raise storage_error(where, "a virtual dataset")
    if plist.get_layout() not in (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED):
        raise storage_error(where, "an unknown layout")
    if plist.get_external_count() > 0:
        raise storage_error(where, "external storage")
    codes = filter_codes(plist)
    for code in codes:
        if code not in _FILTERS or codes.count(code) > 1:
            raise FileError(
                "a filter that NIR files do not use",
                node=where.node,
                field=where.field,
                found=f"filter {code}" if code not in _FILTERS else f"filter {_FILTERS[code]} twice",
                expected=f"only {', '.join(_FILTERS.values())}",
            )


def chunks(plist: Any, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]] | None:
    """How many chunks a dataset is cut into, and their shape; None if it is not."""
    if plist.get_layout() != h5d.CHUNKED:
        return None
    chunk = tuple(int(n) for n in plist.get_chunk())
    return math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True)), chunk


def shape_of(dataset: Any, where: Where) -> tuple[int, ...]:
    """The shape; raises ParameterError for a dataset without data or with too many axes."""
    space = dataset.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        raise ParameterError("the dataset holds no data", node=where.node, field=where.field, found="a null dataspace")
    shape = tuple(int(n) for n in space.get_simple_extent_dims())
    if len(shape) > MOST_AXES:
        raise ParameterError("too many axes", node=where.node, field=where.field, found=f"shape {shape}")
    return shape


def element_of(dataset: Any, where: Where, metadata: bool) -> np.dtype | None:
    """NumPy's type of the elements, None for words of any length.

    Raises:
        ParameterError: neither integers, floats of up to 64 bits, nor strings; in metadata bool and complex too.
    """
    kind = dataset.get_type()
    if kind.get_class() == h5t.STRING:
        return None if kind.is_variable_str() else np.dtype(f"S{kind.get_size()}")
    if kind.get_class() in (h5t.INTEGER, h5t.FLOAT, *((h5t.ENUM, h5t.COMPOUND) if metadata else ())):
        dtype = _numpy_type(kind)
        if (
            dtype is not None
            and dtype.kind in ("biufc" if metadata else "iuf")
            and dtype.itemsize <= (16 if dtype.kind == "c" else 8)
            and h5t.py_create(dtype, logical=True).equal(kind)
        ):
            return np.dtype(dtype.str)
    raise ParameterError(
        "elements of a type that NIR does not have",
        node=where.node,
        field=where.field,
        found=_type_name(kind),
        expected="integers, or floats of at most 64 bits" + (", bool, complex, strings" if metadata else ""),
    )


def _numpy_type(kind: Any) -> np.dtype | None:
    """What h5py makes of a type; None where NumPy has nothing like it, such as integers of three bytes."""
    try:
        dtype: np.dtype = kind.dtype
    except TypeError:
        return None
    return dtype


def storage_error(where: Where, found: str) -> FileError:
    """The error for data that is not plain data inside the file."""
    return FileError(
        "the data does not lie in the file as plain data",
        node=where.node,
        field=where.field,
        found=found,
        expected="contiguous or chunked storage inside the file",
    )


def _type_name(kind: Any) -> str:
    names = {
        h5t.INTEGER: "integers of an odd layout",
        h5t.FLOAT: f"floats of {8 * kind.get_size()} bits",
        h5t.TIME: "times",
        h5t.BITFIELD: "bit fields",
        h5t.OPAQUE: "opaque bytes",
        h5t.COMPOUND: "compounds (or complex numbers)",
        h5t.REFERENCE: "references",
        h5t.ENUM: "an enumeration (or bool)",
        h5t.VLEN: "variable-length lists",
        h5t.ARRAY: "arrays as elements",
    }
    return names.get(kind.get_class(), "an unknown type")
