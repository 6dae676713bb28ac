"""The client's side of a chunkserver: each request as a typed method, and how long to wait for its answer.

A replica that does not answer should cost seconds, since there are others; but an append must be waited
for longer than the primary itself waits for its secondaries, or every slow secondary would look like
a primary that is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import rpc

from consistency.failures import BadReply
from consistency.locations import Handle

# Data is pushed in pieces, a few at a time: while one arrives at the first server, others are further along the
# chain already (GFS §3.2). With as many as there are servers every link is busy, and one more covers the answers' way.
PIECE = 256 * 1024
AT_ONCE = 4

# Two long attempts rather than many short ones: each carries all the data, and the servers of the chain have
# patience of their own.
PUSH = rpc.RetryPolicy(first_timeout=4.5, factor=1.0, longest=4.5, attempts=2)
READ = rpc.RetryPolicy(first_timeout=2.0, factor=2.0, longest=8.0, attempts=2)
# About 15 s. The request is small, so it is sent again early and often; all of it is one call to the primary.
APPEND = rpc.RetryPolicy(first_timeout=1.0, factor=2.0, longest=8.0, attempts=4)


@dataclass(frozen=True, slots=True)
class Part:
    """What a replica answered to read: its version and length, and the bytes."""

    version: int
    length: int
    data: bytes


class Chunkservers:
    """Every method raises what the call raises: `labkit.errors`, or `BadReply`."""

    def __init__(self, client: rpc.Client) -> None:
        self._rpc = client

    def push(self, replicas: Sequence[str], data_id: str, data: bytes) -> None:
        """Hand `data` to all replicas: to the first, which passes it along the rest (GFS §3.2).

        Not at most once: pushing twice does no harm, and remembering answers would cost the servers memory.
        """
        first, *chain = replicas
        total = len(data)

        def push(offset: int) -> None:
            args = {"data_id": data_id, "offset": offset, "total": total, "chain": chain}
            piece = memoryview(data)[offset : offset + PIECE]
            self._rpc.call(first, "push", args, piece, at_most_once=False, policy=PUSH)

        if total <= PIECE:
            push(0)
            return
        with ThreadPoolExecutor(AT_ONCE, "push") as pool:
            pieces = [pool.submit(push, offset) for offset in range(0, total, PIECE)]
            try:
                for piece in pieces:
                    piece.result()
            finally:
                for piece in pieces:  # the rest is of no use once one has failed
                    piece.cancel()

    def append(self, primary: str, handle: Handle, version: int, data_id: str) -> int:
        """Append pushed data as one record; its offset in the chunk. One at-most-once call."""
        args = {"handle": handle, "version": version, "data_id": data_id}
        match self._rpc.call(primary, "append", args, policy=APPEND).value:
            case {"offset": int(offset)} if offset >= 0:
                return offset
            case other:
                raise BadReply(f"{primary} answered append with {other!r}; see docs/protocol.md")

    def write(self, primary: str, handle: Handle, version: int, offset: int, data_id: str) -> None:
        """Write pushed data at `offset` of the chunk. One at-most-once call."""
        args = {"handle": handle, "version": version, "offset": offset, "data_id": data_id}
        self._rpc.call(primary, "write", args, policy=APPEND)

    def read(self, replica: str, handle: Handle, offset: int, length: int, *, leased: bool = False) -> Part:
        """Up to `length` bytes at `offset` of the chunk as this replica has it; fewer only at its end.

        `leased`: only if it is the primary, and only what all replicas have (part E).
        """
        args = {"handle": handle, "offset": offset, "length": length}
        method, policy = ("leased_read", APPEND) if leased else ("read", READ)
        reply = self._rpc.call(replica, method, args, at_most_once=False, policy=policy)
        match reply.value:
            case {"version": int(version), "length": int(total)}:
                data = bytes(reply.payload)
            case other:
                raise BadReply(f"{replica} answered read with {other!r}; see docs/protocol.md")
        end = offset + len(data)
        # More than was asked for or than there is, or nothing although there is something.
        if len(data) > length or (end > total if data else length > 0 and offset < total):
            raise BadReply(
                f"{replica} answered a read of {length} bytes at {offset} with {len(data)} bytes, "
                f"of a replica that is {total} long"
            )
        return Part(version, total, data)
