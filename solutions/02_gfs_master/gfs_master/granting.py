"""Granting leases, and letting replicas join and leave: the steps of chunks.py, which says why they are safe, and
of leases.py (GFS §3.1, §4.3)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from gfs_master.chunks import Chunk
from gfs_master.chunkservers import Answer, Answers, Chunkservers
from gfs_master.leases import Lease, Step, next_step
from gfs_master.metadata import Metadata
from gfs_master.operations import CommitVersion, RaiseVersion
from gfs_master.turns import Turns
from labkit import Context
from labkit.errors import NoReplica, NoSuchChunk, SharedChunk


@dataclass(frozen=True)
class Clone:
    """A replica that is to be made at `target` from the one at `source`."""

    target: str
    source: str


@dataclass(frozen=True)
class Committed:
    """What a committed version offers: a lease, and until when on the primary's clock; or nothing."""

    lease: Lease | None = None
    until: float = 0.0


class Granting:
    def __init__(self, context: Context, metadata: Metadata, chunkservers: Chunkservers) -> None:
        self._annotate = context.annotate
        self._rng = context.rng
        self._metadata = metadata
        self._chunkservers = chunkservers
        self._turns = Turns()  # by handle

    def lease(self, handle: int) -> dict[str, Any]:
        """The primary, the secondaries and the version of the chunk's lease, granted now when there is none.

        NoSuchChunk. SharedChunk when it was in a snapshot: `allocate` gives the file one of its own. NoReplica
        when no lease can be granted now: an earlier one may still run and cannot be taken back, a snapshot is
        being made, no up-to-date replica is alive, servers that have one may not have reported yet after a
        restart, or calls to chunkservers failed. Asking again is right.
        """
        # lab 2 part C: hold the chunk's turn; leases.next_step says what to do, chunks.py in which order
        with self._turns.of(handle):
            with self._metadata.section() as now:
                lease, step = self._look(handle, now)
            if step is Step.REVOKE and lease is not None:
                if not self.revoke(lease):
                    raise NoReplica(f"{lease.primary} may hold the lease, and does not give it back")
                step = Step.GRANT
            if step is Step.GRANT:
                lease = self._offer(self._agree(handle, None))
        if lease is None or step is Step.WAIT:
            raise NoReplica(f"the lease from before the restart may still run, chunk {handle}")
        return {"primary": lease.primary, "secondaries": list(lease.secondaries), "version": lease.version}

    def revoke(self, lease: Lease) -> bool:
        """Take a lease back. Whether it surely is over: the primary said so, or that it has no such chunk."""
        # lab 2 part C: condemn it first, so that no heartbeat renews it meanwhile; a dead primary is not asked
        with self._metadata.section():
            if lease.primary not in self._metadata.servers:
                return False
            self._metadata.leases.condemn(lease)
        answer = self._chunkservers.revoke_lease(lease.primary, lease.handle, lease.version)
        if answer not in (Answer.CONFIRMED, Answer.NO_REPLICA):
            return False
        with self._metadata.section():
            self._metadata.leases.end(lease)
        self._annotate("revoked", handle=lease.handle, version=lease.version, primary=lease.primary)
        return True

    def take_back(self, handle: int) -> bool:
        """Whether no lease of the chunk runs, after taking back the one that does. The caller sees to it that none
        is granted meanwhile."""
        # lab 2 part F: what is under way holds the turn; wait for it
        with self._turns.of(handle):
            return self._take_back(handle)

    def regroup(self, handle: int, *, clone: Clone | None = None, leave: str | None = None) -> None:
        """Commit a version in which a clone has joined the chunk's replicas, or which one has to leave.

        NoSuchChunk. NoReplica when it cannot be done now, because the lease cannot be taken back, or for the
        reasons of `lease`; or when it turns out that the version would only make replicas stale.
        """

        # lab 2 part E: hold the turn; without a lease; then as for a grant, but commit only what is worth it
        def worthwhile(servers: Collection[str]) -> bool:
            if clone is not None:
                return clone.target in servers
            return len(servers) >= self._metadata.limits.replicas

        with self._turns.of(handle):
            if not self._take_back(handle):
                raise NoReplica(f"the lease of chunk {handle} cannot be taken back")
            self._agree(handle, worthwhile, clone, leave)

    def _take_back(self, handle: int) -> bool:
        # lab 2 part E
        with self._metadata.section() as now:
            lease = self._metadata.leases.running(handle, now)
        return lease is None or self.revoke(lease)

    def _look(self, handle: int, now: float) -> tuple[Lease | None, Step]:
        # lab 2 part C
        chunk = self._metadata.chunk(handle)
        if handle in self._metadata.state.shared:
            raise SharedChunk(f"chunk {handle} was in a snapshot")
        if handle in self._metadata.in_snapshot:
            raise NoReplica(f"a snapshot of chunk {handle} is being made")
        servers = self._metadata.servers
        lease = self._metadata.leases.running(handle, now)
        primary = servers.get(lease.primary) if lease else None
        step = next_step(lease, primary is not None and primary.spoke)
        if step in (Step.REVOKE, Step.GRANT):
            # Raising the version without a replica that is alive would make it stale for ever.
            missing = [name for name in chunk.told if name not in servers]
            if missing and not servers.have_had_time(now):
                raise NoReplica(f"{missing} may have chunk {handle}, and had no time to report it")
        return lease, step

    def _agree(
        self,
        handle: int,
        worthwhile: Callable[[Collection[str]], bool] | None,
        clone: Clone | None = None,
        leave: str | None = None,
    ) -> Committed:
        # lab 2 part C
        among: set[str] | None = None
        while True:
            with self._metadata.section() as now:
                chunk, asked = self._raise_version(handle, among, leave, now)
            version = chunk.attempted
            answers = self._chunkservers.advance_version(asked, handle, chunk.version, version)
            if clone is not None and clone.source in answers.who(Answer.CONFIRMED):
                # No mutation is under way at the source: none of an older version starts there any more.
                made = self._chunkservers.clone_chunk(clone.target, handle, version, clone.source, final=True)
                answers = answers.and_of(clone.target, made)
            with self._metadata.section() as now:
                committed = self._commit(handle, chunk, answers, clone, worthwhile, now)
            if committed is not None:
                return committed
            # Somebody may have advanced without our hearing of it: once more, among those that answered.
            among, clone = answers.who(Answer.CONFIRMED), None

    def _raise_version(
        self, handle: int, among: set[str] | None, leave: str | None, now: float
    ) -> tuple[Chunk, set[str]]:
        # lab 2 part C
        asked = set(self._metadata.up_to_date(handle)) - {leave}
        if leave is not None and len(asked) < self._metadata.limits.replicas:
            raise NoReplica(f"chunk {handle} has no replica to spare")
        if among is not None:
            asked &= among
        # The primary will be one of these, and its lease counts from its last message.
        if not any(self._metadata.servers.is_fresh(name, now) for name in asked):
            raise NoReplica(f"no up-to-date replica of chunk {handle} is alive")
        self._metadata.record(RaiseVersion(handle, self._metadata.chunk(handle).attempted + 1))
        return self._metadata.chunk(handle), asked

    def _commit(
        self,
        handle: int,
        chunk: Chunk,
        answers: Answers,
        clone: Clone | None,
        worthwhile: Callable[[Collection[str]], bool] | None,
        now: float,
    ) -> Committed | None:
        """Commit `chunk.attempted`: for a lease, whose primary is chosen and whose offer is noted; or, when `worthwhile`
        is given, if it says so of the replicas. None when another round has to come first."""
        # lab 2 part C
        metadata, version = self._metadata, chunk.attempted
        if metadata.state.chunks.get(handle) != chunk:
            raise NoSuchChunk(f"chunk {handle} was reclaimed meanwhile")
        for server in answers.who(Answer.NO_REPLICA):
            metadata.replicas.drop(server, handle)
        confirmed = sorted(answers.who(Answer.CONFIRMED))
        alive = [server for server in confirmed if server in metadata.servers]
        for server in alive:
            if clone is not None and server == clone.target:
                metadata.replicas.confirm_clone(server, handle, version, now)
            else:
                metadata.replicas.confirm(server, handle, version, now)
        if answers.who(Answer.UNKNOWN) or alive != confirmed:
            return None
        if worthwhile is not None:
            # Those that were asked and are not among these will be stale.
            if not worthwhile(alive):
                raise NoReplica(f"chunk {handle} has no more replicas than before, at {alive}")
            metadata.record(CommitVersion(handle, version, tuple(alive), None))
            return Committed()
        fresh = [server for server in alive if metadata.servers.is_fresh(server, now)]
        primary = metadata.servers.get(self._rng.choice(fresh)) if fresh else None
        if primary is None:
            raise NoReplica(f"chunk {handle}: those that advanced have been silent for too long")
        metadata.record(CommitVersion(handle, version, tuple(alive), primary.name))
        others = [server for server in alive if server != primary.name]
        lease = metadata.leases.offer(handle, version, primary.name, others, primary.heard)
        return Committed(lease, primary.sent + metadata.limits.lease)

    def _offer(self, committed: Committed) -> Lease:
        # lab 2 part C
        lease, until = committed.lease, committed.until
        assert lease is not None
        handle, version = lease.handle, lease.version
        answer = self._chunkservers.grant_lease(lease.primary, handle, version, until, lease.secondaries)
        with self._metadata.section() as now:
            leases = self._metadata.leases
            held = leases.confirm(handle, version, now) if answer is Answer.CONFIRMED else None
            if answer in (Answer.REFUSED, Answer.NO_REPLICA):
                leases.end(lease)
        if held is None:
            raise NoReplica(f"{lease.primary} did not take the lease of chunk {handle}: {answer.value}")
        self._annotate("granted", handle=handle, version=version, primary=lease.primary)
        return held
