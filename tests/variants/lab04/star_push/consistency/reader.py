"""Reading: the replicas take turns, and each gives a few blocks at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeVar

from consistency import records
from consistency.chunkservers import Chunkservers
from consistency.failures import ReadFailed
from consistency.locations import Chunk, Locations
from consistency.master import Master
from consistency.patience import Patience
from consistency.records import Found

from labkit import Context
from labkit.errors import InvalidPath, LabError, NoSuchChunk, NoSuchFile, StaleVersion

SMALL = 1500

T = TypeVar("T")


class Reader:
    def __init__(
        self,
        ctx: Context,
        master: Master,
        chunkservers: Chunkservers,
        locations: Locations,
        patience: float,
    ) -> None:
        self._ctx, self._master, self._chunkservers = ctx, master, chunkservers
        self._locations, self._patience = locations, patience
        self._turn = itertools.count()

    def scan(self, path: str, *, fresh: bool) -> list[Found]:
        return self.scan_from(path, 0, fresh=fresh)[0]

    def scan_from(self, path: str, first: int, *, fresh: bool = True) -> tuple[list[Found], int]:
        size, count = self._ctx.limits.chunk_size, self._count(path)
        chunks = (
            records.scan(self.chunk(path, index, 0, size, fresh=fresh), index * size)
            for index in range(first, count)
        )
        return [found for chunk in chunks for found in chunk.records], count

    def read(self, path: str, offset: int, length: int) -> bytes:
        size, read = self._ctx.limits.chunk_size, bytearray()
        end = offset + length
        for index in range(offset // size, -(-end // size) if length else 0):
            begin = max(offset - index * size, 0)
            want = min(end - index * size, size) - begin
            try:
                piece = self.chunk(path, index, begin, want)
                if len(piece) < want and index + 1 < self._count(path):
                    piece = self.chunk(path, index, begin, want)
                    piece += bytes(want - len(piece))
            except NoSuchChunk:
                break
            read += piece
            if len(piece) < want:
                break
        return bytes(read)

    def chunk(self, path: str, index: int, offset: int, length: int, *, fresh: bool = False) -> bytes:
        def attempt() -> bytes:
            chunk = self._master.locate(path, index, fresh=fresh)
            failure: LabError | None = None
            turn = next(self._turn) % max(1, len(chunk.replicas))
            for replica in (*chunk.replicas[turn:], *chunk.replicas[:turn]):
                try:
                    return self._from_replica(replica, chunk, offset, length)
                except LabError as error:
                    failure = error
            self._locations.forget_chunk(path, index)
            raise ReadFailed(f"nobody of {chunk.replicas} would do") from failure

        return self._patiently(f"chunk {index} of {path}", attempt)

    def _from_replica(
        self, replica: str, chunk: Chunk, offset: int, length: int, *, leased: bool = False
    ) -> bytes:
        read = b""
        while length > len(read):
            part = self._chunkservers.read(
                replica, chunk.handle, offset + len(read), min(SMALL, length - len(read)), leased=leased
            )
            if part.version < chunk.version:
                raise StaleVersion(f"{replica} was left behind")
            read += part.data
            if not part.data or offset + len(read) >= part.length:
                break
        return read

    def _count(self, path: str) -> int:
        return self._patiently(path, lambda: self._master.chunk_count(path))

    def _patiently(self, what: str, attempt: Callable[[], T]) -> T:
        patience = Patience(self._ctx.clock.now(), self._patience, self._ctx.rng)
        while True:
            try:
                return attempt()
            except (NoSuchFile, InvalidPath, NoSuchChunk):
                raise
            except LabError as error:
                rest = patience.pause(self._ctx.clock.now())
                if rest is None:
                    raise ReadFailed(f"{what} could not be read") from error
                self._ctx.clock.sleep(rest)
