"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat

from nirjax.errors import FileError


def replace_file(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Put `data` into the file `path`, in one step: after a kill or a power cut the path holds the old content or the
    new one, whole. It is written beside the target under a hidden name, synced, and moved over it.

    Raises:
        FileError: the disk is full, a limit is reached, no permission, the target is no regular file. The old file is
            untouched then, and nothing else is left.
    """
    name = os.fspath(path)
    try:
        target = os.path.realpath(name)
        mode = _mode_of(target, name)
        _replace(target, data, mode)
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError("the file cannot be written", file=name, found=reason) from None


def _mode_of(target: str, name: str) -> int | None:
    """Permissions of the file that is there, None if there is none."""
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise FileError("the file cannot be replaced", file=name, found=kind)
    return stat.S_IMODE(found.st_mode)


def _replace(target: str, data: bytes | memoryview, mode: int | None) -> None:
    folder, base = os.path.split(target)
    # a name of its own for every writer, short enough for any file system
    temporary = os.path.join(folder, f".{base[:100]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        try:
            if mode is not None:
                os.chmod(temporary, mode)
            _write_all(descriptor, memoryview(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data[: 2**26]) :]


def _sync_folder(folder: str) -> None:
    """Make the move itself last through a power cut, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
