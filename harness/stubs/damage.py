"""Bits that flip in a chunkserver's replicas, and what may be read of such a replica afterwards."""

from __future__ import annotations

from harness import disk_faults
from harness.failures import expect
from harness.stubs.cell import Cell, Chunk
from labkit.errors import RemoteError

WRONG = ("corrupt", "no_such_chunk")  # what may be said of a damaged replica


def damage(cell: Cell, server: str, record: bytes, position: int, *, running: bool = False) -> None:
    """Flip a bit of the byte at `position` of the newest `record` on the server's disk, while it runs or is down."""
    if not running:
        cell.cluster.crash(server)
    for path in disk_faults.files_with(cell.cluster, server, record):
        disk_faults.flip_bit(path, path.read_bytes().rindex(record) + position)
    if not running:
        cell.cluster.start(server)


def served(cell: Cell, server: str, chunk: Chunk, length: int, what: str) -> bytes | None:
    """The first bytes of a chunk as a reader gets them; None when they are refused as damaged, LabFailure when for another
    reason. `what` was done to it, in words."""
    try:
        return cell.read(server, chunk, 0, length)
    except RemoteError as error:
        expect(
            error.code in WRONG,
            "a damaged replica is refused for another reason",
            expected=" or ".join(WRONG),
            seen=f"{error}; {what}",
        )
        return None
