"""Stale read: staleness is bounded by the client's location cache.

A client that knows old locations may read from a replica that has missed mutations. That is legal, until its
cache entry expires or the file is opened again, which drops what was cached. So a scan returns everything
acknowledged before the earliest moment its locations can stem from: `cache_lifetime` before its invocation,
or the client's last opening of the file if that is later. Scans that open the file themselves are judged by
the guarantee on lost appends. Source: GFS §2.7.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.reads import first_missed
from harness.checker.witnesses import during, extent_of
from harness.history import Append, Scan


def find(evidence: Evidence) -> Iterator[Finding]:
    lifetime = evidence.history.meta.cache_lifetime
    openings = _Openings()
    for scan in evidence.scans:
        if scan.opened:
            openings.add(scan)
            continue
        opening = openings.latest_before(scan)
        expired = scan.invoked - lifetime
        if opening is not None and opening.invoked <= expired:
            opening = None
        append = first_missed(evidence, scan, expired if opening is None else opening.invoked)
        if append is not None:
            yield _stale(append, opening, scan, lifetime)


class _Openings:
    """The scans that opened a file, by client and path. Those still running prove nothing yet."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], list[Scan]] = {}
        self._latest: dict[tuple[str, str], Scan] = {}

    def add(self, scan: Scan) -> None:
        self._running.setdefault((scan.client, scan.path), []).append(scan)

    def latest_before(self, scan: Scan) -> Scan | None:
        """The last opening that had completed when `scan` was invoked; ask in order of invocation."""
        key = scan.client, scan.path
        running: list[Scan] = []
        for opening in self._running.get(key, ()):
            latest = self._latest.get(key)
            if opening.answered_at >= scan.invoked:
                running.append(opening)
            elif latest is None or opening.invoked > latest.invoked:
                self._latest[key] = opening
        self._running[key] = running
        return self._latest.get(key)


def _stale(append: Append, opening: Scan | None, scan: Scan, lifetime: float) -> Finding:
    bound = (
        f"the location cache lives {lifetime:g} seconds"
        if opening is None
        else f"{scan.client} opened the file anew in scan {opening.op}"
    )
    return Finding(
        f"Scan {scan.op} by {scan.client} missed {append.record}, acknowledged {during(append, scan)} before, "
        f"though {bound}.",
        f"everything acknowledged before {(scan.invoked - lifetime if opening is None else opening.invoked):.3f}",
        f"{len(scan.records)} records without {append.record}",
        Witness((append, scan) if opening is None else (append, opening, scan), (), (extent_of(append),)),
    )


GUARANTEE = Guarantee(
    Name.STALE_READ,
    "A read is never staler than the client's location cache allows.",
    "GFS §2.7.1",
    find,
)
