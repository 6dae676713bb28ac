"""Making replicas out of others: clones from another server, copies on this one (GFS §3.4, §4.3, §5.2).

A lost replica is made anew from a good one while clients go on appending: first most of it is fetched beside
the mutations (`final` false), over and over if the master likes, and then, when the master has stopped them for a
moment, what has changed since (`final` true). Only the last step makes a replica, and it names the version.

Nothing wrong is copied on: the source verifies what it reads, and each block that arrives is compared with the
checksum the source has on record, before it is stored and again when the replica is put together.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rpc import Client, RetryPolicy

from chunkserver.blocks import Block, Contents, first_mismatch
from chunkserver.mutations import require_version
from chunkserver.staging import Staging
from chunkserver.store import Store
from labkit import Context
from labkit.errors import BadArguments, LabError, ReplicaFailed, StaleVersion

PATIENCE = RetryPolicy(first_timeout=2.0, factor=2.0, longest=8.0, attempts=2)
RUN = 16  # blocks that are fetched at once, or copied
FORGOTTEN = 3600.0  # seconds after which the master has given up a clone that it never finished


class Cloning:
    """The handlers of clones and copies."""

    def __init__(self, ctx: Context, client: Client, store: Store) -> None:
        self._ctx = ctx
        self._client = client
        self._store = store
        self._lock = threading.Lock()
        self._turns: dict[int, threading.Lock] = {}
        self._begun: dict[int, float] = {}  # clones that were prepared and not finished: when

    def checksums(self, handle: int) -> dict[str, Any]:
        """The checksums of a replica's blocks: RPC `checksums`."""
        # lab 3 part E: Replica.contents says it all, unless the replica is damaged.
        replica = self._store.get(handle)
        replica.check()
        contents = replica.contents
        crcs = [block.crc for block in contents.blocks]
        return {"version": contents.version, "length": contents.length, "blocks": crcs}

    def clone_chunk(self, handle: int, version: int, source: str, final: bool) -> dict[str, Any]:
        """Fetch what is missing from `source`: RPC `clone_chunk`; with `final` it then is a replica at `version`.

        StaleVersion when the replica here is newer. ReplicaFailed when the source does not answer, says no, or,
        at the end, is not at `version` or sends what its checksums do not match.
        """
        # lab 3 part E: ask for the source's checksums, fetch the blocks that Staging misses, and at last adopt.
        self._drop_forgotten()
        with self._turn(handle):
            replica = self._store.find(handle)
            if replica is not None and replica.version > version:
                raise StaleVersion(f"chunk {handle} is here at version {replica.version}")
            if replica is not None and replica.version == version:
                return {}
            self._begun[handle] = self._ctx.clock.now()
            staging = Staging(self._ctx.disk, handle, self._ctx.limits.block_size)
            contents = self._contents_at(source, handle)
            if final and contents.version != version:
                raise ReplicaFailed(f"the replica at {source} has version {contents.version}")
            for run in _runs(staging.missing(contents)):
                self._fetch(source, handle, contents, run, staging)
            if final:
                if staging.missing(contents):
                    raise ReplicaFailed(f"what {source} sent does not match its checksums")
                staging.finish(contents)
                self._store.adopt(handle, contents)
                del self._begun[handle]
                self._ctx.annotate("cloned", handle=handle, version=version, source=source)
        return {}

    def copy_chunk(self, handle: int, version: int, copy: int) -> dict[str, Any]:
        """Make a replica of the new chunk `copy`, at version 1, from the one here: RPC `copy_chunk`."""
        # lab 3 part E: the original's lock keeps mutations out; read (which verifies) run by run, then adopt.
        if copy == handle:
            raise BadArguments("a copy has a handle of its own")
        original = self._store.get(handle)
        with self._turn(copy):
            with original.changed:
                require_version(original, version)
                there = self._store.find(copy)
                if there is not None and there.version == 1:
                    return {}
                staging = Staging(self._ctx.disk, copy, self._ctx.limits.block_size)
                contents, size = original.contents, self._ctx.limits.block_size
                for index in range(0, len(contents.blocks), RUN):
                    staging.put(index, original.read(index * size, RUN * size)[2])
                staging.finish(contents)
            self._store.adopt(copy, replace(contents, version=1))
        self._ctx.annotate("copied", handle=handle, copy=copy)
        return {}

    # ---- asking the source

    def _contents_at(self, source: str, handle: int) -> Contents:
        # lab 3 part E
        size = self._ctx.limits.block_size
        answer = self._ask(source, "checksums", {"handle": handle}).value
        try:
            version, length, crcs = int(answer["version"]), int(answer["length"]), list(answer["blocks"])
        except (KeyError, TypeError, ValueError) as error:
            raise ReplicaFailed(f"{source} answered checksums with {answer!r}") from error
        if not 0 <= length <= self._ctx.limits.chunk_size or len(crcs) != -(-length // size):
            raise ReplicaFailed(f"{source} has {len(crcs)} checksums for {length} bytes")
        valid = [min(size, length - index * size) for index in range(len(crcs))]
        return Contents(size, version, tuple(map(Block, valid, crcs)))

    def _fetch(self, source: str, handle: int, contents: Contents, run: range, staging: Staging) -> None:
        # lab 3 part E
        size = contents.block_size
        args = {"handle": handle, "offset": run.start * size, "length": len(run) * size}
        held = memoryview(self._ask(source, "read", args).payload)
        for index in run:
            at = (index - run.start) * size
            block = contents.blocks[index]
            # What has changed since the checksums came does not match: it is fetched the next time.
            if first_mismatch((block,), size, held[at : at + size]) is None:
                staging.put(index, held[at : at + block.valid])

    def _ask(self, source: str, method: str, args: dict[str, Any]) -> Any:
        # lab 3 part E
        try:
            return self._client.call(source, method, args, at_most_once=False, policy=PATIENCE)
        except LabError as error:
            raise ReplicaFailed(f"{source} did not answer {method}: {error!r}") from error

    # ---- one at a time

    @contextmanager
    def _turn(self, handle: int) -> Generator[None]:
        # lab 3 part E
        with self._lock:
            turn = self._turns.setdefault(handle, threading.Lock())
        with turn:
            yield

    def _drop_forgotten(self) -> None:
        # lab 3 part E
        now = self._ctx.clock.now()
        for handle, begun in list(self._begun.items()):
            if now - begun > FORGOTTEN:
                with self._turn(handle):
                    self._begun.pop(handle, None)
                    Staging(self._ctx.disk, handle, self._ctx.limits.block_size).drop()


def _runs(indices: list[int]) -> Iterator[range]:
    """`indices`, which rise, as runs of neighbours that are not too long."""
    # lab 3 part E
    start = 0
    for position, index in enumerate(indices):
        following = indices[position + 1] if position + 1 < len(indices) else None
        if following != index + 1 or position - start + 1 == RUN:
            yield range(indices[start], index + 1)
            start = position + 1
