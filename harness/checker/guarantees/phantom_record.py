"""Phantom record: whatever is read or stored was appended or written to that file by somebody, before it was seen.

Data of a plain write may only stand where that write put it. A record that nobody invoked for the file is made up, or strayed in from another file or run. A scan cannot
return a record whose append was invoked only after the scan had completed. Source: GFS §2.7.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import table_between
from harness.history import Kind, RecordId


def find(evidence: Evidence) -> Iterator[Finding]:
    yield from _read(evidence)
    yield from _stored(evidence)
    yield from _written(evidence)


def _read(evidence: Evidence) -> Iterator[Finding]:
    for scan in evidence.scans:
        for record, offset in scan.records:
            append = evidence.appends.get(record)
            if append is None or append.path != scan.path:
                origin = _origin(evidence, record)
                yield Finding(
                    f"Scan {scan.op} of {scan.path} returned {record}, which nobody appended to that file.",
                    f"every record in {scan.path} was appended to it",
                    f"{record} at offset {offset}, {origin}",
                    Witness((scan,), (), ((offset, offset),)),
                )
            elif append.invoked > scan.answered_at:
                yield Finding(
                    f"Scan {scan.op} of {scan.path} returned {record} before its append {append.op} began.",
                    f"{record} is seen after {append.invoked:.3f}, when it was first sent",
                    f"the scan that returned it was over at {scan.answered_at:.3f}",
                    Witness((scan, append), (), ((offset, offset),)),
                )


def _stored(evidence: Evidence) -> Iterator[Finding]:
    named = (Kind.RECORD, Kind.FRAGMENT)
    for view in evidence.views:
        path = view.chunk.path
        for server, segments in view.held:
            for segment in segments:
                if segment[2] not in named:
                    continue
                append = evidence.appends.get(RecordId(segment[3]))
                if append is not None and append.path == path:
                    continue
                start, end = view.base + segment.start, view.base + segment.end
                yield Finding(
                    f"{server} holds {segment.content} in {path}, which nobody appended to that file.",
                    f"every record in {path} was appended to it",
                    f"{segment.content} at offset {start}, {_origin(evidence, segment.content)}",
                    Witness(
                        (),
                        (server,),
                        ((start, end),),
                        table_between(view, segment.start, segment.end),
                    ),
                )


def _written(evidence: Evidence) -> Iterator[Finding]:
    writes = {str(write.data): write for write in evidence.history.writes}
    for view in evidence.views:
        for server, segments in view.held:
            for segment in segments:
                if segment[2] is not Kind.WRITE:
                    continue
                write = writes.get(segment.content)
                start, end = view.base + segment.start, view.base + segment.end
                if (
                    write is not None
                    and write.path == view.chunk.path
                    and write.offset <= start
                    and end <= write.end
                ):
                    continue
                yield Finding(
                    f"{server} holds {segment.content} at {start} to {end} of {view.chunk.path}, where nobody wrote it.",
                    "data of a write only where that write put it",
                    f"{segment.content}, which no client wrote to these bytes",
                    Witness(
                        () if write is None else (write,),
                        (server,),
                        ((start, end),),
                        table_between(view, segment.start, segment.end),
                    ),
                )


def _origin(evidence: Evidence, record: str) -> str:
    append = evidence.appends.get(RecordId(record))
    return "unknown to every client" if append is None else f"appended to {append.path}"


GUARANTEE = Guarantee(
    Name.PHANTOM_RECORD,
    "A record that is read or stored was appended to that file, and not later than it was seen.",
    "GFS §2.7.1",
    find,
)
