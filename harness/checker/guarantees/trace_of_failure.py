"""Trace of failure (legal in GFS): an append that its client was told had failed stands somewhere after all.

A failed append may have reached some replicas, or all; GFS leaves it to readers to live with that. In the
stricter model "failed" means that it did not happen and never will: nothing of it is stored or read.
Source: GFS §2.7.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import table_between
from harness.history import Kind, Outcome


def find(evidence: Evidence) -> Iterator[Finding]:
    failed = {str(one.record): one for one in evidence.history.appends if one.outcome is Outcome.FAIL}
    if not failed:
        return
    for view in evidence.views:
        for server, segments in view.held:
            for segment in segments:
                if segment.kind not in (Kind.RECORD, Kind.FRAGMENT) or segment.content not in failed:
                    continue
                append = failed[segment.content]
                start, end = view.base + segment.start, view.base + segment.end
                yield Finding(
                    f"Append {append.op} of {append.record} failed, and {server} holds it all the same.",
                    f"nothing of {append.record} on any current replica",
                    f"{segment.kind.value} of {append.record} at {start} to {end} on {server}",
                    Witness(
                        (append,),
                        (server,),
                        ((start, end),),
                        table_between(view, segment.start, segment.end),
                    ),
                )
    for scan in evidence.scans:
        for record, offset in scan.records:
            if record in failed:
                yield Finding(
                    f"Append {failed[record].op} of {record} failed, and scan {scan.op} returned it all the same.",
                    f"scan {scan.op} without {record}",
                    f"{record} at offset {offset}",
                    Witness((failed[record], scan), (), ((offset, offset),)),
                )


GUARANTEE = Guarantee(
    Name.TRACE_OF_FAILURE,
    "An append that failed did not happen: nothing of it is stored or read.",
    "GFS §2.7.1",
    find,
)
