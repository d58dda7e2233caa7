"""Files that a stranger might send: sound HDF5 with something in it that hardly anybody writes, or that nobody should.

Each function changes a sound file; `CASES` has them all with what reading the file is to give: the error's class, node
and field, or None where the file is legal and holds what the sound one does. Here: links and storage; types, strings
and containers are in `ir.strange_content`, which adds to the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

from ir import raw_files
from nirjax.errors import FileError, GraphError, NIRError, ParameterError, UnknownNodeError

Verdict = tuple[type[NIRError], str | None, str | None] | None
Change = Callable[[Path], None]

SECRET = "secret.h5"
"""Name of the file beside that must not be opened."""

WEIGHT, TYPE, EDGES = "node/nodes/w/weight", "node/nodes/w/type", "node/edges"
ONES, EYE = np.ones(3, np.float32), np.eye(3, dtype=np.float32)

CASES: dict[str, tuple[Change, Verdict]] = {}


def sound(path: Path, **options: Any) -> Path:
    """in -> w -> n -> out, of three channels, as the reference package writes it."""
    ports = {
        name: raw_files.node(kind, {"shape": np.array([3])}) for name, kind in (("in", "Input"), ("out", "Output"))
    }
    n = {"tau": ONES, "r": ONES, "v_leak": 0 * ONES, "v_threshold": ONES, "v_reset": 0 * ONES}
    nodes = {"w": raw_files.node("Linear", {"weight": EYE}), "n": raw_files.node("LIF", n)}
    root = raw_files.graph({**ports, **nodes}, [("in", "w"), ("w", "n"), ("n", "out")])
    return raw_files.save(path, root, **options)


def whole(kind: type[NIRError] | None = None, node: str | None = None, field: str | None = None) -> Any:
    """Register what makes a whole file."""

    def register(make: Change) -> Change:
        CASES[make.__name__] = make, None if kind is None else (kind, node, field)
        return make

    return register


def case(kind: type[NIRError] | None = None, node: str | None = None, field: str | None = None, **options: Any) -> Any:
    """Register what changes a sound file, open."""

    def register(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def make(path: Path) -> None:
            with h5py.File(sound(path, **options), "a") as file:
                change(file)

        make.__name__ = change.__name__
        whole(kind, node, field)(make)
        return change

    return register


def swap(file: Any, place: str, **given: Any) -> Any:
    if place in file:
        del file[place]
    return file.create_dataset(place, **given)


def low(file: Any, place: str, kind: Any, shape: tuple[int, ...] = (3, 3), plist: Any = None, data: Any = None) -> Any:
    """A dataset of a type, and with properties, that only HDF5's own interface has words for."""
    if place in file:
        del file[place]
    space = h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)
    made = h5d.create(file.id, place.encode(), kind, space, plist)
    if data is not None:
        made.write(h5s.ALL, h5s.ALL, data)
    return made


# ------------------------------------------------------------------------------------------------------------ links


@case()
def a_soft_link_beside_the_graph(file: Any) -> None:
    file["other"] = h5py.SoftLink("/node")


@case()
def an_external_link_beside_the_graph(file: Any) -> None:
    file["other"] = h5py.ExternalLink(SECRET, "/w")


@case(FileError, None, "version")
def the_version_elsewhere(file: Any) -> None:
    del file["version"]
    file["version"] = h5py.ExternalLink(SECRET, "/w")


@case(FileError, "", "metadata")
def metadata_elsewhere_below(file: Any) -> None:
    file["node/metadata/a/b"] = h5py.ExternalLink(SECRET, "/w")


@whole(FileError, "", "metadata")
def a_link_of_a_users_own_kind(path: Path) -> None:
    with h5py.File(sound(path), "a", libver=("earliest", "v108")) as file:
        file["node/metadata/a"] = h5py.ExternalLink(SECRET, "/QQQQ")
    data = bytearray(path.read_bytes())
    data[data.rfind(b"\x01\x08\x40", 0, data.find(b"QQQQ")) + 2] = 100
    path.write_bytes(data)


@case(FileError, "", "metadata")
def metadata_that_is_the_file(file: Any) -> None:
    file["node/metadata"] = file["/"]


@case(FileError, "w", "metadata")
def metadata_that_is_the_nodes(file: Any) -> None:
    file["node/nodes/w/metadata"] = file["node/nodes"]


@case(FileError, "", None)
def metadata_of_a_million_million_groups(file: Any) -> None:
    file["node/metadata"] = doubling(file)["0"]


@case(GraphError, "boom" + "/x" * 39, "type")
def a_node_of_a_million_million_groups(file: Any) -> None:
    file["node/nodes/boom"] = doubling(file)["0"]


