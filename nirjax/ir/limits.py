"""What a file may ask for while it is read."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_BYTES = 256 * 2**20
BYTES_PER_FILE_BYTE = 64
BYTES_PER_WORD = 128
BYTES_PER_EDGE = 200
SECONDS = 1
SECONDS_PER_MIB = 2


@dataclass(frozen=True)
class Limits:
    """What a file may ask for.

    Attributes:
        bytes: declared sizes of everything that is to be read, added up over the file; words and edges count with what
            they take as Python objects.
        groups: groups visited; a group that is reached twice counts twice.
        chunks: pieces of one dataset.
        seconds: processor time of the worker, once it has started. (A sound small file takes milliseconds.)
    """

    bytes: int
    groups: int
    chunks: int
    seconds: int

    @staticmethod
    def of(file_size: int, max_bytes: int | None = None) -> Limits:
        """Limits for a file of this size: in an honest file each group and each chunk takes some bytes."""
        return Limits(
            bytes=max(LEAST_BYTES, BYTES_PER_FILE_BYTE * file_size) if max_bytes is None else max_bytes,
            groups=1000 + file_size // 64,
            chunks=1000 + file_size // 8,
            seconds=SECONDS + SECONDS_PER_MIB * file_size // 2**20,
        )
