"""Chunkservers under a scripted master, and a client that speaks the wire: what tests of lab 3 hold.

    cell = Cell(make_cluster, 3)                  # cs1 to cs3, running
    chunk = cell.chunk()                          # replicas everywhere, cs1 is primary
    offset = cell.append(chunk, b"record")        # push along the chain, then append
    cell.read("cs2", chunk, offset, 6)

Time runs as fast as real time, so that nothing times out because a machine is busy; a test lets it jump, or stands it
still with `cell.cluster.set_rate(0.0)`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.cluster import Cluster
from harness.differences import difference
from harness.failures import LabFailure, expect
from harness.network.frame import REPLY
from harness.patience import ORDINARY, Deadline
from harness.stubs.master import StubMaster
from harness.stubs.peer import ScriptedPeer
from labkit import Limits
from labkit.errors import RemoteError

SMALL = {"chunk_size": 4096, "block_size": 512}  # a record may have 1024 bytes
SHOWN = 30  # bytes of data in a message
LONGEST = 300.0  # virtual seconds a call may take


@dataclass
class Chunk:
    """A chunk of the cell: who has replicas, the primary first, and the version they are at."""

    handle: int
    servers: tuple[str, ...]
    version: int = 1


class Call:
    """A call under way in a thread of its own; an actor, if it only asks and waits for answers."""

    def __init__(
        self, run: Callable[[], dict[str, Any]], what: str, cluster: Cluster, *, actor: bool = False
    ) -> None:
        self.what = what
        self._run = run
        self._cluster = cluster
        self._answer: dict[str, Any] | Exception | None = None
        self._ended = threading.Event()
        actors = cluster.network.actors
        (actors.start if actor else actors.start_beside)(self._work, what)

    @property
    def done(self) -> bool:
        return self._answer is not None

    @property
    def said(self) -> str:
        return repr(self._answer)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after at most so many seconds of patience."""
        return Deadline(seconds).wait(self._ended)

    def result(self, patience: float = ORDINARY) -> dict[str, Any]:
        """What it returned; raises what it raised."""
        in_vain = self._cluster.await_event(self.wait, patience)
        if self._answer is None:
            raise LabFailure(f"{self.what} gave no answer{in_vain}")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def _work(self) -> None:
        try:
            self._answer = self._run()
        except Exception as error:  # raised again by whoever asks for the result
            self._answer = error
        self._ended.set()


