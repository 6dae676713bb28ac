"""The operations of the log: every change of metadata that has to survive a crash (GFS §2.6.3).

Each is a frozen dataclass and, in the log, a map of plain values: {"op": its kind, and its fields}. Where
replicas are is no operation: chunkservers are asked instead (§2.6.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CreateFile:
    """A new, empty file."""

    path: str


@dataclass(frozen=True)
class MakeDirectory:
    """A new, empty directory."""

    path: str


@dataclass(frozen=True)
class Rename:
    """A file or directory has another name. From a hidden name, this is an undelete."""

    source: str
    target: str


@dataclass(frozen=True)
class Delete:
    """A file or directory has got the name `hidden`, at the time `at` of the master's clock."""

    path: str
    hidden: str
    at: float


@dataclass(frozen=True)
class Reclaim:
    """What was hidden is gone, and so are the chunks that nothing else has."""

    hidden: str


@dataclass(frozen=True)
class Snapshot:
    """`target` is a copy of the file or directory `source`; they share all chunks."""

    source: str
    target: str


@dataclass(frozen=True)
class ReserveHandle:
    """`handle` is used up, whatever becomes of it. Logged before any chunkserver hears of the handle."""

    handle: int


@dataclass(frozen=True)
class AddChunk:
    """A reserved handle becomes the file's next chunk; `told` stored an empty replica of it."""

    path: str
    index: int
    handle: int
    told: tuple[str, ...]


@dataclass(frozen=True)
class CopyChunk:
    """A reserved handle takes the place of a shared chunk in this file; `told` stored a copy of it."""

    path: str
    index: int
    handle: int
    told: tuple[str, ...]


@dataclass(frozen=True)
class RaiseVersion:
    """Replicas are about to be told `version`; no lease runs at an earlier one."""

    handle: int
    version: int


@dataclass(frozen=True)
class CommitVersion:
    """`told` all have `version`, nobody else ever will; the lease is about to be offered to `primary`, or to
    nobody."""

    handle: int
    version: int
    told: tuple[str, ...]
    primary: str | None


Operation = (
    CreateFile
    | MakeDirectory
    | Rename
    | Delete
    | Reclaim
    | Snapshot
    | ReserveHandle
    | AddChunk
    | CopyChunk
    | RaiseVersion
    | CommitVersion
)

_KINDS: Mapping[str, type[Operation]] = {
    "create_file": CreateFile,
    "make_directory": MakeDirectory,
    "rename": Rename,
    "delete": Delete,
    "reclaim": Reclaim,
    "snapshot": Snapshot,
    "reserve_handle": ReserveHandle,
    "add_chunk": AddChunk,
    "copy_chunk": CopyChunk,
    "raise_version": RaiseVersion,
    "commit_version": CommitVersion,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_record(operation: Operation) -> dict[str, Any]:
    """The map of plain values that goes into the log."""
    return {"op": _NAMES[type(operation)], **vars(operation)}


def from_record(record: Any) -> Operation:
    """The operation a log record holds. ValueError when it holds none."""
    match record:
        case {"op": str(name), **fields} if name in _KINDS:
            if isinstance(fields.get("told"), list):
                fields["told"] = tuple(fields["told"])
            try:
                return _KINDS[name](**fields)
            except TypeError as error:
                raise ValueError(f"a {name} record with other fields: {record!r}") from error
        case _:
            raise ValueError(f"no operation: {record!r}")
