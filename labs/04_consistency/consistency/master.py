"""The client's side of the master: each question as a typed method, and the cache in front of them.

Invariant: an answer enters the cache with the time *before* its question was sent. Questions are never
repeated here beyond what the RPC layer does; whoever asks decides whether to ask again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import rpc

from consistency.failures import BadReply
from consistency.locations import Chunk, Handle, Lease, Locations
from labkit import Context

# About 15 s in all: there is no other master to ask, and granting a lease makes it wait for chunkservers.
POLICY = rpc.RetryPolicy(first_timeout=1.0, factor=2.0, longest=8.0, attempts=4)


class Master:
    """Every method raises what the call raises: `labkit.errors`, or `BadReply`."""

    def __init__(self, ctx: Context, client: rpc.Client, locations: Locations) -> None:
        self._name = str(ctx.config["master"])
        self._clock = ctx.clock
        self._rpc = client
        self._locations = locations

    def create(self, path: str) -> None:
        """Make an empty file."""
        self._ask("create", {"path": path}, at_most_once=True)

    def chunk_count(self, path: str) -> int:
        """How many chunks the file has now. Always asked, never remembered."""
        match self._ask("stat", {"path": path}, at_most_once=False):
            case {"chunks": int(count)} if count >= 0:
                return count
            case other:
                raise _bad("stat", other)

    def last_index(self, path: str) -> int:
        """Index of the file's last chunk, -1 for an empty file: from the cache, else from `chunk_count`.

        What the master says is remembered. It may be old: somebody else may have added chunks since.
        """
        raise NotImplementedError(
            "lab 4 part A: cache first; the time to remember is the time before chunk_count() is asked"
        )

    def locate(self, path: str, index: int, *, fresh: bool = False) -> Chunk:
        """The chunk at `index` of the file: from the cache if it knows, else from the master's `lookup`.

        `fresh` asks the master in any case. What the master says is remembered. NoSuchChunk if the file has
        no chunk there.
        """
        raise NotImplementedError("lab 4 part A: cache first unless fresh, then self._lookup, then remember")

    def allocate(self, path: str, index: int) -> Chunk:
        """The chunk at `index`, made by the master if it is the next, and copied if it was in a snapshot. Remembered, also as
        the last one if it lies behind the one that is known."""
        asked = self._clock.now()
        chunk = _chunk("allocate", self._ask("allocate", {"path": path, "index": index}, at_most_once=True))
        self._locations.remember_chunk(path, index, chunk, asked)
        known = self._locations.last_index(path, asked)
        if known is not None and index > known:  # a copy may be of a chunk in the middle
            self._locations.remember_last(path, index, asked)
        return chunk

    def lease(self, handle: Handle) -> Lease:
        """Who is primary of the chunk: from the cache if it knows, else from the master, and remembered."""
        raise NotImplementedError("lab 4 part A: like locate, with self._ask_lease")

    def _lookup(self, path: str, index: int) -> Chunk:
        return _chunk("lookup", self._ask("lookup", {"path": path, "index": index}, at_most_once=False))

    def _ask_lease(self, handle: Handle) -> Lease:
        match self._ask("lease", {"handle": handle}, at_most_once=True):
            case {"primary": str(primary), "secondaries": names, "version": int(version)}:
                return Lease(primary, _names(names), version)
            case other:
                raise _bad("lease", other)

    def _ask(self, method: str, args: Mapping[str, Any], *, at_most_once: bool) -> Any:
        return self._rpc.call(self._name, method, args, at_most_once=at_most_once, policy=POLICY).value


def _chunk(method: str, answer: Any) -> Chunk:
    match answer:
        case {"handle": int(handle), "version": int(version), "replicas": names}:
            return Chunk(Handle(handle), version, _names(names))
        case other:
            raise _bad(method, other)


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast(list[Any], names)):
        raise BadReply(f"the master names servers by a list of strings, not {names!r}")
    return tuple(cast(list[str], names))


def _bad(method: str, answer: Any) -> BadReply:
    return BadReply(f"the master answered {method} with {answer!r}; see docs/protocol.md")
