"""Straddling record: no record crosses the boundary of a chunk.

A record that does not fit into the rest of the last chunk makes the primary pad that chunk on all replicas
and send the client to the next one. A record may end exactly at the boundary. Source: GFS §3.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import table_between
from harness.history import Kind, RecordId


def find(evidence: Evidence) -> Iterator[Finding]:
    size = evidence.history.meta.chunk_size
    told: set[str] = set()
    for appends in evidence.acknowledged.values():
        for append in appends:
            start = append.offset or 0
            if start % size + append.size > size:
                end, boundary = start + append.size, (start // size + 1) * size
                told.add(append.record)
                yield Finding(
                    f"Append {append.op} of {append.record} was acknowledged across the boundary between chunks "
                    f"{start // size} and {start // size + 1} of {append.path}.",
                    f"{append.record} ends at {boundary} at the latest, or begins there",
                    f"it was given {start} to {end}",
                    Witness((append,), (), ((start, end),)),
                )
    yield from _stored(evidence, told)


def _stored(evidence: Evidence, told: set[str]) -> Iterator[Finding]:
    size = evidence.history.meta.chunk_size
    for view in evidence.views:
        for replica in view.current:
            # Segments tile a replica, so only the last can cross; later ones would lie wholly beyond.
            for segment in reversed(replica.segments):
                if segment.end <= size:
                    break
                if segment.content in told or segment.kind not in (Kind.RECORD, Kind.FRAGMENT):
                    continue
                append = evidence.appends.get(RecordId(segment.content))
                start, end = view.base + segment.start, view.base + segment.end
                yield Finding(
                    f"{replica.server} holds {segment.content} beyond the end of chunk {view.chunk.index} of "
                    f"{view.chunk.path}.",
                    f"the chunk ends at {view.base + size}",
                    f"{segment.content} at {start} to {end} on {replica.server}",
                    Witness(
                        () if append is None else (append,),
                        (replica.server,),
                        ((start, end),),
                        table_between(view, segment.start, segment.end),
                    ),
                )


GUARANTEE = Guarantee(
    Name.STRADDLING_RECORD,
    "A record lies within one chunk: what does not fit goes to the next, after padding.",
    "GFS §3.3",
    find,
)
