"""Stale read: staleness is bounded by the client's location cache.

A client that knows old locations may read from a replica that has missed mutations. That is legal, until its
cache entry expires or the file is opened again, which drops what was cached. So a scan returns everything
acknowledged before the earliest moment its locations can stem from: `cache_lifetime` before its invocation,
or the client's last opening of the file if that is later, or, where the wire showed it, the moment at which
the oldest of them was fetched. Scans that open the file themselves are judged by
the guarantee on lost appends. Source: GFS §2.7.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.reads import first_missed
from harness.checker.witnesses import circle, during, extent_of
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
        moment = expired if opening is None else opening.invoked
        fetched = scan.fetched if scan.fetched is not None and scan.fetched > moment else None
        append = first_missed(evidence, scan, moment if fetched is None else fetched)
        if append is not None:
            yield _stale(append, None if fetched is not None else opening, scan, lifetime, fetched)


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


def _stale(
    append: Append, opening: Scan | None, scan: Scan, lifetime: float, fetched: float | None
) -> Finding:
    moment, bound = scan.invoked - lifetime, f"the location cache lives {lifetime:g} seconds"
    if opening is not None:
        moment, bound = opening.invoked, f"{scan.client} opened the file anew in scan {opening.op}"
    if fetched is not None:
        moment, bound = fetched, f"all locations it used were fetched at {fetched:.3f} or later"
    operations = (append, scan) if opening is None else (append, opening, scan)
    edges = circle(("was acknowledged before it began", "cannot know less than that", "did not return it"))
    if opening is None:
        edges = circle(("was acknowledged long before it began", "did not return it"))
    return Finding(
        f"Scan {scan.op} by {scan.client} missed {append.record}, acknowledged {during(append, scan)} before, "
        f"though {bound}.",
        f"everything acknowledged before {moment:.3f}",
        f"{len(scan.records)} records without {append.record}",
        Witness(
            operations,
            (),
            (extent_of(append),),
            edges=edges,
        ),
    )


GUARANTEE = Guarantee(
    Name.STALE_READ,
    "A read is never staler than the client's location cache allows.",
    "GFS §2.7.1",
    find,
)
