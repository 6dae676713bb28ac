"""The durable state: what the log, replayed from its first record, amounts to (GFS §2.6.3).

`apply` is deterministic. It reads neither time nor chance nor anything volatile, and the running master
changes this state through it alone, so that memory and replay can never disagree. An operation that does
not fit is a ValueError or the namespace's error, and changes nothing.
"""

from __future__ import annotations

from gfs_master.chunks import Chunk
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
        raise NotImplementedError("lab 2 part B: what is gone is gone, even if no chunk comes of it")

    def add_chunk(self, operation: AddChunk) -> None:
        """Add a chunk at FIRST_VERSION to its file. Its handle must be reserved and no chunk's yet."""
        raise NotImplementedError("lab 2 part B: look before you change anything; the namespace looks itself")

    def raise_version(self, operation: RaiseVersion) -> None:
        """Note the highest number told to replicas. It must be above `attempted`."""
        raise NotImplementedError("lab 2 part C: `version` stays, nothing is committed yet")

    def commit_version(self, operation: CommitVersion) -> None:
        """Commit a version with its replicas and its primary, one of them. It must be `attempted`, and not
        committed before."""
        raise NotImplementedError("lab 2 part C: a new Chunk")
