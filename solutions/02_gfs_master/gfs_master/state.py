"""The durable state: what the log, replayed from its first record, amounts to (GFS §2.6.3).

`apply` is deterministic. It reads neither time nor chance nor anything volatile, and the running master
changes this state through it alone, so that memory and replay can never disagree. An operation that does
not fit is a ValueError or the namespace's error, and changes nothing.

Chunks are immutable values, so a copy of the tables is a picture of the whole state (checkpoint.py). There
may be millions, most of them with the same few servers and versions: what is equal is kept once.
"""

from __future__ import annotations

from dataclasses import replace

from gfs_master.chunks import FIRST_VERSION, Chunk
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
        # lab 2 part A: the namespace does it; part E: `hidden` forgets the source
        self.namespace.rename(operation.source, operation.target)
        self.hidden.pop(operation.source, None)

    def delete(self, operation: Delete) -> None:
        """Give something a hidden name, and note since when."""
        # lab 2 part E: Namespace.hide, then `hidden`
        self.namespace.hide(operation.path, operation.hidden)
        self.hidden[operation.hidden] = operation.at

    def reclaim(self, operation: Reclaim) -> None:
        """Forget something hidden, its chunks too unless they are at another place as well."""
        # lab 2 part E: the handles first, then the names
        _require(operation.hidden in self.hidden, operation)
        for handle in list(self.namespace.handles(operation.hidden)):
            self._leave(handle)
        self.namespace.remove(operation.hidden)
        del self.hidden[operation.hidden]

    def snapshot(self, operation: Snapshot) -> None:
        """Copy names; every chunk below is at one more place, and shared from now on."""
        # lab 2 part F: a chunk that was never shared was at one place
        self.namespace.copy(operation.source, operation.target)
        for handle in self.namespace.handles(operation.target):
            self.shared[handle] = self.shared.get(handle, 1) + 1

    # ---- chunks

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
        self._put(handle, Chunk(FIRST_VERSION, FIRST_VERSION, operation.told))

    def copy_chunk(self, operation: CopyChunk) -> None:
        """Put a chunk at FIRST_VERSION in the place of a shared one. Its handle as in `add_chunk`."""
        # lab 2 part F: the shared chunk is at one place less
        handle = operation.handle
        _require(handle < self.next_handle and handle not in self.chunks, operation)
        before = self.namespace.handle_at(operation.path, operation.index)
        _require(before in self.shared, operation)
        self.namespace.replace_chunk(operation.path, operation.index, handle)
        self._put(handle, Chunk(FIRST_VERSION, FIRST_VERSION, operation.told))
        self._leave(before)

    def raise_version(self, operation: RaiseVersion) -> None:
        """Note the highest number told to replicas. It must be above `attempted`."""
        # lab 2 part C: `version` stays, nothing is committed yet
        chunk = self._chunk(operation.handle, operation)
        _require(operation.version > chunk.attempted, operation)
        self._put(operation.handle, replace(chunk, attempted=operation.version))

    def commit_version(self, operation: CommitVersion) -> None:
        """Commit a version with its replicas and its primary, one of them or nobody. It must be `attempted`, and
        not committed before."""
        # lab 2 part C: a new Chunk
        chunk = self._chunk(operation.handle, operation)
        version, told, primary = operation.version, operation.told, operation.primary
        _require(chunk.version < version == chunk.attempted, operation)
        _require(primary is None or primary in told, operation)
        self._put(operation.handle, Chunk(version, version, told, primary))

    def _put(self, handle: int, chunk: Chunk) -> None:
        if len(self._kept) > MOST_KEPT:
            self._kept.clear()
        self.chunks[handle] = self._kept.setdefault(chunk, chunk)

    def _leave(self, handle: int) -> None:
        # lab 2 part E
        places = self.shared.get(handle, 1) - 1
        if places:
            self.shared[handle] = places
        else:
            self.shared.pop(handle, None)
            del self.chunks[handle]

    def _chunk(self, handle: int, operation: Operation) -> Chunk:
        # lab 2 part C
        _require(handle in self.chunks, operation)
        return self.chunks[handle]


def _require(fits: bool, operation: Operation) -> None:
    # lab 2 part B
    if not fits:
        raise ValueError(f"{operation} does not fit the state it is applied to")
