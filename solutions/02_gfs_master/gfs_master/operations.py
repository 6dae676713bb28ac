"""The operations of the log: every change of metadata that has to survive a crash (GFS §2.6.3).

Each is a frozen dataclass and, in the log, a map of plain values: {"op": its kind, and its fields}. Where
replicas are is no operation: chunkservers are asked instead (§2.6.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class CreateFile:
    """A new, empty file."""

    path: str


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
class RaiseVersion:
    """Replicas are about to be told `version`; no lease runs at an earlier one."""

    handle: int
    version: int


@dataclass(frozen=True)
class CommitVersion:
    """`told` all recorded `version`, nobody else ever will; the lease is about to be offered to `primary`."""

    handle: int
    version: int
    told: tuple[str, ...]
    primary: str


Operation = CreateFile | ReserveHandle | AddChunk | RaiseVersion | CommitVersion

_KINDS: Mapping[str, type[Operation]] = {
    "create_file": CreateFile,
    "reserve_handle": ReserveHandle,
    "add_chunk": AddChunk,
    "raise_version": RaiseVersion,
    "commit_version": CommitVersion,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_record(operation: Operation) -> dict[str, Any]:
    """The map of plain values that goes into the log."""
    return {"op": _NAMES[type(operation)], **asdict(operation)}


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
