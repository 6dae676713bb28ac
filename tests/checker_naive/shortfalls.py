"""What GFS allows and stricter models do not, said again as slowly and plainly as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations, product

from harness.checker import Name
from harness.checker.evidence import Evidence
from harness.checker.regions import State, merge
from harness.history import (
    Append,
    Kind,
    Operation,
    Outcome,
    Scan,
)
from tests.checker_naive.drawn import PATHS
from tests.checker_naive.guarantees import (
    SIZE,
    cyclic,
    divergent,
    doubly_acknowledged,
    extents,
    lost_append,
    lost_write,
    mingled,
    missed,
    order_cycle,
    oversized,
    phantom,
    resurrected,
    stale_read,
    stored,
    straddling,
    torn,
    unexplained,
    whole,
)


def duplicate(evidence: Evidence) -> bool:
    places = {
        (one.content, view.base + one.start) for view, _, one in stored(evidence) if one.kind is Kind.RECORD
    }
    again = Counter(content for content, _ in places)
    return max(again.values(), default=0) > 1 or any(
        len(set(dict(scan.records))) < len(scan.records) for scan in evidence.scans
    )


def partial(evidence: Evidence) -> bool:
    return any(one.kind is Kind.FRAGMENT for _, _, one in stored(evidence)) or any(
        region.state is State.INCONSISTENT
        and any(held is not None and held.kind is Kind.RECORD for held in region.columns)
        for view in evidence.views
        for region in merge([replica.segments for replica in view.current])
    )


def unrecovered(evidence: Evidence) -> bool:
    """A server had a record, nobody left it out since, a new primary was at work, and the record is not on all."""
    for view, held in product(evidence.views, evidence.history.held):
        append = evidence.appends.get(held.record)
        if held.handle != view.chunk.handle or append is None or append.path != view.chunk.path:
            continue
        later = [
            grant
            for grant in evidence.history.grants
            if grant.handle == held.handle and grant.version > held.version
        ]
        kept = all(held.server in (grant.primary, *grant.secondaries) for grant in later)
        at_work = any(
            other.invoked > grant.time and start >= held.offset
            for grant, (start, _, other) in product(later, extents(evidence, view))
        )
        stands = all(whole(replica, held.offset, append) for replica in view.current)
        if kept and at_work and not stands:
            return True
    return False


def outdated_read(evidence: Evidence) -> bool:
    return any(missed(evidence, scan, scan.invoked) for scan in evidence.scans)


def trace(evidence: Evidence) -> bool:
    failed = {one.record for one in evidence.history.appends if one.outcome is Outcome.FAIL}
    return any(
        one.kind in (Kind.RECORD, Kind.FRAGMENT) and one.content in failed for _, _, one in stored(evidence)
    ) or any(record in failed for scan in evidence.scans for record, _ in scan.records)


def log(evidence: Evidence, path: str) -> list[tuple[int, Append]]:
    """The records of a file by the offsets of their first copies."""
    places: dict[str, int] = {}
    for view, _, one in stored(evidence):
        if one.kind is Kind.RECORD:
            offset = view.base + one.start
            places[one.content] = min(offset, places.get(one.content, offset))
    records = [one for one in evidence.history.appends if one.path == path and one.record in places]
    return sorted(((places[one.record], one) for one in records), key=lambda entry: (entry[0], entry[1].op))


def reordered(evidence: Evidence) -> bool:
    return any(
        one.acknowledged_at < other.invoked and place // SIZE > earlier // SIZE
        for path in PATHS
        for (place, one), (earlier, other) in permutations(log(evidence, path), 2)
    )


def over(operation: Operation) -> float:
    return operation.answered_at if isinstance(operation, Scan) else operation.acknowledged_at


def read_edges(records: list[Append], scan: Scan) -> set[tuple[int, int]]:
    """A scan comes after what it returned and before what it missed."""
    returned = {record for record, _ in scan.records}
    return {(one.op, scan.op) if one.record in returned else (scan.op, one.op) for one in records}


def sequence_cycle(evidence: Evidence) -> bool:
    edges: set[tuple[int, int]] = set()
    operations: list[Operation] = [*evidence.scans]
    for path in PATHS:
        entries = log(evidence, path)
        records = [append for _, append in entries]
        operations += records
        edges |= {
            (one.op, other.op)
            for (place, one), (behind, other) in permutations(entries, 2)
            if (place, one.op) < (behind, other.op) and place // SIZE == behind // SIZE
        }
        for scan in evidence.scans:
            edges |= read_edges(records, scan) if scan.path == path else set()
    edges |= {
        (one.op, other.op)
        for one, other in permutations(operations, 2)
        if one.client == other.client and over(one) < other.invoked
    }
    return cyclic(edges)


def unlinearizable(evidence: Evidence) -> bool:
    for path in PATHS:
        records = [append for _, append in log(evidence, path)]
        scans = [scan for scan in evidence.scans if scan.path == path]
        names = {append.record for append in records}
        if any(record not in names for scan in scans for record, _ in scan.records):
            return True
        edges = {(one.op, two.op) for at, one in enumerate(records) for two in records[at + 1 :]}
        for scan in scans:
            edges |= read_edges(records, scan)
        edges |= {
            (one.op, two.op) for one, two in permutations([*records, *scans], 2) if over(one) < two.invoked
        }
        if cyclic(edges):
            return True
    return False


DEFINITIONS: dict[Name, Callable[[Evidence], bool]] = {
    Name.LOST_APPEND: lost_append,
    Name.DOUBLY_ACKNOWLEDGED_OFFSET: doubly_acknowledged,
    Name.PHANTOM_RECORD: phantom,
    Name.TORN_RECORD: torn,
    Name.DIVERGENT_REPLICAS: divergent,
    Name.ORDER_CYCLE: order_cycle,
    Name.UNEXPLAINED_INCONSISTENCY: unexplained,
    Name.STRADDLING_RECORD: straddling,
    Name.OVERSIZED_RECORD: oversized,
    Name.STALE_READ: stale_read,
    Name.RESURRECTED_REPLICA: resurrected,
    Name.LOST_WRITE: lost_write,
    Name.MINGLED_WRITE: mingled,
    Name.DUPLICATE_RECORD: duplicate,
    Name.PARTIAL_RECORD: partial,
    Name.OUTDATED_READ: outdated_read,
    Name.TRACE_OF_FAILURE: trace,
    Name.REORDERED_CHUNKS: reordered,
    Name.SEQUENCE_CYCLE: sequence_cycle,
    Name.UNLINEARIZABLE_LOG: unlinearizable,
    Name.UNRECOVERED_RECORD: unrecovered,
}
