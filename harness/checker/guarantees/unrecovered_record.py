"""Unrecovered record (legal in GFS): a new primary did not take over what another replica had.

A primary that dies leaves its last operations on some of the others. A new one that looks at itself only gives their places to
others, and what readers have seen is gone. The stricter model asks that it finds out and brings all into line: a record
that a server had, and that every later primary could have asked for, stands where it was on all. Source: the end of the
lecture on GFS; GFS §3.1, §3.3.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import itemgetter

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence, describe
from harness.checker.succession import Bound, bound, unseen
from harness.checker.witnesses import table_between
from harness.history import Kind, Replica, Segment


def find(evidence: Evidence) -> Iterator[Finding]:
    for one in bound(evidence):
        wanted = Segment(one.held.offset, one.append.size, Kind.RECORD, one.held.record)
        if not all(_stands(replica, wanted) for replica in one.view.distinct):
            yield _unrecovered(one, wanted)


def _stands(replica: Replica, wanted: Segment) -> bool:
    at = bisect_left(replica.segments, wanted.start, key=itemgetter(0))
    return replica.segments[at : at + 1] == (wanted,)


def _shown(replica: Replica, start: int) -> str:
    """What a replica holds at a chunk offset, in words."""
    at = bisect_right(replica.segments, start, key=itemgetter(0)) - 1
    held = replica.segments[at] if at >= 0 and start < replica.segments[at].end else None
    return f"{replica.server} holds {describe(held)}"


def _unrecovered(one: Bound, wanted: Segment) -> Finding:
    view, held, grant = one.view, one.held, one.grant
    lacking = [replica.server for replica in view.current if not _stands(replica, wanted)]
    start, end = view.base + wanted.start, view.base + wanted.end
    others = f" with {', '.join(grant.secondaries)}" if grant.secondaries else ""
    outcome = f"gone from {held.server}" if held.server in lacking else f"not on {', '.join(lacking)}"
    return Finding(
        f"{held.server} had {held.record} at {start} when {grant.primary} became primary of version {grant.version}; "
        f"with {one.later.record} acknowledged since, it is {outcome}.",
        f"{held.record} at {start} on all of {', '.join(view.servers)}: {held.server} was in the group of every primary "
        f"since, each could ask it",
        f"at {start} {'; '.join(_shown(replica, wanted.start) for replica in view.current)}",
        Witness(
            (one.append,) if one.later == one.append else (one.append, one.later),
            view.servers,
            ((start, end),),
            table_between(view, wanted.start, wanted.end),
            moments=(
                (held.time, f"{held.server} has {held.record} at {start}, at version {held.version}"),
                (grant.time, f"the lease is offered to {grant.primary}{others}, at version {grant.version}"),
            ),
        ),
    )


GUARANTEE = Guarantee(
    Name.UNRECOVERED_RECORD,
    "What a replica had when the primary changed, the new one finds and brings to all.",
    "GFS §3.1",
    find,
    unseen,
)
