"""Unlinearizable log (legal in GFS): no order of a file's operations fits both its contents and real time.

The strictest model of a file: a log to which appends and scans happen one at a time, each at some moment
between invocation and answer. The log is known, for the disks show it: the records in the order of their first
copies. An append whose outcome is unknown happened if its record is there, and then may take for ever.

No search is needed. A scan that returns what the log holds up to some length comes after that many appends and
before the next: rank append number p (from 0) 2p + 1, and a scan of length k 2k. An order exists exactly when
no operation was over before one of lower rank began; docs/checker.md proves it. Source: GFS §2.7.1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import circle
from harness.history import Append, Operation, RecordId, Scan

Log = list[tuple[int, Append]]


def find(evidence: Evidence) -> Iterator[Finding]:
    scans: dict[str, list[Scan]] = defaultdict(list)
    for scan in evidence.scans:
        scans[scan.path].append(scan)
    for path in sorted({*evidence.logs, *scans}):
        log = evidence.logs.get(path, [])
        by_length: dict[int, list[Scan]] = defaultdict(list)
        positions = {append.record: place for place, (_, append) in enumerate(log)} if scans[path] else {}
        for scan in scans[path]:
            finding = _not_a_beginning(evidence, log, positions, scan)
            if finding is not None:
                yield finding
            else:
                by_length[len({record for record, _ in scan.records})].append(scan)
        yield from _against_time(log, by_length)


def _not_a_beginning(
    evidence: Evidence, log: Log, positions: dict[RecordId, int], scan: Scan
) -> Finding | None:
    """What shows that the scan did not return the log up to some length."""
    places: set[int] = set()
    for record, offset in scan.records:
        place = positions.get(record)
        if place is None:
            append = evidence.appends.get(record)
            return Finding(
                f"Scan {scan.op} of {scan.path} returned {record}, which is not in the file in the end.",
                f"{record} whole on some current replica, for once read it has happened",
                f"{record} at offset {offset} in the scan, and nowhere in the dump",
                Witness((scan,) if append is None else (append, scan), (), ((offset, offset),)),
            )
        places.add(place)
    if not places or max(places) == len(places) - 1:
        return None
    missed = log[next(place for place in range(len(log)) if place not in places)][1]
    later = log[max(places)][1]
    return Finding(
        f"Scan {scan.op} of {scan.path} returned {later.record} but not {missed.record}, which stands before it.",
        f"{missed.record} and {later.record}, or neither",
        f"{later.record} without {missed.record}",
        Witness(
            (missed, later, scan),
            edges=circle(
                (
                    f"{missed.record} stands before {later.record}",
                    f"the scan returned {later.record}",
                    f"the scan did not return {missed.record}",
                )
            ),
        ),
    )


def _against_time(log: Log, by_length: dict[int, list[Scan]]) -> Iterator[Finding]:
    """In order of rank: who of lower rank began last, and was an operation over before that?"""
    latest: Operation | None = None
    begun = float("-inf")
    for length in range(len(log) + 1):
        same_rank = by_length.get(length, ())
        for scan in same_rank:
            if scan.answered_at < begun and latest is not None:
                yield _contradiction(latest, scan)
        for scan in same_rank:
            if scan.invoked > begun:
                latest, begun = scan, scan.invoked
        if length == len(log):
            break
        append = log[length][1]
        if append.acknowledged_at < begun and latest is not None:
            yield _contradiction(latest, append)
        if append.invoked > begun:
            latest, begun = append, append.invoked


def _contradiction(lower: Operation, higher: Operation) -> Finding:
    return Finding(
        f"{_name(higher)} was over before {_name(lower).lower()} began, yet {_why(lower, higher)}.",
        f"one order of all operations on {higher.path} that respects what was over before what",
        f"{_name(higher).lower()} after {_name(lower).lower()} by the log, before it by time",
        Witness((higher, lower), edges=circle(("was over before it began", _why(lower, higher)))),
    )


def _name(operation: Operation) -> str:
    return (
        f"Append {operation.op} of {operation.record}"
        if isinstance(operation, Append)
        else f"Scan {operation.op}"
    )


def _why(lower: Operation, higher: Operation) -> str:
    match lower, higher:
        case Append(), Append():
            return f"{lower.record} stands before {higher.record}"
        case Scan(), Append():
            return f"scan {lower.op} did not return {higher.record}"
        case Append(), _:
            return f"scan {higher.op} returned {lower.record}"
        case _:
            return f"scan {lower.op} returned less than scan {higher.op} before it"


GUARANTEE = Guarantee(
    Name.UNLINEARIZABLE_LOG,
    "All operations on a file happen in one order, that of its records, each between invocation and answer.",
    "GFS §2.7.1",
    find,
)
