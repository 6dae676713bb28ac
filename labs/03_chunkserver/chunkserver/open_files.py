"""A disk whose files stay open from one use to the next: opening costs more than a small write (given).

Every read and every mutation of a replica needs its files. `OpenFiles` is a Disk like the one below it, but `close`
only gives a file back, and the next `open` of that name finds it open. Of the files that nobody uses it keeps a bounded
number, those used last. Invariant: a name is never answered with a file that was removed or replaced before the call,
and a file is never closed under somebody who reads it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from labkit.disk import Buffer, Disk, File

KEPT = 128  # open files of which nobody need be using one; a process has about a thousand descriptors


class SharedFile:
    """An open file with any number of users, each of which calls `close` once."""

    def __init__(self, file: File, lock: threading.Lock) -> None:
        self._file = file
        self._lock = lock
        self.users = 0
        self.kept = True  # for the next user; otherwise the last one closes it

    def pread(self, offset: int, length: int) -> bytes:
        return self._file.pread(offset, length)

    def pwrite(self, offset: int, data: Buffer) -> None:
        self._file.pwrite(offset, data)

    def append(self, data: Buffer) -> int:
        return self._file.append(data)

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def size(self) -> int:
        return self._file.size()

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        with self._lock:
            self.users -= 1
            self.close_if_done()

    def close_if_done(self) -> None:
        """The caller holds the lock."""
        if not self.kept and self.users == 0:
            self._file.close()


class OpenFiles:
    """labkit.disk.Disk over another one. Safe to use from several threads."""

    def __init__(self, disk: Disk, most: int = KEPT) -> None:
        self._disk = disk
        self._most = most
        self._lock = threading.Lock()
        self._files: OrderedDict[str, SharedFile] = OrderedDict()  # by time of last use

    def open(self, name: str, *, create: bool = False) -> File:
        if create:  # rare, slow, and mostly for a file that gets another name soon
            return self._disk.open(name, create=True)
        with self._lock:
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = SharedFile(self._disk.open(name), self._lock)
            else:
                self._files.move_to_end(name)
            file.users += 1
            if len(self._files) > self._most:
                self._drop(next(iter(self._files)))
            return file

    def exists(self, name: str) -> bool:
        return self._disk.exists(name)

    def list(self) -> list[str]:
        return self._disk.list()

    def remove(self, name: str) -> None:
        self._disk.remove(name)
        with self._lock:
            self._drop(name)

    def replace(self, source: str, target: str) -> None:
        self._disk.replace(source, target)
        with self._lock:
            self._drop(source)
            self._drop(target)

    def _drop(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            file.kept = False
            file.close_if_done()
