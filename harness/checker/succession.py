"""What a new primary had to take over, from what the wire showed of leases and secondaries (GFS §3.1, §4.5).

A server *was left out* of a chunk when a lease of a later version names it neither as primary nor among the secondaries.
One that had a record and was never left out since was there for every later primary to ask. So it is *bound*: once an
append that began after such a lease was offered is acknowledged behind it, or in its place, that primary was at work, and
the record has to be where it was, on all replicas.

What is not seen binds nobody: a lease that was not offered on the wire is nobody's, and what was answered to nobody was not
held. But a chunk with acknowledged records had a primary. If no lease of it was seen the evidence is missing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

from harness.checker.evidence import ChunkView, Evidence, Extent
from harness.history import Append, Grant, Handle, Held


class Bound(NamedTuple):
    """`append`'s record, of which `held` tells, has stayed: a server had it, `grant` made a primary that could ask that
    server, and that primary, or one after it, has acknowledged `later`."""

    view: ChunkView
    append: Append
    held: Held
    grant: Grant
    later: Append


def unseen(evidence: Evidence) -> Iterator[str]:
    """Why nobody can say what new primaries had to take over."""
    granted = {grant.handle for grant in evidence.history.grants}
    for view in evidence.views:
        if view.extents and view.chunk.handle not in granted:
            yield (
                f"no lease of chunk {view.chunk.index} of {view.chunk.path} was seen, though records of it were acknowledged"
            )


def bound(evidence: Evidence) -> Iterator[Bound]:
    """One for each record and place, by the earliest evidence. None where plain writes may have gone over records."""
    if not evidence.history.held:
        return
    grants: dict[Handle, list[Grant]] = defaultdict(list)
    for grant in evidence.history.grants:
        grants[grant.handle].append(grant)
    held: dict[Handle, list[Held]] = defaultdict(list)
    for one in evidence.history.held:
        held[one.handle].append(one)
    for view in evidence.views:
        handle = view.chunk.handle
        if handle in held and handle in grants and view.chunk.path not in evidence.writes:
            yield from _bound(evidence, view, held[handle], _Leases(grants[handle]))


def _bound(evidence: Evidence, view: ChunkView, held: list[Held], leases: _Leases) -> Iterator[Bound]:
    latest = _latest(view.extents)
    known: set[tuple[str, int]] = set()
    for one in sorted(held, key=attrgetter("version", "time", "server")):
        append = evidence.appends.get(one.record)
        at = bisect_left(view.starts, one.offset)
        grant = leases.first_after(one.version)
        if append is None or grant is None or at == len(latest) or (one.record, one.offset) in known:
            continue
        # Best the one that has its place now.
        nearest = view.extents[at].append
        later = nearest if nearest.invoked > grant.time else latest[at]
        if append.path == view.chunk.path and later.invoked > grant.time and leases.kept(one):
            known.add((one.record, one.offset))
            yield Bound(view, append, one, grant, later)


def _latest(extents: Sequence[Extent]) -> list[Append]:
    """For each extent the append that began last, of it and those that begin behind it."""
    latest: list[Append] = []
    for extent in reversed(extents):
        candidates = (*latest[-1:], extent.append)
        latest.append(max(candidates, key=attrgetter("invoked")))
    latest.reverse()
    return latest


class _Leases:
    """The leases of one chunk."""

    def __init__(self, grants: list[Grant]) -> None:
        grants.sort(key=attrgetter("version"))
        self._versions = [grant.version for grant in grants]
        # Of those from each version on, the one that was offered first.
        self._first = list(
            accumulate(reversed(grants), lambda one, two: min(two, one, key=attrgetter("time")))
        )
        self._first.reverse()
        servers = {name for grant in grants for name in (grant.primary, *grant.secondaries)}
        self._left_out = {
            server: max(
                (grant.version for grant in grants if server not in (grant.primary, *grant.secondaries)),
                default=-1,
            )
            for server in servers
        }

    def first_after(self, version: int) -> Grant | None:
        """The first that was offered of those of a later version."""
        at = bisect_right(self._versions, version)
        return self._first[at] if at < len(self._first) else None

    def kept(self, held: Held) -> bool:
        """Whether its server was not left out since."""
        return self._left_out.get(held.server, held.version + 1) <= held.version
