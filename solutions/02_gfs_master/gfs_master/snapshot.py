"""Snapshots: a copy of a file or directory, at once, by sharing its chunks until somebody writes (GFS §3.4).

    locks on both names -> no lease begins on the chunks -> every lease that runs is revoked -> log Snapshot

With the leases gone, whoever wants to mutate one of the chunks has to ask the master, and is refused: the
chunk is shared. `allocate` gives the file a copy of its own (creation.py). A mutation that was acknowledged
is in the snapshot; one that comes later is not.
"""

from __future__ import annotations

from gfs_master.chunkservers import in_parallel
from gfs_master.granting import Granting
from gfs_master.locks import PathLocks
from gfs_master.metadata import Metadata
from gfs_master.namespace import check_path
from gfs_master.operations import Snapshot
from labkit.errors import NoReplica

AT_ONCE = 16  # revocations side by side


class Snapshots:
    def __init__(self, metadata: Metadata, granting: Granting, locks: PathLocks) -> None:
        self._metadata = metadata
        self._granting = granting
        self._locks = locks

    def snapshot(self, source: str, target: str) -> None:
        """Make `target` a copy of `source`. Errors of Namespace.check_move; NoReplica when a lease can neither be
        taken back nor is over: nothing has changed then, and asking again is right."""
        # lab 2 part F: `in_snapshot` first, then Granting.take_back; whatever happens, `in_snapshot` ends
        metadata = self._metadata
        with self._locks.writing(check_path(source), check_path(target)):
            with metadata.section():
                metadata.state.namespace.check_move(source, target)
                handles = set(metadata.state.namespace.handles(source)) - metadata.state.shared.keys()
                metadata.in_snapshot |= handles
            try:
                self._take_back(sorted(handles))
                with metadata.section():
                    metadata.record(Snapshot(source, target))
            finally:
                with metadata.section():
                    metadata.in_snapshot -= handles

    def _take_back(self, handles: list[int]) -> None:
        # lab 2 part F
        kept: list[int] = []

        def take_back(some: list[int]) -> None:
            kept.extend(handle for handle in some if not self._granting.take_back(handle))

        in_parallel(
            [lambda some=handles[n::AT_ONCE]: take_back(some) for n in range(min(AT_ONCE, len(handles)))]
        )
        if kept:
            raise NoReplica(f"the leases of chunks {kept[:5]} cannot be taken back yet")
