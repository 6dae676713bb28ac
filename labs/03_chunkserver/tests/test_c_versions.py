"""Lab 3 part C: serial numbers belong to a version, and begin anew with the next."""

from __future__ import annotations

import contextlib
from typing import Any

from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Cell, accepted
from labkit.errors import RemoteError


@claim(
    "Serial numbers begin anew with each version, at the primary and at the secondaries",
    hint="keep the numbers with the version: when advance_version raises it, the next one is 1, to give and to wait for",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_numbers_begin_anew(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    at_a_secondary(cell)
    at_the_primary(cell)


def at_a_secondary(cell: Cell) -> None:
    chunk = cell.bare_chunk()
    for serial in (1, 2, 3):
        cell.mutate("cs2", chunk, serial, 4 * (serial - 1), b"AAAA")
    cell.advance(chunk)
    first = cell.begin_apply("cs2", chunk, 1, 12, cell.push(b"BBBB"))
    accepted(
        lambda: cell.finish(first),
        "a secondary does not begin anew with its numbers when the version goes up",
        expected=f"number 1 of version {chunk.version} is done, although numbers 1 to 3 of the version before were",
    )
    cell.holds("cs2", chunk, 0, b"AAAAAAAAAAAABBBB", "after number 1 of a new version")


def at_the_primary(cell: Cell) -> None:
    chunk = cell.chunk()
    for _ in range(2):
        cell.append(chunk, b"before")
    cell.advance(chunk)
    cell.grant(chunk)
    append = cell.begin_append(chunk, cell.push(b"after"))
    with contextlib.suppress(RemoteError):  # what counts is its number
        cell.finish(append)
    frames = cell.cluster.network.frames("apply", "request", sender="cs1", receiver="cs2")
    told: list[Any] = [frame.header.get("args") or {} for frame in frames]
    mine = [args for args in told if args.get("handle") == chunk.handle]
    serials = {args["serial"] for args in mine if args.get("version") == chunk.version}
    expect(
        serials == {1},
        "the primary does not begin anew with its numbers when the version goes up",
        expected=f"an apply with serial 1 for the first mutation of version {chunk.version}",
        seen=f"serial numbers and versions, as told to cs2: {[(args.get('serial'), args.get('version')) for args in mine]}; "
        f"the append was answered with {append.said}",
        why="a secondary waits for number 1, and gives the missing numbers up only after limits.reorder_wait",
    )