class Cell:
    """`count` chunkservers, cs1 and so on. `limits`: others than SMALL."""

    def __init__(
        self, make_cluster: Callable[..., Cluster], count: int, limits: Mapping[str, Any] = SMALL
    ) -> None:
        self.cluster = make_cluster(limits=limits)
        self.limits = Limits.from_config(limits)
        self.master = StubMaster(self.cluster, self.limits)
        self.client = ScriptedPeer(self.cluster, "client")
        self.names = tuple(f"cs{number}" for number in range(1, count + 1))
        self._handles = itertools.count(7)
        self._pushes = itertools.count(1)
        for name in self.names:
            self.cluster.add(name, "chunkserver", {"master": "master"})
        self.cluster.start(*self.names)

    # ---- chunks

    def chunk(self, *servers: str, seconds: float | None = None, clock: float = 0.0) -> Chunk:
        """A new chunk on these servers, or all: replicas everywhere, and a lease for the first; see `grant`."""
        chunk = self.bare_chunk(*servers)
        self.grant(chunk, seconds, clock)
        return chunk

    def bare_chunk(self, *servers: str) -> Chunk:
        """A new chunk without a lease."""
        chunk = Chunk(next(self._handles), servers or self.names)
        self.master.make(chunk.handle, self._real(chunk))
        return chunk

    def grant(self, chunk: Chunk, seconds: float | None = None, clock: float = 0.0) -> None:
        """Make the first server primary at the chunk's version, for `seconds` (or a whole lease) from now on.

        `clock`: by how much the primary's clock is ahead of the harness's.
        """
        until = self.cluster.now() + clock + (self.limits.lease if seconds is None else seconds)
        self.master.grant(chunk.handle, chunk.version, chunk.servers[0], chunk.servers[1:], until)

    def advance(self, chunk: Chunk) -> None:
        """Raise the version everywhere."""
        previous, chunk.version = chunk.version, chunk.version + 1
        self.master.advance(chunk.handle, self._real(chunk), previous, chunk.version)

    def clone(
        self, server: str, chunk: Chunk, source: str, *, final: bool = True, version: int | None = None
    ) -> dict[str, Any]:
        """Be the master that has a replica made from the one at `source`. RemoteError when the server says no."""
        args = {
            "handle": chunk.handle,
            "version": chunk.version if version is None else version,
            "source": source,
            "final": final,
        }
        return self.master.ask(server, "clone_chunk", args)

    def copy(self, server: str, chunk: Chunk, handle: int) -> dict[str, Any]:
        """Be the master that has a chunk copied where it is, for a snapshot."""
        args = {"handle": chunk.handle, "version": chunk.version, "copy": handle}
        return self.master.ask(server, "copy_chunk", args)

    def new_handle(self) -> int:
        return next(self._handles)

    def _real(self, chunk: Chunk) -> list[str]:
        """The chunk's servers that are no stubs."""
        return [name for name in chunk.servers if name in self.names]

    # ---- what clients ask

    def begin(self, run: Callable[[], dict[str, Any]], what: str) -> Call:
        """Ask something without waiting for the answer; `run` only asks. See `finish`."""
        return Call(run, what, self.cluster, actor=True)

    def push(self, data: bytes, *chain: str) -> str:
        """Push along `chain`, or all, in one piece; the data's id."""
        data_id = f"data-{next(self._pushes)}"
        self.push_piece(data_id, 0, data, len(data), *chain)
        return data_id

    def push_piece(self, data_id: str, offset: int, piece: bytes, total: int, *chain: str) -> None:
        """Push one piece of data along `chain`, or all."""
        first, *rest = chain or self.names
        args = {"data_id": data_id, "offset": offset, "total": total, "chain": rest}
        self.client.ask(first, "push", args, piece)

    def ask_append(self, chunk: Chunk, data_id: str) -> int:
        """Ask the primary to append pushed data; the offset. RemoteError when it says no."""
        args = {"handle": chunk.handle, "version": chunk.version, "data_id": data_id}
        offset: int = self.client.ask(chunk.servers[0], "append", args)["offset"]
        if offset < 0:
            raise LabFailure("append answered with an offset before the chunk", seen=repr(offset))
        return offset

    def append(self, chunk: Chunk, data: bytes) -> int:
        """Push and append; the offset. LabFailure when the server says no."""
        try:
            return self.ask_append(chunk, self.push(data, *self._real(chunk)))
        except RemoteError as error:
            raise LabFailure(
                "an append failed although nothing was wrong", expected="an offset", seen=str(error)
            ) from error

    def begin_append(self, chunk: Chunk, data_id: str) -> Call:
        """Like `ask_append`, under way; the result is {"offset": int}."""
        return self.begin(lambda: {"offset": self.ask_append(chunk, data_id)}, f"append of {data_id}")

    def write(self, chunk: Chunk, offset: int, data_id: str) -> dict[str, Any]:
        """Ask the primary to write pushed data at `offset`. RemoteError when it says no."""
        args = {"handle": chunk.handle, "version": chunk.version, "offset": offset, "data_id": data_id}
        return self.client.ask(chunk.servers[0], "write", args)

    def begin_write(self, chunk: Chunk, offset: int, data_id: str) -> Call:
        return self.begin(lambda: self.write(chunk, offset, data_id), f"write of {data_id} at {offset}")

    def apply(
        self,
        server: str,
        chunk: Chunk,
        serial: int,
        offset: int,
        data_id: str | None,
        version: int | None = None,
        *,
        overwrite: bool = False,
    ) -> dict[str, Any]:
        """Be the primary that sends a mutation to a secondary."""
        args = {
            "handle": chunk.handle,
            "version": chunk.version if version is None else version,
            "serial": serial,
            "offset": offset,
            "data_id": data_id,
            "overwrite": overwrite,
        }
        return self.client.ask(server, "apply", args)

    def mutate(self, server: str, chunk: Chunk, serial: int, offset: int, data: bytes) -> None:
        """Push to a secondary and have it applied. LabFailure when the server says no."""
        accepted(
            lambda: self.apply(server, chunk, serial, offset, self.push(data, server)),
            f"a mutation failed although nothing was wrong: {len(data)} bytes at {offset}, number {serial}",
            expected="done",
        )

    def begin_apply(
        self,
        server: str,
        chunk: Chunk,
        serial: int,
        offset: int,
        data_id: str | None,
        *,
        overwrite: bool = False,
    ) -> Call:
        return self.begin(
            lambda: self.apply(server, chunk, serial, offset, data_id, overwrite=overwrite),
            f"apply of number {serial} at {server}",
        )

    def read(self, server: str, chunk: Chunk, offset: int, length: int) -> bytes:
        args = {"handle": chunk.handle, "offset": offset, "length": length}
        return self.client.ask_with_payload(server, "read", args)[1]

    def stored(self, server: str) -> dict[int, tuple[int, int]]:
        """handle: (version, length) of what a server says it stores."""
        chunks = self.client.ask(server, "inventory", {})["chunks"]
        return {handle: (version, length) for handle, version, length in chunks}

    def lengths(self, chunk: Chunk) -> dict[str, int | None]:
        """Length of the chunk's replica on each of its servers; None where it is not."""
        return {name: self.stored(name).get(chunk.handle, (0, None))[1] for name in chunk.servers}

    # ---- claims

    def holds(self, server: str, chunk: Chunk, offset: int, data: bytes, when: str) -> None:
        """LabFailure unless the acknowledged `data` is at `offset`; `when` completes the sentence."""
        try:
            found = self.read(server, chunk, offset, len(data))
        except RemoteError as error:
            raise LabFailure(
                f"{server} does not serve acknowledged bytes {when}",
                expected=f"{_shown(data)} at offset {offset}",
                seen=str(error),
            ) from error
        expect(
            found == data,
            f"{server} has lost acknowledged bytes {when}",
            expected=f"{_shown(data)} at offset {offset}",
            seen=_shown(found) if len(found) == len(data) <= SHOWN else difference(found, data),
        )

    # ---- time

    def finish(self, call: Call, stride: float = 1.0) -> dict[str, Any]:
        """The result of a call that waits for something that takes time, or never comes: whenever nothing else happens any
        more, time jumps by `stride`."""
        end = self.cluster.now() + LONGEST
        while not self.cluster.await_quiet(lambda: call.done):
            if self.cluster.now() > end:
                raise LabFailure(f"{call.what} gave no answer within {LONGEST:g} virtual seconds")
            self.cluster.advance(stride)
        return call.result()

    def until(self, condition: Callable[[], bool], what: str, call: Call) -> None:
        """Poll until `condition()`, which comes of `call`; LabFailure saying that `what` did not happen, and what was answered."""
        self.cluster.until(lambda: condition() or call.done, what)
        if not condition():
            raise LabFailure(f"{what} did not happen before {call.what} had ended", seen=call.said)

    def pass_time(self, seconds: float) -> None:
        """Time passes while the chunkservers go on reporting, which they do once more at the end or a little after."""
        end = self.cluster.now() + seconds
        while self.cluster.now() < end:
            self.heartbeats()

    def heartbeats(self) -> None:
        """Wait until every server has sent one more heartbeat; time jumps by as much as that takes."""
        before = self._beats()
        end = self.cluster.now() + LONGEST
        self.cluster.await_quiet()
        self.cluster.advance(self.limits.heartbeat + 0.1)
        self.cluster.await_quiet()
        while any(count <= before[name] for name, count in self._beats().items()):
            if self.cluster.now() > end:
                raise LabFailure(
                    "no heartbeat came, however much virtual time passed",
                    expected=f"one every {self.limits.heartbeat:g} s from each of {', '.join(before)}",
                )
            self.cluster.advance(1.0)
            self.cluster.await_quiet()

    def _beats(self) -> dict[str, int]:
        """How many heartbeats have been answered; one that was sent again is still the same."""
        answers = self.cluster.network.frames("heartbeat", REPLY)
        heard = {(frame.receiver, frame.xid) for frame in answers}
        return {name: sum(who == name for who, _ in heard) for name in self.names}


def refused(codes: str | Sequence[str], call: Callable[[], Any], what: str, why: str | None = None) -> None:
    """LabFailure unless `call` is answered with an error of one of these codes."""
    wanted = (codes,) if isinstance(codes, str) else tuple(codes)
    try:
        answer = call()
    except RemoteError as error:
        expect(
            error.code in wanted,
            f"{what} was refused for another reason",
            expected=" or ".join(wanted),
            seen=str(error),
            why=why,
        )
        return
    # A bare number is the offset of an append.
    seen = f"acknowledged at offset {answer}" if isinstance(answer, int) else repr(answer)
    raise LabFailure(f"{what} was not refused", expected=" or ".join(wanted), seen=seen, why=why)


def accepted(call: Callable[[], object], message: str, *, expected: str) -> None:
    """LabFailure with this message if `call` is answered with an error."""
    try:
        call()
    except RemoteError as error:
        raise LabFailure(message, expected=expected, seen=str(error)) from error


def _shown(data: bytes) -> str:
    return repr(data) if len(data) <= SHOWN else f"{data[:SHOWN]!r}…"
