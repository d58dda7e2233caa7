"""From plain NIR data to the bytes of a file, made in memory."""

from __future__ import annotations

import secrets
from typing import Any

import h5py
import numpy as np

from nirjax.errors import FileError
from nirjax.ir.attributes import DIGEST, TYPE
from nirjax.ir.data_reading import ARRAYS, NODE, NUMBERS
from nirjax.ir.digest import digest_of
from nirjax.ir.raw import RawNode
from nirjax.ir.writing import LEAST_COMPRESSED, compression_options, fixed_word


def data_serialised(node: RawNode, *, compression: str | int | None = "gzip") -> bytes:
    """The whole file.

    Raises:
        ArgumentError: no such compression.
        FileError: HDF5 cannot make the file.
    """
    options = compression_options(compression)
    try:
        with h5py.File(f"nirjax {secrets.token_hex(8)}", "w", driver="core", backing_store=False) as file:
            file.attrs.create(DIGEST, fixed_word(digest_of(node)))
            _write(file, node, options)
            file.flush()
            return bytes(file.id.get_file_image())
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise FileError("HDF5 cannot make the file", found=str(error)) from None


def _write(group: Any, node: RawNode, options: dict[str, Any]) -> None:
    # of any length: the reference package takes no other string for a type
    group.attrs.create(TYPE, node.type, dtype=h5py.string_dtype())
    if node.nodes is not None:
        holder = group.create_group("observables" if node.type == NODE else "nodes", track_order=True)
        for name, inner in node.nodes.items():
            _write(holder.create_group(name), inner, options)
        return
    for name in NUMBERS[node.type]:
        group.attrs[name] = node.fields[name]
    for name in ARRAYS[node.type]:
        array = np.asarray(node.fields[name])
        group.create_dataset(name, data=array, **(options if array.nbytes >= LEAST_COMPRESSED else {}))
