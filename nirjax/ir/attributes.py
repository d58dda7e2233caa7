"""Attributes of HDF5 objects: single words and numbers, checked before they are read.

HDF5 keeps attributes where no address leads to them, so a word of any length is read by HDF5 itself; elsewhere nirjax
reads such words on its own, see `nirjax.ir.heap`. A worker process stands between a damaged one and the user.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from h5py import h5a, h5s, h5t, string_dtype

from nirjax.errors import FileError, ParameterError
from nirjax.ir.places import Where, decoded, hdf5

DIGEST = "nirjax.digest"
"""Name of the root group's attribute that holds the content's digest."""

TYPE = "__type__"
"""Name of the attribute that says what a group of a file of NIR data stands for."""

LONGEST = 1024


def names(found: Any, where: Where) -> list[str]:
    """The names of an object's attributes."""
    result: list[bytes] = []
    with hdf5(where):
        h5a.iterate(found, result.append)
    return [decoded(name, where) for name in result]


def word(found: Any, name: str, where: Where) -> str | None:
    """An attribute that is one word; None if there is none of this name.

    Raises:
        ParameterError: it is something else, or too long.
    """
    attribute = _opened(found, name, where)
    if attribute is None:
        return None
    with hdf5(where):
        kind = attribute.get_type()
        if kind.get_class() != h5t.STRING or not _single(attribute):
            raise ParameterError("not a string", node=where.node, field=where.field, expected="one string")
        fixed = not kind.is_variable_str()
        if fixed and kind.get_size() > LONGEST:
            raise ParameterError("too long a string", node=where.node, field=where.field)
        array: Any = np.empty(attribute.shape, f"S{kind.get_size()}" if fixed else string_dtype())
        attribute.read(array, kind if fixed else None)
        value = array.reshape(-1)[0]
    data = bytes(value) if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    if len(data) > LONGEST:
        raise ParameterError("too long a string", node=where.node, field=where.field, expected=f"at most {LONGEST}")
    return decoded(data, where)


def number(found: Any, name: str, where: Where) -> int | float:
    """An attribute that is one number.

    Raises:
        ParameterError: it is missing, or something else.
    """
    attribute = _opened(found, name, where)
    if attribute is None:
        raise ParameterError("the attribute is missing", node=where.node, field=where.field, expected="a number")
    with hdf5(where):
        kind = attribute.get_type()
        if kind.get_class() not in (h5t.INTEGER, h5t.FLOAT) or kind.get_size() > 8 or not _single(attribute):
            raise ParameterError(
                "not a number", node=where.node, field=where.field, expected="one number of up to 64 bits"
            )
        array = np.empty(attribute.shape, kind.dtype)
        attribute.read(array)
        value: int | float = array.reshape(-1)[0].item()
        return value


def digest(root: Any) -> str | None:
    """The digest that a file's root group carries; None if it has none.

    Raises:
        FileError: it is no digest.
    """
    where = Where(None, "digest")
    attribute = _opened(root, DIGEST, where)
    if attribute is None:
        return None
    with hdf5(where):
        kind = attribute.get_type()
        if kind.get_class() != h5t.STRING or kind.is_variable_str() or kind.get_size() > 128:
            raise FileError("not a digest", field="digest", found="an attribute of another type")
        if attribute.get_space().get_simple_extent_type() != h5s.SCALAR:
            raise FileError("not a digest", field="digest", found="an attribute of another shape")
        array = np.empty((), dtype=f"S{kind.get_size()}")
        attribute.read(array, kind)
        return decoded(bytes(array[()]), where)


def _opened(found: Any, name: str, where: Where) -> Any:
    with hdf5(where):
        return h5a.open(found, name.encode()) if h5a.exists(found, name.encode()) else None


def _single(attribute: Any) -> bool:
    space = attribute.get_space()
    return space.get_simple_extent_type() != h5s.NULL and bool(math.prod(space.get_simple_extent_dims()) == 1)
