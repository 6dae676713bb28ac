"""A verdict as text, for somebody who is tired and has one failing test.

Each anomaly: its name, what happened in one sentence, the claim it breaks, what was expected, what stands
there instead, what every replica holds in that place, and the operations of the witness in order of time
with the faults between them.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

from harness.checker.anomaly import Anomaly, Table, Witness
from harness.checker.drawing import drawn
from harness.checker.evidence import describe
from harness.checker.verdict import Judgement, Verdict
from harness.history import Append, History, Operation, Outcome, Scan, Write

WIDTH = 100
MOST_FAULTS = 12
MOST_REGIONS = 12


def explain(verdict: Verdict, history: History) -> str:
    """The whole verdict, several lines without a newline at the end."""
    parts = ["\n".join(_headline(verdict))]
    parts += [
        "\n".join(_anomaly(number, anomaly, history))
        for number, anomaly in enumerate(verdict.anomalies, start=1)
    ]
    parts.append("\n".join(_summary(verdict)))
    return "\n\n".join(parts)


def _headline(verdict: Verdict) -> Iterator[str]:
    match verdict.judgement:
        case Judgement.VALID:
            yield "VALID: the history keeps every guarantee of GFS."
        case Judgement.INVALID:
            names = ", ".join(dict.fromkeys(anomaly.name.value for anomaly in verdict.anomalies))
            yield f"INVALID: {names}"
        case Judgement.UNKNOWN:
            yield "UNKNOWN: no violation was seen, but the history does not show enough to call it valid."
    for reason in verdict.reasons:
        yield from _labelled("not known", reason)


def _anomaly(number: int, anomaly: Anomaly, history: History) -> Iterator[str]:
    yield f"{number}. {anomaly.name.value} ({anomaly.section})"
    yield from textwrap.wrap(anomaly.sentence, WIDTH, initial_indent="   ", subsequent_indent="   ")
    yield from _labelled("claim", anomaly.claim)
    yield from _labelled("expected", anomaly.expected)
    yield from _labelled("instead", anomaly.observed)
    if anomaly.witness.table is not None and anomaly.witness.table.regions:
        yield ""
        yield from _table(anomaly.witness.table)
    contradiction = list(drawn(anomaly))
    if contradiction:
        yield ""
        yield "   each before the next, which cannot be:"
        yield from (f"     {line}" for line in contradiction)
    timeline = list(_timeline(anomaly.witness, history))
    if timeline:
        yield ""
        yield "   what happened, in virtual seconds:"
        yield from timeline


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"   {label + ':':<11}", subsequent_indent=" " * 14)


def _table(table: Table) -> Iterator[str]:
    """One line a region: file offsets, state, and a column for every server."""
    yield f"   chunk {table.index} of {table.path}, file offsets:"
    rows = [["bytes", "region", *table.servers]]
    for region in table.regions[:MOST_REGIONS]:
        span = f"{table.base + region.start}..{table.base + region.end}"
        rows.append([span, region.state.value, *(describe(held) for held in region.columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "   " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(table.regions) > MOST_REGIONS:
        yield f"   and {len(table.regions) - MOST_REGIONS} regions more"


def _timeline(witness: Witness, history: History) -> Iterator[str]:
    operations = witness.operations
    if not operations:
        return
    start = min(operation.invoked for operation in operations)
    moments = [moment for operation in operations for moment in _moments(operation)]
    moments += witness.moments
    # What a disk holds in the end may be the work of any fault until the end.
    end = math.inf if witness.replicas else max(time for time, _ in moments)
    faults = [fault for fault in history.faults if start <= fault.time <= end]
    moments += [(fault.time, f"fault: {fault.what}") for fault in faults[:MOST_FAULTS]]
    for time, what in sorted(moments, key=lambda moment: moment[0]):
        yield f"   {time:>10.3f}  {what}"
    if len(faults) > MOST_FAULTS:
        yield f"               and {len(faults) - MOST_FAULTS} faults more"


def _moments(operation: Operation) -> Iterator[tuple[float, str]]:
    if isinstance(operation, Append):
        what = f"append {operation.op} of {operation.record} ({operation.size} bytes) to {operation.path}"
    elif isinstance(operation, Write):
        span = f"{operation.offset} to {operation.end}"
        what = f"write {operation.op} of {operation.data} to {span} of {operation.path}"
    else:
        opening = "opens the file for" if operation.opened else "uses cached locations in"
        what = f"scan {operation.op} of {operation.path} ({operation.client} {opening} it)"
    yield operation.invoked, f"{operation.client} invokes {what}"
    if operation.completed is not None:
        yield operation.completed, _ending(operation)


def _ending(operation: Operation) -> str:
    if isinstance(operation, Scan):
        return f"scan {operation.op} ends: {operation.outcome.value}, {_counted(operation.records, 'record')}"
    noun = "append" if isinstance(operation, Append) else "write"
    if operation.outcome is Outcome.OK:
        tries = f"{operation.attempts} request{'' if operation.attempts == 1 else 's'}"
        return f"{noun} {operation.op} is acknowledged at offset {operation.offset} after {tries}"
    return f"{noun} {operation.op} ends without acknowledgement: {operation.outcome.value}"


def _counted(items: Sequence[object], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _summary(verdict: Verdict) -> Iterator[str]:
    numbers, standing = verdict.statistics, verdict.standing
    yield (
        f"appends: {numbers.appends}, of which {numbers.acknowledged} acknowledged and {numbers.unresolved} failed or "
        f"unknown; scans: {numbers.scans}; replicas judged: {numbers.replicas_current} of {numbers.replicas_listed} listed"
    )
    yield (
        f"legal in GFS: padding {numbers.padding_share:.1%} of stored bytes, "
        f"duplicates {numbers.duplicate_share:.1%} of stored records, "
        f"{numbers.inconsistent_bytes} bytes in inconsistent regions, {numbers.undefined_bytes} in undefined ones"
    )
    more = f", and {len(standing.satisfied) - 1} weaker ones" if len(standing.satisfied) > 1 else ""
    yield f"strongest model satisfied: {', '.join(standing.strongest) or 'none'}{more}"
    for demand, why in standing.unjudged:
        yield f"   {demand} is not judged: {why}"
    for shortfall in standing.shortfalls[:MOST_REGIONS]:
        yield f"   beyond GFS, {shortfall.name.value}: {shortfall.sentence}"
        yield from (f"     {line}" for line in drawn(shortfall))
