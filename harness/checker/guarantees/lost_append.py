"""Lost append: an acknowledged record must be there for everybody who comes later.

GFS promises that a record append happens at least once, atomically, at the offset it returns, and that after
success the region is defined. So every current replica holds the record, whole, at the acknowledged offset;
and a reader that opens the file afterwards, with no location cached, returns it. An acknowledgement that is
simultaneous with the reader's invocation is concurrent with it and promises nothing.

Bytes that are there but broken are a torn record, not a lost one. Source: GFS §2.7.1, §3.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import ChunkView, Evidence, Extent, describe, overlapping
from harness.checker.reads import first_missed
from harness.checker.witnesses import circle, during, table_between
from harness.history import Kind, Replica


def find(evidence: Evidence) -> Iterator[Finding]:
    for view in evidence.views:
        for replica, missing in view.missing:
            torn: set[int] = set()
            if missing:
                fragments = [segment for segment in replica.segments if segment.kind is Kind.FRAGMENT]
                torn = {extent.append.op for _, extent in overlapping(fragments, view.extents)}
            for extent in missing:
                if extent.append.op not in torn:
                    yield _lost_on(view, replica, extent)
    yield from _in_vanished_chunks(evidence)
    yield from _missed_by_readers(evidence)


def _lost_on(view: ChunkView, replica: Replica, extent: Extent) -> Finding:
    append, server = extent.append, replica.server
    table = table_between(view, extent.start, extent.end)
    column = table.servers.index(server)
    standing = dict.fromkeys(describe(region.columns[column]) for region in table.regions)
    observed = " and ".join(standing) or describe(None)
    return Finding(
        f"Append {append.op} of {append.record} was acknowledged at offset {append.offset} of {append.path}, "
        f"but {server} does not hold it there.",
        f"{server} holds {append.record}, {append.size} bytes, at offset {append.offset}",
        f"{server} holds {observed}",
        Witness((append,), (server,), ((view.base + extent.start, view.base + extent.end),), table),
    )


def _in_vanished_chunks(evidence: Evidence) -> Iterator[Finding]:
    """Acknowledged in a chunk the master no longer knows, though it does know others of the file."""
    known = {(view.chunk.path, view.chunk.index) for view in evidence.views}
    for (path, index), extents in evidence.extents.items():
        if (path, index) in known or path not in evidence.dumped_paths:
            continue
        append = extents[0].append
        yield Finding(
            f"Append {append.op} of {append.record} was acknowledged at offset {append.offset} of {path}, "
            f"but the master knows no chunk {index} of that file.",
            f"the master lists chunk {index} of {path}, with its replicas",
            f"its last description of {path} has no chunk {index}",
            Witness((append,), (), ((append.offset or 0, (append.offset or 0) + append.size),)),
        )


def _missed_by_readers(evidence: Evidence) -> Iterator[Finding]:
    for scan in evidence.scans:
        append = first_missed(evidence, scan, scan.invoked) if scan.opened else None
        if append is None:
            continue
        yield Finding(
            f"Append {append.op} of {append.record} was acknowledged, {scan.client} opened {scan.path} after "
            f"that, and its scan {scan.op} did not return the record.",
            f"scan {scan.op} returns {append.record}, acknowledged {during(append, scan)} before it began",
            f"it returned {len(scan.records)} records without {append.record}",
            Witness(
                (append, scan),
                (),
                ((append.offset or 0, (append.offset or 0) + append.size),),
                edges=circle(("was acknowledged before the file was opened", "did not return it")),
            ),
        )


GUARANTEE = Guarantee(
    Name.LOST_APPEND,
    "An acknowledged record stands at its acknowledged offset on every current replica, and a reader that "
    "opens the file later sees it.",
    "GFS §2.7.1, §3.3",
    find,
)
