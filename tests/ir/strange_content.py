"""Strange files, continued: types, strings, attributes, names, and containers; see `ir.strange_files`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5f, h5o, h5p, h5s, h5t

from ir import raw_files
from ir.strange_files import EDGES, EYE, TYPE, WEIGHT, case, low, sound, swap, whole
from nirjax.errors import FileError, GraphError, ParameterError, UnknownNodeError

# ------------------------------------------------------------------------------------------------------------ types


def float_of(bits: int) -> Any:
    kind = h5t.IEEE_F32LE.copy()
    kind.set_fields(bits - 1, bits - 9, 8, 0, bits - 9)
    kind.set_precision(bits)
    kind.set_size(bits // 8)
    return kind


def integer(precision: int, nbytes: int, offset: int = 0) -> Any:
    kind = h5t.STD_I32LE.copy()
    kind.set_size(max(4, nbytes))
    kind.set_precision(precision)
    kind.set_size(nbytes)
    kind.set_offset(offset)
    return kind


def biased() -> Any:
    kind = h5t.IEEE_F32LE.copy()
    kind.set_ebias(100)
    return kind


def enumeration() -> Any:
    kind = h5t.enum_create(h5t.STD_I8LE)
    kind.enum_insert(b"A", 0)
    kind.enum_insert(b"B", 1)
    return kind


def compounds(levels: int) -> Any:
    kind = h5t.IEEE_F32LE
    for _ in range(levels):
        outer = h5t.create(h5t.COMPOUND, 4)
        outer.insert(b"x", 0, kind)
        kind = outer
    return kind


TYPES: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "floats_of_24_bits": (float_of(24), (3, 3), WEIGHT),
    "floats_of_another_bias": (biased(), (3, 3), WEIGHT),
    "integers_of_3_bytes": (integer(24, 3), (3, 3), WEIGHT),
    "integers_of_16_bytes": (integer(128, 16), (3, 3), WEIGHT),
    "integers_of_20_bits": (integer(20, 4), (3, 3), WEIGHT),
    "integers_moved_by_5_bits": (integer(20, 4, 5), (3, 3), WEIGHT),
    "bit_fields": (h5t.STD_B32LE, (3, 3), WEIGHT),
    "times": (h5t.UNIX_D32LE, (3, 3), WEIGHT),
    "compounds_in_compounds": (compounds(50), (3, 3), WEIGHT),
    "lists_of_lists": (h5t.vlen_create(h5t.vlen_create(h5t.STD_I8LE)), (3, 3), WEIGHT),
    "elements_of_a_mebibyte": (h5t.array_create(h5t.STD_I8LE, (1024, 1024)), (3, 3), WEIGHT),
    "edges_of_references": (h5t.STD_REF_OBJ, (3, 2), EDGES),
    "edges_of_regions": (h5t.STD_REF_DSETREG, (3, 2), EDGES),
    "edges_of_an_enumeration": (enumeration(), (3, 2), EDGES),
    "edges_of_lists": (h5t.vlen_create(h5t.STD_I8LE), (3, 2), EDGES),
    "a_type_of_a_region": (h5t.STD_REF_DSETREG, (), TYPE),
    "a_type_of_numbers": (h5t.STD_U8LE, (6,), TYPE),
}
for _name, (_kind, _shape, _place) in TYPES.items():

    def _typed(file: Any, kind: Any = _kind, shape: Any = _shape, place: str = _place) -> None:
        low(file, place, kind, shape)

    _typed.__name__ = _name
    _field = _place.rpartition("/")[2]
    case(ParameterError, "" if _place == EDGES else "w", _field)(_typed)


@case()
def a_committed_type(file: Any) -> None:
    file["t"] = np.dtype("f4")
    low(file, WEIGHT, h5t.open(file.id, b"t"), data=EYE)


# ---------------------------------------------------------------------------------------------------------- strings


@case()
def a_type_with_room_to_spare(file: Any) -> None:
    swap(file, TYPE, data=np.array(b"Linear", "S64"))


@case(UnknownNodeError, "w", "type")
def a_type_with_spaces_behind(file: Any) -> None:
    kind = h5t.C_S1.copy()
    kind.set_size(10)
    kind.set_strpad(h5t.STR_SPACEPAD)
    low(file, TYPE, kind, ()).write(h5s.ALL, h5s.ALL, np.array(b"Linear    ", "S10"), kind)


@case(ParameterError, "w", "type")
def a_type_in_a_list(file: Any) -> None:
    swap(file, TYPE, data=np.array([b"Linear"]))


@case(FileError, None, "version")
def a_version_with_a_nul(file: Any) -> None:
    swap(file, "version", data=np.array(b"1.0\0.8"))


@case(GraphError, "in\0x", "edges")
def an_edge_with_a_nul(file: Any) -> None:
    swap(file, EDGES, data=np.array([[b"in\0x", b"out"]], "S8"))


@case(ParameterError, "", "edges")
def an_edge_of_half_a_character(file: Any) -> None:
    swap(file, EDGES, data=np.array([[b"\xed\xa0\x80", b"out"]], "S8"))


@case(GraphError, "", "edges")
def edges_without_an_end(file: Any) -> None:
    swap(file, EDGES, shape=(2, 0), dtype=raw_files.TEXT)


@whole(FileError, "w", "type")
def a_type_of_four_gigabytes(path: Path) -> None:
    with h5py.File(sound(path)) as file:
        offset = file[TYPE].id.get_offset()
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = b"\xff" * 4
    path.write_bytes(data)


@whole(FileError, "", "edges")
def edges_beyond_the_end(path: Path) -> None:
    with h5py.File(sound(path)) as file:
        offset = file[EDGES].id.get_offset()
    data = bytearray(path.read_bytes())
    data[offset + 4 : offset + 12] = b"\xff" * 8
    path.write_bytes(data)


@case(libver="latest")
def attributes_without_number(file: Any) -> None:
    for number in range(500):
        file["node"].attrs[f"a{number}"] = number
    file.attrs["big"] = np.zeros(10**5)


@case(GraphError, r"\xed\xa0\x80", "nodes")
def a_name_of_half_a_character(file: Any) -> None:
    h5o.link(file["node/nodes/n"].id, file["node/nodes"].id, b"\xed\xa0\x80")


# ----------------------------------------------------------------------------------------- containers, and what is none


@whole()
def paged_space(path: Path) -> None:
    sound(path, fs_strategy="page", fs_page_size=4096, fs_persist=True)


@whole()
def a_megabyte_before_the_file(path: Path) -> None:
    sound(path, userblock_size=2**20)


@whole()
def followed_by_a_gigabyte_of_nothing(path: Path) -> None:
    os.truncate(sound(path), 2**30)


@whole(FileError, None, "version")
def addresses_of_four_bytes(path: Path) -> None:
    plist = h5p.create(h5p.FILE_CREATE)
    plist.set_sizes(4, 4)
    target = h5f.create(os.fsencode(path), h5f.ACC_TRUNC, plist)
    with h5py.File(sound(path.with_suffix(".h5"))) as source, h5py.File(target) as file:
        for name in source:
            source.copy(name, file, name)


@whole(FileError)
def one_of_two_files(path: Path) -> None:
    sound(path, driver="split")
    os.rename(f"{path}-m.h5", path)


@whole(FileError)
def one_of_many_files(path: Path) -> None:
    sound(path.with_name("family-%d.h5"), driver="family", memb_size=8000)
    os.rename(path.with_name("family-0.h5"), path)


@whole(FileError)
def left_open_by_its_writer(path: Path) -> None:
    sound(path, libver="latest")
    code = "import h5py, os, sys; f = h5py.File(sys.argv[1], 'a', libver='latest'); f.swmr_mode = True; os._exit(0)"
    subprocess.run([sys.executable, "-c", code, path], check=True)


@whole(FileError)
def a_start_and_then_nonsense(path: Path) -> None:
    path.write_bytes(bytes(512) + b"\x89HDF\r\n\x1a\n" + b"\xff" * 4000)


@whole(GraphError, None, "node")
def another_librarys_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["model_weights/dense/kernel"] = EYE


@whole(FileError)
def a_file_of_the_systems(path: Path) -> None:
    """It says that it is empty, and may keep whoever reads it waiting."""
    os.symlink("/proc/self/environ", path)


@whole(FileError)
def a_device(path: Path) -> None:
    os.symlink("/dev/zero", path)


@whole(FileError)
def a_pipe(path: Path) -> None:
    os.mkfifo(path)
