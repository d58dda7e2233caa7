"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from types import ModuleType

from nirjax.errors import FileError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # no such locks there
    fcntl = None


def replace_file(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Put `data` into the file `path`, in one step: after a kill or a power cut the path holds the old content or the
    new one, whole. It is written beside the target under a hidden name, synced, and moved over it. What a writer of
    the same path left that was killed is removed.

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
    _remove_abandoned(folder, base)
    temporary = os.path.join(folder, f".{_short(base)}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:  # from before there is a file: a signal may end the process at any line
        descriptor = _opened(temporary)
        try:
            if mode is not None:
                os.chmod(temporary, mode)
            _write_all(descriptor, memoryview(data))
            os.fsync(descriptor)
            if fcntl is not None:  # the lock is held until nobody can take the file for abandoned
                os.replace(temporary, target)
        finally:
            os.close(descriptor)
        if fcntl is None:  # an open file cannot be moved there
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _short(base: str) -> str:
    """A name's start: with what is put around it, still short enough for any file system."""
    return base.encode("utf-8", "ignore")[:100].decode("utf-8", "ignore")


def _opened(temporary: str) -> int:
    """A new file, locked where that can be done."""
    while True:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if fcntl is None:
            return descriptor
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
        if os.path.exists(temporary):
            return descriptor
        os.close(descriptor)  # another writer took it for abandoned before it was locked


def _remove_abandoned(folder: str, base: str) -> None:
    """Remove what writers of the same target left that were killed: temporary files that nobody has locked.

    The system lets go of a lock when its process ends, in whatever way. These locks are a process's, so files of this
    one are left alone. (They are not those by which HDF5 keeps others from a file that it writes.)
    """
    if fcntl is None:
        return
    name = re.compile(rf"\.{re.escape(_short(base))}\.(\d+)\.[0-9a-f]{{8}}\.tmp")
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            found = name.fullmatch(entry.name)
            if found and int(found[1]) != os.getpid() and entry.is_file(follow_symlinks=False):
                _remove_unlocked(entry.path)


def _remove_unlocked(path: str) -> None:
    assert fcntl is not None
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(descriptor)


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
