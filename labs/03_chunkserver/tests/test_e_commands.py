"""Lab 3 part E: commands of the master that come twice, and commands and answers that come late."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.stubs.cell import Cell, Chunk, accepted, refused
from labkit.errors import RemoteError

SHORT = 20.0  # seconds of a lease that is shorter than others
LONGEST = 60  # seconds in which a heartbeat comes


@claim(
    "A command of the master that comes twice changes nothing the second time, and one that comes late spoils nothing",
    hint="compare versions on every command, and those that the heartbeat named with those that are here when its answer comes",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_commands_that_come_twice_or_late(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    cell.cluster.set_rate(0.0)  # no lease ends before time jumps
    made_again(cell)
    an_answer_that_comes_late(cell)  # after that, heartbeats renew nothing
    chunk = cell.bare_chunk()
    cell.advance(chunk)
    old = Chunk(chunk.handle, chunk.servers, chunk.version)
    cell.advance(chunk)
    cell.grant(chunk)
    goes_on(cell, chunk, "a grant")
    twice(
        lambda: cell.master.advance(chunk.handle, chunk.servers, old.version, chunk.version),
        "advance_version",
    )
    goes_on(cell, chunk, "advance_version to the version it has already")
    twice(lambda: cell.grant(chunk, seconds=SHORT), "grant_lease")
    cell.cluster.await_quiet()
    cell.cluster.advance(SHORT + 1)
    goes_on(cell, chunk, "the same grant again, with an earlier end, and that end")
    with contextlib.suppress(RemoteError):  # it may say no
        cell.master.ask("cs1", "revoke_lease", {"handle": chunk.handle, "version": old.version})
    goes_on(cell, chunk, "a late revoke_lease of the version before")
    for version in (old.version, chunk.version + 2):
        refused(
            "stale_version",
            lambda version=version: cell.master.advance(chunk.handle, chunk.servers, version - 1, version),
            f"advance_version from {version - 1} to {version} of a replica that is at {chunk.version}",
            why="the number is all that tells current replicas from stale ones (GFS §4.5)",
        )
    goes_on(cell, chunk, "an advance_version that was refused")
    for name in cell.names:
        at_version(cell, name, chunk, "after commands that came twice or late")
    a_clone_that_comes_late(cell)


def twice(command: Callable[[], object], what: str) -> None:
    accepted(
        command,
        f"{what} is refused when it comes a second time",
        expected="done: the first answer may have been lost",
    )


def goes_on(cell: Cell, chunk: Chunk, after: str) -> None:
    """The lease still holds, and its serial numbers go on."""
    accepted(
        lambda: cell.ask_append(chunk, cell.push(b"data")),
        f"the primary does not append after {after}",
        expected="an offset: its lease and its serial numbers go on",
    )


def at_version(cell: Cell, name: str, chunk: Chunk, when: str) -> None:
    found = cell.stored(name).get(chunk.handle)
    expect(
        found is not None and found[0] == chunk.version,
        f"{name} does not store chunk {chunk.handle} at version {chunk.version} {when}",
        seen="it is not there" if found is None else f"version {found[0]}, {found[1]} bytes",
    )


def made_again(cell: Cell) -> None:
    chunk = Chunk(cell.new_handle(), ("cs1",), 2)
    cell.master.make(chunk.handle, chunk.servers, chunk.version)
    cell.mutate("cs1", chunk, 1, 0, b"a record")
    twice(lambda: cell.master.make(chunk.handle, chunk.servers, chunk.version), "create_chunk")
    cell.holds("cs1", chunk, 0, b"a record", "after create_chunk came a second time")
    for version in (chunk.version - 1, chunk.version + 1):
        refused(
            "stale_version",
            lambda version=version: cell.master.make(chunk.handle, chunk.servers, version),
            f"create_chunk at version {version} for a chunk that is here at {chunk.version}",
            why="the empty replica would pass for one that holds what was acknowledged",
        )
    cell.holds("cs1", chunk, 0, b"a record", "after create_chunk at other versions")
    at_version(cell, "cs1", chunk, "after create_chunk at other versions")


def an_answer_that_comes_late(cell: Cell) -> None:
    """A heartbeat is answered with a deletion and a lease; before the answer comes, both chunks have another version."""
    named, leased = cell.bare_chunk("cs1"), cell.chunk("cs1")
    old = Chunk(named.handle, named.servers, named.version)
    cell.cluster.await_quiet()
    cell.master.delete["cs1"] = [named.handle]
    held = cell.cluster.network.hold(Aim("heartbeat", "reply", receiver="cs1"))
    for _ in range(LONGEST):
        cell.cluster.advance(1.0)
        if cell.cluster.await_quiet(held.first.is_set):
            break
    expect(held.first.is_set(), f"no heartbeat came in {LONGEST} s")
    cell.master.delete.clear()
    cell.master.stop_renewing()
    for chunk in (named, leased):
        cell.advance(chunk)
    cell.grant(leased, seconds=SHORT)
    cell.cluster.network.release(held)
    cell.cluster.await_quiet()
    expect(
        named.handle in cell.stored("cs1"),
        "a replica was deleted because of an answer that is about an older version of it",
        expected=f"chunk {named.handle} at version {named.version}: the heartbeat that was answered had said {old.version}",
        seen=f"of all chunks, {sorted(cell.stored('cs1'))} are left",
        why="the replica may have been made anew meanwhile, and be the only current one",
    )
    cell.cluster.advance(SHORT + 1)
    data_id = cell.push(b"data", "cs1")
    refused(
        "not_primary",
        lambda: cell.ask_append(leased, data_id),
        f"an append {SHORT + 1:g} s after a lease of {SHORT:g} s was granted",
        why="what renewed the lease was a late answer, to a heartbeat that named the lease of the version before",
    )


def a_clone_that_comes_late(cell: Cell) -> None:
    """From a server that missed the version, too."""
    chunk = cell.bare_chunk()
    old = Chunk(chunk.handle, chunk.servers, chunk.version)
    chunk.version += 1
    cell.master.advance(chunk.handle, ["cs2"], old.version, chunk.version)
    refused(
        "stale_version",
        lambda: cell.clone("cs2", old, "cs1"),
        f"clone_chunk at version {old.version}, where a replica at {chunk.version} is,",
    )
    at_version(cell, "cs2", chunk, "after a clone of an older version was refused")
