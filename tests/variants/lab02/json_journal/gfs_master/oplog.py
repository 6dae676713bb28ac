"""The log: lines of JSON, each behind the checksum of its text; and a thread that syncs whenever there is something new."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Iterator
from typing import Any

from labkit.disk import Disk, File
from labkit.errors import LabError

PREFIX = "journal."


class LogBroken(LabError):
    pass


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    raise TypeError(f"{value!r} in the log")


def _bytes(found: dict[str, Any]) -> Any:
    return base64.b64decode(found["b64"]) if found.keys() == {"b64"} else found


def encode(record: Any) -> bytes:
    text = json.dumps(record, default=_plain).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def walk(data: bytes) -> Iterator[tuple[Any, int]]:
    """The whole lines that `data` begins with, each with where it ends."""
    at = 0
    while (end := data.find(b"\n", at)) != -1:
        check, _, text = data[at:end].partition(b" ")
        if check != b"%08x" % zlib.crc32(text):
            return
        at = end + 1
        yield json.loads(text, object_hook=_bytes), at


def scan(data: bytes) -> tuple[list[Any], int]:
    records, end = [], 0
    for record, end in walk(data):  # noqa: B007
        records.append(record)
    return records, end


class OpLog:
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._changed = threading.Condition()
        self._files: dict[int, File] = {}
        self._begins: dict[int, int] = {}  # position at which a segment begins
        self._first = self.last = 0
        self.end = self._synced = 0
        self._problem: BaseException | None = None
        self._closed = False

    @property
    def size(self) -> int:
        with self._changed:
            return self.end - min(self._begins.values())

    def begin(self) -> None:
        list(self.recover(1))

    def recover(self, first: int) -> Iterator[Any]:
        numbers = sorted(int(name[len(PREFIX) :]) for name in self._disk.list() if name.startswith(PREFIX))
        for number in [one for one in numbers if one < first]:
            self._disk.remove(f"{PREFIX}{number}")
        numbers = [one for one in numbers if one >= first] or [first]
        if numbers != list(range(first, numbers[-1] + 1)):
            raise LogBroken(f"segments {numbers}, and it should begin with {first}")
        for number in numbers:
            file = self._disk.open(f"{PREFIX}{number}", create=True)
            data = file.pread(0, file.size())
            records, good = scan(data)
            if good < len(data):
                if number != numbers[-1]:
                    raise LogBroken(f"segment {number} is torn")
                file.truncate(good)
            file.sync()
            self._files[number], self._begins[number] = file, self.end
            self.end += good
            yield from records
        self.last, self._synced = numbers[-1], self.end
        threading.Thread(target=self._sync_for_ever, name="journal", daemon=True).start()

    def append(self, record: Any) -> None:
        line = encode(record)
        with self._changed:
            self._check()
            file, begin = self._files[self.last], self._begins[self.last]
            try:
                file.pwrite(self.end - begin, line)
            except OSError:
                try:
                    file.truncate(self.end - begin)
                except OSError as error:
                    self._problem = error
                raise
            self.end += len(line)
            self._changed.notify_all()

    def wait_durable(self, position: int) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._synced >= position or self._problem is not None or self._closed
            )
            if self._synced < position:
                self._check()
                raise LogBroken("closed")
            self._check()

    def _sync_for_ever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.end > self._synced or self._closed)
                if self._closed or self._problem is not None:
                    return
                end, file = self.end, self._files[self.last]
            try:
                file.sync()
            except BaseException as error:
                with self._changed:
                    self._problem = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._synced = max(self._synced, end)
                self._changed.notify_all()

    def rotate(self) -> int:
        self.wait_durable(self.end)
        file = self._disk.open(f"{PREFIX}{self.last + 1}", create=True)
        with self._changed:
            self._files[self.last + 1], self._begins[self.last + 1] = file, self.end
            self.last += 1
            return self.last

    def forget(self, first: int) -> None:
        for number in sorted(self._files):
            if number < first:
                with self._changed:
                    self._files.pop(number).close()
                    del self._begins[number]
                self._disk.remove(f"{PREFIX}{number}")

    def read(self, number: int, position: int, length: int) -> bytes | None:
        with self._changed:
            if number not in self._files:
                return None
            end = self._begins.get(number + 1, self._synced)
            left = min(end, self._synced) - self._begins[number] - position
            return self._files[number].pread(position, min(length, left)) if left > 0 else b""

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for file in self._files.values():
                file.close()

    def _check(self) -> None:
        if self._problem is not None:
            raise LogBroken(f"the journal cannot go on: {self._problem!r}")
