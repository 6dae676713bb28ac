"""The lines of a history: what was invoked, how it ended, what was done to the cluster, what was stored in the end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, NewType

OpId = NewType("OpId", int)
RecordId = NewType("RecordId", str)
DataId = NewType("DataId", str)
Handle = NewType("Handle", int)


class HistoryError(Exception):
    """The history cannot be read; the message says in one sentence where and why."""


class Outcome(str, Enum):
    """What a client may believe. FAIL is only the client library's word: see `Append.left_traces`."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Kind(str, Enum):
    """What the harness recognised in a stretch of a replica's bytes."""

    RECORD = "record"
    PADDING = "padding"
    FRAGMENT = "fragment"
    WRITE = "write"
    OTHER = "other"


class Segment(NamedTuple):
    """`length` bytes from chunk offset `start`. `content` is a record's id, or a hash for OTHER.

    For WRITE it is the id of a plain write's data: the bytes that this write puts at just these offsets.

    A tuple rather than a dataclass: there are millions, and whole replicas are compared at once.
    """

    start: int
    length: int
    kind: Kind
    content: str

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Meta:
    """The run's constants: sizes in bytes, `cache_lifetime` in virtual seconds."""

    seed: int
    chunk_size: int
    record_limit: int
    replicas: int
    cache_lifetime: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class InvokeAppend:
    op: OpId
    client: str
    time: float
    path: str
    record: RecordId
    size: int


@dataclass(frozen=True, slots=True)
class InvokeScan:
    op: OpId
    client: str
    time: float
    path: str
    opened: bool


@dataclass(frozen=True, slots=True)
class InvokeWrite:
    op: OpId
    client: str
    time: float
    path: str
    offset: int
    size: int
    data: DataId


@dataclass(frozen=True, slots=True)
class Complete:
    """The end of an operation. `offset` belongs to appends, `attempts` also to writes, `records`, `fetched` to scans.

    `cuts` are the file offsets, besides the boundaries of chunks, at which a client split a write.
    """

    op: OpId
    time: float
    outcome: Outcome
    offset: int | None = None
    attempts: int = 1
    records: tuple[tuple[RecordId, int], ...] = ()
    fetched: float | None = None
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    time: float
    what: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The wire showed that the master offered the lease of a chunk at `version`: its primary, and all other replicas."""

    time: float
    handle: Handle
    version: int
    primary: str
    secondaries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """The wire showed that a server had a record at chunk offset `offset`, durably: it said yes to that mutation.

    `version` is that of the mutation. Whoever records this leaves out what a later clone onto the server replaced.
    """

    time: float
    handle: Handle
    version: int
    server: str
    offset: int
    record: RecordId


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk as the master described it in the end: its current version and who holds it."""

    path: str
    index: int
    handle: Handle
    version: int
    replicas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replica:
    """A chunk as one chunkserver held it in the end."""

    handle: Handle
    server: str
    version: int
    length: int
    segments: tuple[Segment, ...]


Invoke = InvokeAppend | InvokeScan | InvokeWrite
Event = Invoke | Complete | Fault | Grant | Held | Chunk | Replica
