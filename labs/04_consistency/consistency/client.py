"""The client library: files of records on a GFS cluster, in one process's hands.

What it promises, together with the cluster: when `append` returns, every reader that opens the file
afterwards and scans it finds the record, at the offset that was returned, and perhaps more copies of it.
When it raises, the record may be there too, unless the error is definite.
"""

from __future__ import annotations

import itertools

import rpc

from consistency.appender import Appender
from consistency.chunkservers import Chunkservers
from consistency.follower import Follower
from consistency.leased import LeasedReader
from consistency.locations import Locations
from consistency.master import Master
from consistency.reader import Reader
from consistency.records import Found, Record, RecordId
from consistency.writer import Writer
from labkit import Context

PATIENCE = 300.0  # seconds until an operation is given up; longer than any repair by the cluster itself


class Client:
    """A client of the cluster whose master is `ctx.config["master"]`.

    `ctx.config["patience"]` replaces PATIENCE; `ctx.config["leased"]` has it read from primaries alone. Safe to use from several threads.
    """

    def __init__(self, ctx: Context) -> None:
        patience = float(ctx.config.get("patience", PATIENCE))
        self.client_id = ctx.rng.getrandbits(64)
        self._sequence = itertools.count(1)
        self._rpc = rpc.Client(ctx)
        locations = Locations(ctx.limits.location_cache)
        chunkservers = Chunkservers(self._rpc)
        self._master = Master(ctx, self._rpc, locations)
        reader = LeasedReader if ctx.config.get("leased") else Reader
        self._reader = reader(ctx, self._master, chunkservers, locations, patience)
        self._appender = Appender(
            ctx, self._master, chunkservers, locations, client_id=self.client_id, patience=patience
        )

        self._writer = Writer(
            ctx, self._master, chunkservers, locations, client_id=self.client_id, patience=patience
        )

    def create(self, path: str) -> None:
        """Make an empty file at an absolute path such as `/log`.

        One at-most-once call, not repeated: an error that is not definite leaves open whether the file was
        made, and trying again could not tell a file made by the first try from one made by somebody else.
        FileExists, NoSuchFile (the directory), InvalidPath; CallFailed, SessionLost.
        """
        self._master.create(path)

    def append(self, path: str, body: bytes, record_id: tuple[int, int] | None = None) -> int:
        """Append `body` as one record, at least once and atomically; the offset of its frame in the file.

        `record_id` is (client, sequence), by default this client's id and its own count from 1. The record
        keeps it over all attempts, so that readers recognise copies. The frame, `records.encode`, may have
        at most `limits.record_limit` bytes.

        AppendFailed, and nothing else: the file does not exist, the record is too large, or patience has
        run out. Definite exactly if no append request ever left for this record, whatever the last error was.
        """
        name = RecordId(*record_id) if record_id is not None else self._new_id()
        return self._appender.append(path, Record(name, bytes(body)))

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write `data` at `offset` of the file, over what is there; what lies between the end and `offset` is a hole.

        When it returns, all replicas have all pieces of it. Two writes to one range at once may leave a mixture of both
        where they cross from one chunk into the next. WriteFailed; ValueError for a negative offset.
        """
        if offset < 0:
            raise ValueError(f"cannot write at {offset}")
        self._writer.write(path, offset, bytes(data))

    def scan(self, path: str, fresh: bool = True) -> list[Found]:
        """All valid records of the file, from start to end in file order, copies included.

        `fresh` opens the file anew: every chunk's place is asked of the master, whatever the cache says,
        so that every record acknowledged before the call is found. Otherwise cached places are used as
        long as they live, which costs the master less and may miss what was appended since they were
        fetched.

        NoSuchFile, InvalidPath; ReadFailed if some chunk has no replica that is up to date and answers.
        Never a part of the records as if it were all.
        """
        return self._reader.scan(path, fresh=fresh)

    def records(self, path: str) -> list[Found]:
        """What an application wants: the file opened anew and scanned, each record once, its first copy."""
        raise NotImplementedError("lab 4 part B: scan and without_duplicates")

    def follow(self, path: str) -> Follower:
        """A reader that follows the file as it grows: each `more()` returns what is new, each record once."""
        return Follower(self._reader, path)

    def read(self, path: str, offset: int, length: int) -> bytes:
        """`length` bytes of the file from `offset` on, across chunks; fewer only at the end of the file.

        Uses cached places. What was never written inside the file (a hole: the replica read is shorter than
        its chunk, and another chunk follows) reads as zeros, like padding: the protocol cannot tell these
        two apart, and a reader of records skips both.

        NoSuchFile, InvalidPath; ReadFailed; ValueError for a negative offset or length.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"cannot read {length} bytes at {offset}")
        return self._reader.read(path, offset, length)

    def close(self) -> None:
        """Close all connections. Every operation, under way or begun later, fails once its patience ends."""
        self._rpc.close()

    def _new_id(self) -> RecordId:
        return RecordId(self.client_id, next(self._sequence))
