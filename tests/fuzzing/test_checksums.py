"""The checksum, against the author's own values and against what HDF5 wrote."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest

from fuzzing.checksums import covered, lookup3, resealed
from fuzzing.seeds import graphs, stored
from nirjax.ir.writing import serialised


@pytest.mark.parametrize(
    ("data", "value"), [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)], ids=["empty", "speech"]
)
def test_the_values_in_lookup3_c(data: bytes, value: int) -> None:
    assert lookup3(data) == value


def test_what_hdf5_wrote() -> None:
    for name in ("names", "wide", "nested"):
        data = stored(graphs()[name], "latest", np.random.default_rng(0))
        places = list(covered(data))
        assert len(places) > 5
        for start, end in places:
            assert data[end : end + 4] == lookup3(data[start:end]).to_bytes(4, "little"), data[start : start + 4]
        assert resealed(data, 0, len(data)) == data


def test_damage_that_is_sealed_again_is_read() -> None:
    image = io.BytesIO()
    with h5py.File(image, "w", libver="latest") as file:
        file.attrs["seen"] = np.bytes_("abcdef")
    data = image.getvalue()
    at = data.index(b"abcdef")
    damaged = data[:at] + b"X" + data[at + 1 :]
    with pytest.raises((OSError, KeyError), match="checksum"), h5py.File(io.BytesIO(damaged)) as file:
        _ = file.attrs["seen"]
    with h5py.File(io.BytesIO(resealed(damaged, at, at + 1))) as file:
        assert file.attrs["seen"] == b"Xbcdef"


def test_a_file_without_checksums_stays_as_it_is() -> None:
    data = serialised(graphs()["LIF"])
    assert resealed(data, 0, len(data)) == data
