"""Durable storage: named files in one flat directory, and a promise about crashes.

What `sync()` returned for is there after any crash. What was written but not synced may be gone, be there,
or be there in part; under the harness a killed node loses it. `replace`, `remove` and the creation of a
file are atomic and durable at once, in the order they were made: stronger than POSIX, where they need a
sync of the directory, so that the lab is about contents. File names are 1 to 100 of `A-Za-z0-9._-`.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Protocol

Buffer = bytes | bytearray | memoryview

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class File(Protocol):
    """An open file. Offsets and sizes in bytes. Safe to use from several threads."""

    def pread(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file."""
        ...

    def pwrite(self, offset: int, data: Buffer) -> None:
        """All of `data` at `offset`; a gap behind the end reads as zeros. Not durable before sync()."""
        ...

    def append(self, data: Buffer) -> int:
        """All of `data` at the end; the offset it went to. Not durable before sync()."""
        ...

    def truncate(self, size: int) -> None:
        """Cut or extend with zeros to `size`. Not durable before sync()."""
        ...

    def size(self) -> int: ...

    def sync(self) -> None:
        """Return when everything written before the call is durable."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """A node's disk. OSError as the system gives it: FileNotFoundError, ENOSPC, EIO."""

    def open(self, name: str, *, create: bool = False) -> File: ...

    def exists(self, name: str) -> bool: ...

    def list(self) -> list[str]:
        """All file names, sorted."""
        ...

    def remove(self, name: str) -> None: ...

    def replace(self, source: str, target: str) -> None:
        """Rename, replacing `target` if it exists. Sync the source first: renaming does not."""
        ...


def check_name(name: str) -> str:
    """`name`, or ValueError: a disk is flat, and nothing may step out of it."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no file name: use 1 to 100 letters, digits, and . _ -")
    return name


class OsFile:
    """A file on the real disk, synced with fdatasync."""

    def __init__(self, path: Path, create: bool) -> None:
        self._fd = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        self._append_lock = threading.Lock()

    def pread(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def pwrite(self, offset: int, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            offset += written
            view = view[written:]

    def append(self, data: Buffer) -> int:
        with self._append_lock:
            offset = self.size()
            self.pwrite(offset, data)
        return offset

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def size(self) -> int:
        # A third of what fstat takes; nothing here uses the position.
        return os.lseek(self._fd, 0, os.SEEK_END)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class OsDisk:
    """A directory of the real file system."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def open(self, name: str, *, create: bool = False) -> File:
        path = self._directory / check_name(name)
        made = create and not path.exists()
        file = OsFile(path, create)
        if made:
            self._sync_directory()
        return file

    def exists(self, name: str) -> bool:
        return (self._directory / check_name(name)).exists()

    def list(self) -> list[str]:
        return sorted(os.listdir(self._directory))

    def remove(self, name: str) -> None:
        (self._directory / check_name(name)).unlink()
        self._sync_directory()

    def replace(self, source: str, target: str) -> None:
        (self._directory / check_name(source)).replace(self._directory / check_name(target))
        self._sync_directory()

    def _sync_directory(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
