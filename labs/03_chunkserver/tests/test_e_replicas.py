"""Lab 3 part E: replicas made on the master's command, and replicas that have become stale."""

from __future__ import annotations

import threading
from typing import Any

from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Call, Cell, Chunk, refused
from labkit.errors import RemoteError

ROOMY = {"chunk_size": 256 * 1024, "block_size": 512}
PREPARED = 40  # records before the clone is begun
RECORD = 1000


@claim(
    "A replica is cloned while appends go on, and is one only when the master says that this was the last step",
    hint="compare checksums, fetch what differs, verify it; final: it becomes a replica, durably, at the version told",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_a_clone_beside_appends(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 4, ROOMY)
    chunk = cell.chunk("cs1", "cs2", "cs3")
    placed = [(cell.append(chunk, letter * RECORD), letter * RECORD) for letter in letters(PREPARED)]
    with Appending(cell, chunk) as appending:
        cell.clone("cs4", chunk, "cs2", final=False)
        appending.more()
        cell.clone("cs4", chunk, "cs2", final=False)
        expect(
            "cs4" not in replicas_of(cell, chunk),
            "a clone that is being prepared is reported as a replica",
            expected=f"no chunk {chunk.handle} in what cs4 stores, until clone_chunk comes with final",
            why="clients would be sent to a replica that lacks records",
        )
        refused(
            "no_such_chunk",
            lambda: cell.read("cs4", chunk, 0, 10),
            "a read of a clone that is being prepared",
        )
    placed += appending.placed
    cell.master.ask("cs1", "revoke_lease", {"handle": chunk.handle, "version": chunk.version})
    cell.advance(chunk)
    before = fetched(cell)
    cell.clone("cs4", chunk, "cs3")
    again = fetched(cell) - before
    expect(
        again < PREPARED * RECORD // 2,
        "the last step of a clone fetches again what was here already",
        expected=f"blocks whose checksums differ: far fewer than the {PREPARED * RECORD} bytes that were prepared",
        seen=f"{again} bytes",
        why="clients wait during the last step, and only then",
    )
    cell.clone("cs4", chunk, "cs3")
    cell.cluster.restart("cs4")
    expect(
        cell.stored("cs4").get(chunk.handle, (0, 0))[0] == chunk.version,
        "a clone that was answered for is not stored at its version after a restart",
        expected=f"version {chunk.version}",
        seen=repr(cell.stored("cs4").get(chunk.handle)),
    )
    chunk.servers = cell.names
    cell.advance(chunk)
    cell.grant(chunk)
    placed.append((cell.append(chunk, b"after"), b"after"))
    for offset, record in placed:
        cell.holds("cs4", chunk, offset, record, "as a clone of a replica that has them")


def letters(count: int) -> list[bytes]:
    return [bytes([65 + number % 26]) for number in range(count)]


def replicas_of(cell: Cell, chunk: Chunk) -> list[str]:
    return [name for name in cell.names if chunk.handle in cell.stored(name)]


def fetched(cell: Cell) -> int:
    """Bytes that cs4 has got as answers to its reads."""
    return sum(frame.size for frame in cell.cluster.network.frames("read", "reply", receiver="cs4"))


class Appending:
    """A client that appends without a pause, for the length of a with block. `placed`: what was acknowledged."""

    def __init__(self, cell: Cell, chunk: Chunk) -> None:
        self.placed: list[tuple[int, bytes]] = []
        self._cell, self._chunk = cell, chunk
        self._stop = threading.Event()

    def __enter__(self) -> Appending:
        self._call = Call(self._work, "an append beside a clone", self._cell.cluster)
        self.more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._call.result()

    def more(self) -> None:
        """Wait until more has been appended, for a while."""
        have = len(self.placed)
        self._cell.cluster.until(lambda: len(self.placed) > have or self._call.done, "one more append")

    def _work(self) -> dict[str, Any]:
        while not self._stop.is_set() and len(self.placed) < 60:
            record = b"beside the clone %3d " % len(self.placed) * 10
            self.placed.append((self._cell.append(self._chunk, record), record))
            self._stop.wait(0.01)
        return {}


@claim(
    "A replica that missed a version gives itself away after a reboot, and is gone for good when the master says so",
    hint="report the version the disk has; do what the answer to register says, on the disk too",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_a_stale_replica_after_a_reboot(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    chunk, other = cell.bare_chunk(), cell.bare_chunk()
    for name in cell.names:
        cell.mutate(name, chunk, 1, 0, b"old")
        cell.mutate(name, other, 1, 0, b"other")
    cell.cluster.crash("cs3")
    stale = Chunk(chunk.handle, chunk.servers, chunk.version)
    cell.master.advance(chunk.handle, ["cs1", "cs2"], chunk.version, chunk.version + 1)
    chunk.version += 1
    cell.master.delete["cs3"] = [chunk.handle]
    rebooted = cell.cluster.now()
    cell.cluster.start("cs3")
    cell.cluster.until(
        lambda: bool(cell.master.reports("cs3", "register", since=rebooted)),
        "that cs3 registers after its reboot",
    )
    said = cell.master.reports("cs3", "register", since=rebooted)[0].chunks
    expect(
        said.get(chunk.handle) == stale.version,
        "a replica that missed a version is not registered with the version it has",
        expected=f"chunk {chunk.handle} at version {stale.version}",
        seen=repr(dict(said)),
        why="the number is all that tells the master that the replica is stale (GFS §4.5)",
    )
    cell.cluster.until(
        lambda: chunk.handle not in cell.stored("cs3"), "that cs3 deletes what the answer to register names"
    )
    cell.cluster.await_quiet()  # nobody promised that it is gone from the disk when others first miss it
    cell.master.delete.clear()
    cell.cluster.restart("cs3")
    expect(
        set(cell.stored("cs3")) == {other.handle},
        "a restart changes what is there after a stale replica was deleted",
        expected=f"chunk {other.handle} alone",
        seen=repr(cell.stored("cs3")),
    )
    cell.clone("cs3", chunk, "cs1")
    cell.holds("cs3", chunk, 0, b"old", "as a clone, where a stale replica was before")
    cell.master.delete["cs3"] = [chunk.handle]
    cell.heartbeats()
    cell.cluster.until(
        lambda: chunk.handle not in cell.stored("cs3"), "that cs3 deletes the clone, as the master said,"
    )
    cell.master.delete.clear()
    cell.clone("cs3", chunk, "cs1")
    cell.holds("cs3", chunk, 0, b"old", "as a clone, where it had deleted one since it started")


@claim(
    "A copy for a snapshot is a chunk of its own, made without the network, durable, and no other for a second command",
    hint="read and verify the local replica, under its lock; the copy begins at version 1",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_a_copy_for_a_snapshot(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    chunk = cell.chunk()
    record = b"as it was at the snapshot " * 30
    cell.append(chunk, record)
    cell.master.ask("cs1", "revoke_lease", {"handle": chunk.handle, "version": chunk.version})
    cell.advance(chunk)
    copy = Chunk(cell.new_handle(), chunk.servers)
    wrong = Chunk(chunk.handle, chunk.servers, chunk.version + 1)
    refused(
        "stale_version", lambda: cell.copy("cs1", wrong, copy.handle), "a copy of a version that is not here"
    )
    crossed = len(cell.cluster.network.frames("read"))
    for name in chunk.servers:
        cell.copy(name, chunk, copy.handle)
        try:
            cell.copy(name, chunk, copy.handle)
        except RemoteError as error:
            raise LabFailure(
                "the same copy is refused when it is asked for again",
                expected="done: an answer may have been lost",
                seen=f"{error}; {name} stores {cell.stored(name)}",
            ) from error
    expect(
        len(cell.cluster.network.frames("read")) == crossed,
        "a copy on the same server was fetched over the network",
        expected="bytes from the local disk (GFS §3.4)",
    )
    cell.advance(chunk)
    cell.grant(chunk)
    cell.append(chunk, b"after the snapshot")
    for name in chunk.servers:
        cell.cluster.restart(name)
        found = cell.stored(name).get(copy.handle)
        expect(
            found == (1, len(record)),
            f"{name} does not store the copy of a chunk",
            expected=f"chunk {copy.handle} at version 1, {len(record)} bytes",
            seen=repr(found),
        )
        cell.holds(name, copy, 0, record, "in a copy, although the original has changed since")
