"""The durable state: what the log, replayed from its first record, amounts to (GFS §2.6.3).

`apply` is deterministic. It reads neither time nor chance nor anything volatile, and the running master
changes this state through it alone, so that memory and replay can never disagree. An operation that does
not fit is a ValueError or the namespace's error, and changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from gfs_master.chunks import FIRST_VERSION, Chunk
from gfs_master.namespace import Namespace
from gfs_master.operations import (
    AddChunk,
    CommitVersion,
    CreateFile,
    Operation,
    RaiseVersion,
    ReserveHandle,
)


class State:
    """Files, chunks, and the next unused handle."""

    def __init__(self) -> None:
        self.namespace = Namespace()
        self.chunks: dict[int, Chunk] = {}
        self.next_handle = 1

    def apply(self, operation: Operation) -> None:
        """Carry out one operation."""
        match operation:
            case CreateFile():
                self.namespace.create(operation.path)
            case ReserveHandle():
                self.reserve_handle(operation)
            case AddChunk():
                self.add_chunk(operation)
            case RaiseVersion():
                self.raise_version(operation)
            case CommitVersion():
                self.commit_version(operation)

    def reserve_handle(self, operation: ReserveHandle) -> None:
        """Use up a handle, which must be `next_handle`."""
        # lab 2 part B: what is gone is gone, even if no chunk comes of it
        _require(operation.handle == self.next_handle, operation)
        self.next_handle += 1

    def add_chunk(self, operation: AddChunk) -> None:
        """Add a chunk at FIRST_VERSION to its file. Its handle must be reserved and no chunk's yet."""
        # lab 2 part B: look before you change anything; the namespace looks itself
        handle = operation.handle
        _require(handle < self.next_handle and handle not in self.chunks, operation)
        self.namespace.add_chunk(operation.path, operation.index, handle)
        self.chunks[handle] = Chunk(handle, FIRST_VERSION, FIRST_VERSION, operation.told)

    def raise_version(self, operation: RaiseVersion) -> None:
        """Note the highest number told to replicas. It must be above `attempted`."""
        # lab 2 part C: `version` stays, nothing is committed yet
        chunk = self._chunk(operation.handle, operation)
        _require(operation.version > chunk.attempted, operation)
        self.chunks[chunk.handle] = replace(chunk, attempted=operation.version)

    def commit_version(self, operation: CommitVersion) -> None:
        """Commit a version with its replicas and its primary, one of them. It must be `attempted`, and not
        committed before."""
        # lab 2 part C: a new Chunk
        chunk = self._chunk(operation.handle, operation)
        version, told, primary = operation.version, operation.told, operation.primary
        _require(chunk.version < version == chunk.attempted and primary in told, operation)
        self.chunks[chunk.handle] = Chunk(chunk.handle, version, version, told, primary)

    def _chunk(self, handle: int, operation: Operation) -> Chunk:
        # lab 2 part C
        _require(handle in self.chunks, operation)
        return self.chunks[handle]


def _require(fits: bool, operation: Operation) -> None:
    # lab 2 part B
    if not fits:
        raise ValueError(f"{operation} does not fit the state it is applied to")
