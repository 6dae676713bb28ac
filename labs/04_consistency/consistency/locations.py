"""What the client remembers of the master's answers, and for how long (GFS §2.4, §2.7.1).

Asking the master about every read and append would make it the bottleneck, so its answers are kept: which
chunk is at an index of a file and who stores it, who is primary of a chunk, which chunk of a file is
the last. Any of it may be wrong a moment later. That is harmless where the other side checks (a primary
refuses an old version) and bounded where it does not: a replica that missed a mutation can be read only as
long as the cache believes in it.

Invariant: nothing is returned later than `lifetime` seconds after the question it answers was *asked*. Not
after the answer came: the master may have answered long before that.

Several threads may use one `Locations`: every method changes one entry with one dict operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NewType, TypeVar

Handle = NewType("Handle", int)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk, its version, and the replicas that had that version when the master was asked."""

    handle: Handle
    version: int
    replicas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    """Who orders the mutations of a chunk at `version`, and who has to apply them as well."""

    primary: str
    secondaries: tuple[str, ...]
    version: int


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """An answer and when it was asked for."""

    value: T
    asked: float

    def fresh(self, now: float, lifetime: float) -> bool:
        """Whether the answer may be believed: less than `lifetime` seconds have passed since `asked`."""
        raise NotImplementedError("lab 4 part A: compare durations on this client's clock only")


class Locations:
    """The cache. Times are seconds of the client's clock, `lifetime` is `limits.location_cache`."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._chunks: dict[str, dict[int, Entry[Chunk]]] = {}
        self._leases: dict[Handle, Entry[Lease]] = {}
        self._last: dict[str, Entry[int]] = {}

    def chunk(self, path: str, index: int, now: float) -> Chunk | None:
        """The chunk at `index` of the file, or None if that is not known or was asked for too long ago."""
        raise NotImplementedError("lab 4 part A: an entry that is no longer fresh is no entry")

    def remember_chunk(self, path: str, index: int, chunk: Chunk, asked: float) -> None:
        """Keep an answer of lookup or allocate; `asked` is when the question was sent."""
        raise NotImplementedError("lab 4 part A: one dict per path makes forgetting a path one operation")

    def forget_chunk(self, path: str, index: int) -> None:
        """Drop what is known about that chunk's place; nothing happens if nothing is known."""
        raise NotImplementedError("lab 4 part A: dict.pop takes a default")

    def lease(self, handle: Handle, now: float) -> Lease | None:
        """Who is primary of the chunk, or None if that is not known or was asked for too long ago."""
        raise NotImplementedError("lab 4 part A: the same rule as for chunks")

    def remember_lease(self, handle: Handle, lease: Lease, asked: float) -> None:
        """Keep an answer of lease; `asked` is when the question was sent."""
        raise NotImplementedError("lab 4 part A: the same as for chunks")

    def forget_lease(self, handle: Handle) -> None:
        """Drop what is known about the chunk's primary; nothing happens if nothing is known."""
        raise NotImplementedError("lab 4 part A: the same as for chunks")

    def last_index(self, path: str, now: float) -> int | None:
        """Index of the file's last chunk as last heard, or None if unknown or heard too long ago."""
        raise NotImplementedError("lab 4 part A: the same rule as for chunks")

    def remember_last(self, path: str, index: int, asked: float) -> None:
        """Keep that the file's last chunk is at `index`; `asked` is when the question was sent."""
        raise NotImplementedError("lab 4 part A: the same as for chunks")

    def forget_last(self, path: str) -> None:
        """Drop which chunk of the file is the last, and nothing else."""
        raise NotImplementedError("lab 4 part A: the same as for chunks")

    def forget(self, path: str) -> None:
        """Drop everything known about the file's chunks; leases are the chunks', not the file's, and stay."""
        raise NotImplementedError("lab 4 part A: places and last chunk")
