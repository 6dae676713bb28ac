"""Resurrected replica: a replica that missed a version of its chunk is never handed out again.

The master raises a chunk's version with every lease, so a server that was away comes back with an older one.
Such a replica is garbage: the master leaves it out of everything it tells clients. Listing it presents old
data as current. A stale replica that merely still lies on some disk is legal. Source: GFS §4.5.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Table, Witness
from harness.checker.evidence import Evidence


def find(evidence: Evidence) -> Iterator[Finding]:
    for view in evidence.views:
        chunk = view.chunk
        for replica in view.outdated:
            yield Finding(
                f"The master lists {replica.server} for chunk {chunk.index} of {chunk.path}, but its replica is "
                f"of version {replica.version} and the chunk of version {chunk.version}.",
                f"only replicas of version {chunk.version} are listed",
                f"{replica.server} with version {replica.version} among {', '.join(chunk.replicas)}",
                Witness(
                    (),
                    (replica.server,),
                    ((view.base, view.base + replica.length),),
                    Table(chunk.path, chunk.index, view.base, view.servers, ()),
                ),
            )


GUARANTEE = Guarantee(
    Name.RESURRECTED_REPLICA,
    "Every replica the master lists has the chunk's current version.",
    "GFS §4.5",
    find,
)
