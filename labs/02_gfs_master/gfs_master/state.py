"""The durable state: what the log, replayed from its first record, amounts to (GFS §2.6.3).

`apply` is deterministic. It reads neither time nor chance nor anything volatile, and the running master
changes this state through it alone, so that memory and replay can never disagree. An operation that does
not fit is a ValueError or the namespace's error, and changes nothing.

Chunks are immutable values, so a copy of the tables is a picture of the whole state (checkpoint.py). There
may be millions, most of them with the same few servers and versions: what is equal is kept once.
"""

from __future__ import annotations

from gfs_master.chunks import Chunk
from gfs_master.namespace import Namespace
from gfs_master.operations import (
    AddChunk,
    CommitVersion,
    CopyChunk,
    CreateFile,
    Delete,
    MakeDirectory,
    Operation,
    RaiseVersion,
    Reclaim,
    Rename,
    ReserveHandle,
    Snapshot,
)

MOST_KEPT = 100_000  # different chunks that are remembered to be kept once


class State:
    """Files, chunks, the next unused handle; what is hidden, and since when; shared chunks.

    `shared` counts the places in files of every chunk that ever was in a snapshot. Such a chunk is never
    mutated again, even when one place is left: a client may remember its handle from the other place.
    """

    def __init__(self) -> None:
        self.namespace = Namespace()
        self.chunks: dict[int, Chunk] = {}
        self.next_handle = 1
        self.hidden: dict[str, float] = {}
        self.shared: dict[int, int] = {}
        self._kept: dict[Chunk, Chunk] = {}

    def apply(self, operation: Operation) -> None:
        """Carry out one operation."""
        match operation:
            case CreateFile():
                self.namespace.create(operation.path)
            case MakeDirectory():
                self.namespace.make_directory(operation.path)
            case Rename():
                self.rename(operation)
            case Delete():
                self.delete(operation)
            case Reclaim():
                self.reclaim(operation)
            case Snapshot():
                self.snapshot(operation)
            case ReserveHandle():
                self.reserve_handle(operation)
            case AddChunk():
                self.add_chunk(operation)
            case CopyChunk():
                self.copy_chunk(operation)
            case RaiseVersion():
                self.raise_version(operation)
            case CommitVersion():
                self.commit_version(operation)

    # ---- names

    def rename(self, operation: Rename) -> None:
        """Move a name; what had a hidden one is not hidden any more."""
        raise NotImplementedError("lab 2 part A: the namespace does it; part E: `hidden` forgets the source")

    def delete(self, operation: Delete) -> None:
        """Give something a hidden name, and note since when."""
        raise NotImplementedError("lab 2 part E: Namespace.hide, then `hidden`")

    def reclaim(self, operation: Reclaim) -> None:
        """Forget something hidden, its chunks too unless they are at another place as well."""
        raise NotImplementedError("lab 2 part E: the handles first, then the names")

    def snapshot(self, operation: Snapshot) -> None:
        """Copy names; every chunk below is at one more place, and shared from now on."""
        raise NotImplementedError("lab 2 part F: a chunk that was never shared was at one place")

    # ---- chunks

    def reserve_handle(self, operation: ReserveHandle) -> None:
        """Use up a handle, which must be `next_handle`."""
        raise NotImplementedError("lab 2 part B: what is gone is gone, even if no chunk comes of it")

    def add_chunk(self, operation: AddChunk) -> None:
        """Add a chunk at FIRST_VERSION to its file. Its handle must be reserved and no chunk's yet."""
        raise NotImplementedError("lab 2 part B: look before you change anything; the namespace looks itself")

    def copy_chunk(self, operation: CopyChunk) -> None:
        """Put a chunk at FIRST_VERSION in the place of a shared one. Its handle as in `add_chunk`."""
        raise NotImplementedError("lab 2 part F: the shared chunk is at one place less")

    def raise_version(self, operation: RaiseVersion) -> None:
        """Note the highest number told to replicas. It must be above `attempted`."""
        raise NotImplementedError("lab 2 part C: `version` stays, nothing is committed yet")

    def commit_version(self, operation: CommitVersion) -> None:
        """Commit a version with its replicas and its primary, one of them or nobody. It must be `attempted`, and
        not committed before."""
        raise NotImplementedError("lab 2 part C: a new Chunk")

    def _put(self, handle: int, chunk: Chunk) -> None:
        if len(self._kept) > MOST_KEPT:
            self._kept.clear()
        self.chunks[handle] = self._kept.setdefault(chunk, chunk)
