"""A disk whose unsynced bytes die with the process, and that can kill its node at the n-th operation.

kill -9 alone loses nothing a program wrote: the kernel keeps it. So what is not synced is held here, in the
process, over the durable image in a real file; sync() moves it there. A SIGKILL then is a power failure.

Every operation that changes something is numbered from 1 in the order the node makes them. `CrashAt(n, when)`
kills the node at operation n:
    before   nothing of it reaches the image
    half     what was pending for that file before it does, and half of its own bytes: a torn write. For a sync, half
             of the pending bytes. Renaming and removing are atomic: half is before
    after    all of it does, as if the system had written back by itself; the node dies before it can tell anyone
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

from labkit.disk import Buffer, File, check_name

BEFORE, HALF, AFTER = "before", "half", "after"
WHEN = (BEFORE, HALF, AFTER)


@dataclass(frozen=True, slots=True)
class Operation:
    """One numbered operation: what, on which file, how many bytes."""

    number: int
    what: str
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class CrashAt:
    operation: int
    when: str


class CrashDisk:
    """labkit.disk.Disk over `directory`, which is the durable image."""

    def __init__(self, directory: Path, capacity: int, crash_at: CrashAt | None = None) -> None:
        self._directory = directory
        self._capacity = capacity
        self._crash_at = crash_at
        self.operations: list[Operation] = []
        self._lock = threading.RLock()
        self._images: dict[str, _Image] = {}
        for name in os.listdir(directory):
            self._images[name] = _Image(directory / name)

    def open(self, name: str, *, create: bool = False) -> File:
        with self._lock:
            image = self._images.get(check_name(name))
            if image is None:
                if not create:
                    raise FileNotFoundError(errno.ENOENT, "no such file on this disk", name)
                when = self._number("create", name, 0)
                if when in (None, AFTER):
                    image = self._images[name] = _Image(self._directory / name)
                self._die(when)
            assert image is not None
            return CrashFile(self, name, image)

    def exists(self, name: str) -> bool:
        return check_name(name) in self._images

    def list(self) -> list[str]:
        with self._lock:
            return sorted(self._images)

    def remove(self, name: str) -> None:
        with self._lock:
            if check_name(name) not in self._images:
                raise FileNotFoundError(errno.ENOENT, "no such file on this disk", name)
            when = self._number("remove", name, 0)
            if when in (None, AFTER):
                (self._directory / name).unlink()
                del self._images[name]
            self._die(when)

    def replace(self, source: str, target: str) -> None:
        with self._lock:
            for name in (source, target):
                check_name(name)
            if source not in self._images:
                raise FileNotFoundError(errno.ENOENT, "no such file on this disk", source)
            when = self._number("replace", target, 0)
            if when in (None, AFTER):
                (self._directory / source).replace(self._directory / target)
                self._images[target] = self._images.pop(source)
            self._die(when)

    def die_at(self, operation: int, when: str) -> int:
        """Die at the `operation`-th from now on, with 0 at none; how many there were. Whoever is dying already never
        returns from here."""
        with self._lock:
            done = len(self.operations)
            self._crash_at = CrashAt(done + operation, when)
            return done

    def leave_room(self, free: int) -> None:
        """From now on the disk is full once `free` more bytes are on it."""
        with self._lock:
            self._capacity = free + sum(one.size() for one in self._images.values())

    def lose(self, name: str) -> None:
        """The file is gone, for those too who have it open, as if it had never been."""
        with self._lock:
            image = self._images.pop(name)
            image.vanish()
            (self._directory / name).unlink()

    def read(self, image: _Image, offset: int, length: int) -> bytes:
        if not image.pending:
            return image.read(offset, length)
        with self._lock:  # a sync in between would move bytes from pending to the image under our eyes
            return image.read(offset, length)

    def size(self, image: _Image) -> int:
        with self._lock:
            return image.size()

    def append(self, name: str, image: _Image, data: bytes) -> int:
        with self._lock:
            offset = image.size()
            self.mutate("append", name, image, _Change(offset, data))
        return offset

    def mutate(self, what: str, name: str, image: _Image, change: _Change) -> None:
        """A numbered write or truncate, kept pending."""
        with self._lock:
            when = self._number(what, name, len(change.data))
            if when is None:
                self._check_room(image, change)
                image.pending.append(change)
                return
            if when != BEFORE:
                image.flush()
                image.apply(change if when == AFTER else change.half())
            self._die(when)

    def sync(self, name: str, image: _Image) -> None:
        with self._lock:
            when = self._number("sync", name, sum(len(change.data) for change in image.pending))
            if when == HALF:
                image.flush_half()
            elif when != BEFORE:
                image.flush()
            self._die(when)

    def _number(self, what: str, name: str, size: int) -> str | None:
        """Count an operation; how it is to crash, or None."""
        number = len(self.operations) + 1
        self.operations.append(Operation(number, what, name, size))
        crash = self._crash_at
        return crash.when if crash is not None and crash.operation == number else None

    def _die(self, when: str | None) -> None:
        if when is not None:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()  # never returns: the signal is on its way

    def _check_room(self, image: _Image, change: _Change) -> None:
        grown = change.end() - image.size()
        if grown > 0 and grown + sum(one.size() for one in self._images.values()) > self._capacity:
            raise OSError(errno.ENOSPC, "the disk is full")


@dataclass(frozen=True, slots=True)
class _Change:
    """Bytes at an offset; or a truncation to `offset` when `cut`."""

    offset: int
    data: bytes
    cut: bool = False

    def end(self) -> int:
        return self.offset + len(self.data)

    def half(self) -> _Change:
        return _Change(self.offset, self.data[: len(self.data) // 2], self.cut)


class _Image:
    """One file: its durable bytes on the real disk and the changes still pending, oldest first."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.pending: list[_Change] = []
        weakref.finalize(self, os.close, self._fd)  # when it is removed or replaced, and nobody has it open

    def vanish(self) -> None:
        self.pending.clear()
        os.ftruncate(self._fd, 0)

    def size(self) -> int:
        size = os.fstat(self._fd).st_size
        for change in self.pending:
            size = change.offset if change.cut else max(size, change.end() if change.data else 0)
        return size

    def read(self, offset: int, length: int) -> bytes:
        if not self.pending:
            return os.pread(self._fd, length, offset)
        window = bytearray(os.pread(self._fd, length, offset))
        for change in self.pending:
            start = change.offset - offset
            if change.cut:
                keep = max(0, min(start, length))
                window = window[:keep] + bytes(max(0, keep - len(window)))
                continue
            if not change.data:
                continue
            end = start + len(change.data)
            window += bytes(max(0, min(end, length) - len(window)))  # a gap before it reads as zeros
            low, high = max(0, start), min(end, length)
            if low < high:
                window[low:high] = change.data[low - start : high - start]
        return bytes(window)

    def apply(self, change: _Change) -> None:
        if change.cut:
            os.ftruncate(self._fd, change.offset)
        view = memoryview(change.data)
        offset = change.offset
        while view:
            written = os.pwrite(self._fd, view, offset)
            offset += written
            view = view[written:]

    def flush(self) -> None:
        for change in self.pending:
            self.apply(change)
        self.pending.clear()

    def flush_half(self) -> None:
        budget = sum(len(change.data) for change in self.pending) // 2
        for change in self.pending:
            if len(change.data) > budget:
                self.apply(_Change(change.offset, change.data[:budget], change.cut))
                return
            self.apply(change)
            budget -= len(change.data)


class CrashFile:
    """labkit.disk.File on a CrashDisk."""

    def __init__(self, disk: CrashDisk, name: str, image: _Image) -> None:
        self._disk = disk
        self._name = name
        self._image = image

    def pread(self, offset: int, length: int) -> bytes:
        return self._disk.read(self._image, offset, length)

    def pwrite(self, offset: int, data: Buffer) -> None:
        self._disk.mutate("pwrite", self._name, self._image, _Change(offset, bytes(data)))

    def append(self, data: Buffer) -> int:
        return self._disk.append(self._name, self._image, bytes(data))

    def truncate(self, size: int) -> None:
        self._disk.mutate("truncate", self._name, self._image, _Change(size, b"", cut=True))

    def size(self) -> int:
        return self._disk.size(self._image)

    def sync(self) -> None:
        self._disk.sync(self._name, self._image)

    def close(self) -> None:
        """Nothing to do: closing is no sync, and the image lives as long as the node."""
