"""Chunks and their versions: which replica may be believed (GFS §2.3, §4.5).

A chunk has two numbers, both from the log. `version` is committed: its replicas are known, and a lease may
have been granted at it. `attempted` >= version is the highest number any replica was ever told. A lease is
given in the steps

    no lease runs -> log Raise(n), n = attempted + 1 -> replicas advance to n -> log Commit(n) -> grant n

each durable before the next begins. If a replica may have advanced without our hearing of it, those that
did answer go through Raise and advance once more, without it, before anything is committed. Hence:

1. *No number is used twice*: every round takes attempted + 1, logged before anybody is told.
2. *Nothing is written between version and attempted*: mutations need a lease, and a grant needs Commit. So
   a replica at any number in version..attempted holds what those at `version` hold. A crash at any step
   leaves them all there, and none is lost.
3. *A replica at `version` was in the commit*: everybody who was told n and did not answer was left out by a
   later round, whose number it was never told. So it was a secondary (or primary) of every mutation
   acknowledged at n, and has them all, however long it was away since.
4. *A lower number is stale*: it missed the commit, and may have missed mutations. It is never handed out,
   never told to advance, and so never comes back.

Version 1 is the creation's: no lease is ever granted at it, so every replica at version 1 is empty, and
equal to the others, whoever made it. A copy of a shared chunk (§3.4) begins at version 1 too, and its
replicas hold what those of the shared chunk hold, which is never mutated again.

Replicas come and go in the same way (§4.3). A clone is made in a round, from a source that has advanced to
n and by 2. holds all there is, after the last mutation there and before the next; so the clone is at n and holds it
too, and the commit names it, or a later round leaves it out. A replica that is one too many is left out of a
round, and is stale from its commit on. Such a commit offers the lease to nobody, and is made only when the clone is
among those that answered, or enough are left: others would be stale for nothing, and the chunk lost if it was all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """What the log knows of a chunk, but for its handle: so one object serves all chunks it is true of (state.py).

    `told` are the servers that confirmed `version` when it was committed. They are not locations, which the
    master never stores (§2.6.2): a server is believed to have a replica only when it says so. They are whom
    to wait for after a restart. `primary` was offered the lease at `version`; None when nobody was.
    """

    version: int
    attempted: int
    told: tuple[str, ...]
    primary: str | None = None


class Worth(Enum):
    """What a replica is worth to the master."""

    UP_TO_DATE = "up to date"
    STALE = "stale"
    UNHEARD_OF = "above every number ever logged: not believed, and not deleted either"


def judge(chunk: Chunk, version: int) -> Worth:
    """The worth of a replica of `chunk` that is at `version`."""
    raise NotImplementedError(
        "lab 2 part B: compare with both numbers of the chunk; the module's docstring says why"
    )
