"""Lab 4's node: hosts the student's consistency.Client."""

from __future__ import annotations

from typing import Any

from harness.drivers.program import Commands, Packages
from labkit import Context
from labkit.checksum import crc32c
from labkit.disk import Buffer


def start(context: Context, packages: Packages) -> Commands:
    client: Any = packages["consistency"].Client(context)

    def append(path: str, body: bytes, writer: int, sequence: int) -> int:
        return client.append(path, body, record_id=(writer, sequence))

    def scan(path: str, fresh: bool = True) -> list[list[int]]:
        """[offset, writer, sequence, crc32c of the body] of every record, duplicates included."""
        return [_row(found) for found in client.scan(path, fresh=fresh)]

    def records(path: str) -> list[list[int]]:
        """The same without duplicates."""
        return [_row(found) for found in client.records(path)]

    def read(path: str, offset: int, length: int) -> bytes:
        found: Buffer | None = client.read(path, offset, length)
        if not isinstance(found, Buffer):
            raise TypeError(f"read() returned {found!r:.100}, not bytes")
        return bytes(found)

    followers: dict[str, Any] = {}

    def follow(path: str) -> list[list[int]]:
        """What is new since the last time, in the same form."""
        if path not in followers:
            followers[path] = client.follow(path)
        return [_row(found) for found in followers[path].more()]

    return {
        "follow": follow,
        "create": client.create,
        "append": append,
        "scan": scan,
        "records": records,
        "read": read,
        "write": client.write,
    }


def _row(found: Any) -> list[int]:
    writer, sequence = found.record_id
    return [found.offset, writer, sequence, crc32c(found.body)]
