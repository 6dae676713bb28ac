"""Oversized record: a record append beyond the limit is refused, not carried out.

GFS limits a record to a quarter of a chunk, which bounds what padding can waste. A record of exactly the
limit is allowed. Source: GFS §3.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import extent_of, table_between
from harness.history import Kind, RecordId


def find(evidence: Evidence) -> Iterator[Finding]:
    limit = evidence.history.meta.record_limit
    told: set[str] = set()
    for appends in evidence.acknowledged.values():
        for append in appends:
            if append.size > limit:
                told.add(append.record)
                yield Finding(
                    f"Append {append.op} of {append.record} was acknowledged although it is too large.",
                    f"records of more than {limit} bytes are refused",
                    f"{append.record} with {append.size} bytes at offset {append.offset}",
                    Witness((append,), (), (extent_of(append),)),
                )
    yield from _stored(evidence, told)


def _stored(evidence: Evidence, told: set[str]) -> Iterator[Finding]:
    limit = evidence.history.meta.record_limit
    for view in evidence.views:
        for server, segments in view.held:
            for segment in segments:
                if segment[1] <= limit or segment.kind is not Kind.RECORD or segment.content in told:
                    continue
                told.add(segment.content)
                append = evidence.appends.get(RecordId(segment.content))
                start, end = view.base + segment.start, view.base + segment.end
                yield Finding(
                    f"{server} stores {segment.content}, which is too large for a record append.",
                    f"records of more than {limit} bytes are refused before anything is written",
                    f"{segment.content} with {segment.length} bytes at offset {start}",
                    Witness(
                        () if append is None else (append,),
                        (server,),
                        ((start, end),),
                        table_between(view, segment.start, segment.end),
                    ),
                )


GUARANTEE = Guarantee(
    Name.OVERSIZED_RECORD,
    "A record append above the size limit is refused.",
    "GFS §3.3",
    find,
)
