"""Lost write: bytes that were acknowledged as written show that write, or one that may have come after it.

Whoever writes to a range after an acknowledgement overwrites it; so no byte shows a write that was acknowledged
before another one to the same byte was even invoked, nor something nobody wrote there. Where a write failed, is
unknown or was tried again, anything may stand. Source: GFS §2.7.1, §3.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import ChunkView, Evidence, describe
from harness.checker.witnesses import circle, table_between
from harness.checker.writes import Piece, Range, pieces, ranges
from harness.history import Kind, Replica, Write


def find(evidence: Evidence) -> Iterator[Finding]:
    for view in evidence.views:
        path = view.chunk.path
        parts = pieces(evidence, view)
        for replica in view.distinct if parts else ():
            told: set[int] = set()
            for stretch in ranges(parts, replica.segments):
                lost = _overwritten(parts, stretch)
                if lost is None and path not in evidence.suspects:
                    lost = _absent(parts, stretch)
                if lost is not None and lost.op not in told:
                    told.add(lost.op)
                    yield _finding(view, replica, parts, stretch, lost)


def _overwritten(parts: list[Piece], stretch: Range) -> Write | None:
    """A write that began after the one shown had been acknowledged."""
    if stretch.shown is None or parts[stretch.shown].write.left_traces:
        return None
    acknowledged = parts[stretch.shown].write.acknowledged_at
    for moment, number in reversed(stretch.covering):
        if moment <= acknowledged:
            break
        if parts[number].write.invoked > acknowledged:
            return parts[number].write
    return None


def _absent(parts: list[Piece], stretch: Range) -> Write | None:
    """A write that should stand where no write stands."""
    written = stretch.held is not None and stretch.held.kind is Kind.WRITE
    if written or stretch.doubtful or not stretch.covering:
        return None
    return parts[stretch.covering[-1][1]].write


def _finding(view: ChunkView, replica: Replica, parts: list[Piece], stretch: Range, lost: Write) -> Finding:
    start, end = view.base + stretch.start, view.base + stretch.end
    shown = None if stretch.shown is None else parts[stretch.shown].write
    operations = (lost,) if shown is None else (shown, lost)
    return Finding(
        f"Write {lost.op} of {lost.data} was acknowledged for {start} to {end} of {view.chunk.path}, but "
        f"{replica.server} does not show it there, nor anything written later.",
        f"{lost.data} at {start} to {end}, or a write that was not over when write {lost.op} began",
        f"{replica.server} holds {describe(stretch.held)}",
        Witness(
            operations,
            (replica.server,),
            ((start, end),),
            table_between(view, stretch.start, stretch.end),
            () if shown is None else circle(("was acknowledged before it began", "stands under it")),
        ),
    )


GUARANTEE = Guarantee(
    Name.LOST_WRITE,
    "Acknowledged bytes show their write on every current replica, or one that may have come after it.",
    "GFS §2.7.1, §3.1",
    find,
)