def doubling(file: Any) -> Any:
    """Groups each of which holds the next one twice."""
    pool = [file.create_group(f"pool/{number}") for number in range(40)]
    for above, below in pairwise(pool):
        above["x"] = above["y"] = below
    return file["pool"]


@case(GraphError, "s/t", None)
def part_of_a_name_that_holds_itself(file: Any) -> None:
    group = file["node/nodes"].create_group("s")
    group["t"] = group


@case(GraphError, "/".join("a" * 128), "nodes")
def a_name_of_three_thousand_parts(file: Any) -> None:
    group = file["node/nodes"]
    for _ in range(3000):
        group = group.create_group("a")
    file.copy("node/nodes/n", group, "n")


@case(GraphError, "z", "type")
def a_node_that_is_the_file(file: Any) -> None:
    file["node/nodes/z"] = file["/"]


@case(UnknownNodeError, "w", "type")
def a_type_that_is_the_version(file: Any) -> None:
    del file[TYPE]
    file[TYPE] = file["version"]


@case(GraphError, "", "edges")
def edges_that_are_a_weight(file: Any) -> None:
    del file[EDGES]
    file[EDGES] = file[WEIGHT]


# ---------------------------------------------------------------------------------------------------------- storage


def external() -> Any:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_external(SECRET.encode(), 0, 1000)
    return plist


@case(FileError, "w", "type")
def a_type_stored_elsewhere(file: Any) -> None:
    low(file, TYPE, h5t.C_S1, (1,), external())


@case(FileError, "", "edges")
def edges_stored_elsewhere(file: Any) -> None:
    low(file, EDGES, h5t.py_create(np.dtype("S4")), (3, 2), external())


@case(FileError, None, "version")
def a_version_stored_elsewhere(file: Any) -> None:
    low(file, "version", h5t.C_S1, (1,), external())


@case(FileError, "", "metadata")
def metadata_of_another_file(file: Any) -> None:
    layout = h5py.VirtualLayout((3, 3), "f4")
    layout[:] = h5py.VirtualSource(SECRET, "w", shape=(3, 3))
    file.create_virtual_dataset("node/metadata/x", layout)


@case(FileError, "w", "weight")
def a_chunk_of_a_gigabyte(file: Any) -> None:
    swap(file, WEIGHT, shape=(3, 3), dtype="f4", chunks=(2**14, 2**14), maxshape=(None, None), compression="gzip")


@case(FileError, "w", "weight")
def a_stored_chunk_of_a_hundred_megabytes(file: Any) -> None:
    swap(file, WEIGHT, data=EYE, chunks=(5000, 5000), maxshape=(None, None), compression="gzip")


@case()
def a_chunk_larger_than_the_data(file: Any) -> None:
    swap(file, WEIGHT, data=EYE, chunks=(500, 500), maxshape=(None, None), compression="gzip", shuffle=True)


@case(FileError, "w", "weight")
def nine_million_chunks(file: Any) -> None:
    swap(file, WEIGHT, shape=(3000, 3000), dtype="f4", chunks=(1, 1))


@case(FileError, "w", "weight")
def a_filter_that_loses_digits(file: Any) -> None:
    swap(file, WEIGHT, data=EYE, scaleoffset=3, chunks=(3, 3))


@case(FileError, "w", "weight")
def a_filter_thirty_times(file: Any) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((3, 3))
    for _ in range(30):
        plist.set_shuffle()
    low(file, WEIGHT, h5t.IEEE_F32LE, plist=plist, data=EYE)


@case(ParameterError, "w", "weight")
def nothing_stored_and_nan_to_fill_it(file: Any) -> None:
    swap(file, WEIGHT, shape=(3, 3), dtype="f4", chunks=(3, 3), fillvalue=np.nan)


@case()
def an_endless_shape_to_grow_to(file: Any) -> None:
    swap(file, WEIGHT, data=EYE, chunks=(1, 1), maxshape=(2**60, 2**60))


@case(GraphError, "", "edges")
def edges_never_stored(file: Any) -> None:
    """Without a fill value HDF5 leaves the reader's memory as it is, with whatever lies there."""
    low(file, EDGES, h5t.py_create(np.dtype("S4")), (3, 2), unfilled())


def unfilled() -> Any:
    """Storage that is made when first written to, and that nothing fills."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_fill_time(h5d.FILL_TIME_NEVER)
    plist.set_alloc_time(h5d.ALLOC_TIME_LATE)
    return plist


@whole(FileError)
def a_file_shorter_than_its_data(path: Path) -> None:
    with h5py.File(sound(path), "a") as file:
        offset = swap(file, WEIGHT, data=np.ones((300, 300), np.float32)).id.get_offset()
    path.write_bytes(path.read_bytes()[: offset + 100])
