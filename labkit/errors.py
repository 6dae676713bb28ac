"""The error tree. An error tells its caller what to believe.

`definite` is True when the operation surely did not happen, so that doing it again is safe whatever it was.
It is False when nobody can know: the request may have been lost before it ran, or its reply after.

    LabError
    ├── MalformedFrame        what arrived is no frame; the connection is of no further use
    ├── CallFailed            no answer that can be used
    │   ├── Unreachable         no connection could be made, nothing was ever sent    definite
    │   ├── CallTimeout         sent, no answer in time, all attempts used up         not definite
    │   └── ConnectionLost      sent, then the connection broke                       not definite
    └── RemoteError           the server answered: no. One subclass per code
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class LabError(Exception):
    """Base of every error of the kit."""

    definite: bool = False


class MalformedFrame(LabError):
    """Bytes that are no frame of docs/protocol.md: a length out of bounds, a header that is no map."""


class CallFailed(LabError):
    """A call that ended without an answer from the server."""


class Unreachable(CallFailed):
    """No connection could be made; nothing was ever sent."""

    definite = True


class CallTimeout(CallFailed):
    """Sent, perhaps several times, and no answer came in time."""

    definite = False


class ConnectionLost(CallFailed):
    """Sent, then the connection broke before an answer came."""

    definite = False


class RemoteError(LabError):
    """An answer that says no. On the wire: {"code", "message", "definite", "data"}.

    A handler raises a subclass; the caller gets the same subclass back, found by `code`. A code nobody
    here knows arrives as a plain RemoteError that still carries it. `data` is a small map of plain values.
    """

    code: str = "remote_error"
    _by_code: ClassVar[dict[str, type[RemoteError]]] = {}

    def __init__(
        self, message: str = "", *, definite: bool | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.data: dict[str, Any] = dict(data or {})
        if definite is not None:
            self.definite = definite

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" in cls.__dict__:
            RemoteError._by_code[cls.code] = cls

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code

    def to_wire(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "definite": self.definite, "data": self.data}

    @staticmethod
    def from_wire(error: Any) -> RemoteError:
        """The typed error a reply carries; raises MalformedFrame when `error` has another shape."""
        match error:
            case {
                "code": str(code),
                "message": str(message),
                "definite": bool(definite),
                "data": dict(),
            }:
                found = RemoteError._by_code.get(code, RemoteError)
                made = found(message, definite=definite, data=error["data"])
                made.code = code
                return made
            case _:
                raise MalformedFrame("an error reply needs code, message, definite and data")


# The RPC layer's own answers.


class UnknownMethod(RemoteError):
    """The server has no handler of this name."""

    code = "unknown_method"
    definite = True


class BadArguments(RemoteError):
    """The handler does not take these arguments: one is missing, unknown, or of another type."""

    code = "bad_arguments"
    definite = True


class HandlerFailed(RemoteError):
    """The handler raised something it did not mean to; how far it got is unknown."""

    code = "handler_failed"


class SessionLost(RemoteError):
    """The server restarted and forgot which calls it ran, so it will not run this one: it may have run."""

    code = "session_lost"


class Forgotten(RemoteError):
    """A late duplicate of a call whose answer the client had already acknowledged: not run again."""

    code = "forgotten"


# Answers of the master.


class NoSuchFile(RemoteError):
    """No file has this path, or no directory where one is needed."""

    code = "no_such_file"
    definite = True


class FileExists(RemoteError):
    """The path is taken already, by a file or a directory."""

    code = "file_exists"
    definite = True


class InvalidPath(RemoteError):
    """The path is not absolute and plain, such as `/a/b`."""

    code = "invalid_path"
    definite = True


class NoSuchChunk(RemoteError):
    """At the master: no such index in the file, or a gap. At a chunkserver: no such handle here."""

    code = "no_such_chunk"
    definite = True


class NoReplica(RemoteError):
    """No chunkserver can serve this now: too few alive, or a lease still runs. Try again later."""

    code = "no_replica"
    definite = True


class SharedChunk(RemoteError):
    """The chunk was in a snapshot and is not mutated any more: `allocate` gives the file one of its own (§3.4)."""

    code = "shared_chunk"
    definite = True


# Answers of a chunkserver.


class NotPrimary(RemoteError):
    """This server holds no valid lease on the chunk. Ask the master who does."""

    code = "not_primary"
    definite = True


class StaleVersion(RemoteError):
    """The request and this replica disagree on the chunk's version."""

    code = "stale_version"
    definite = True


class UnknownData(RemoteError):
    """The data was never pushed here, or has been evicted. Push it again."""

    code = "unknown_data"
    definite = True


class ChunkFull(RemoteError):
    """The record did not fit; the rest of the chunk is padding now. Try the next chunk (§3.3)."""

    code = "chunk_full"
    definite = True


class TooLarge(RemoteError):
    """More bytes than the limits allow, such as a record of more than a quarter of a chunk (§3.3)."""

    code = "too_large"
    definite = True


class OutOfOrder(RemoteError):
    """A mutation whose turn has passed: a later serial number was applied already."""

    code = "out_of_order"
    definite = True


class ReplicaFailed(RemoteError):
    """Some replica did not apply the mutation: the region is inconsistent. Append again (§3.1 step 7)."""

    code = "replica_failed"


class Corrupt(RemoteError):
    """A block does not match its checksum, so this replica will not serve it (§5.2)."""

    code = "corrupt"
    definite = True
