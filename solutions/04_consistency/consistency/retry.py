"""What a failed attempt to append tells, and what to do about it (GFS §3.1 step 7, §3.3).

Errors differ in what they prove. Some say exactly what is wrong (the chunk is full, the data is gone, this
is not the primary): then the next attempt does that one thing differently, at once. Some say only that
something broke (a replica failed, nobody answered): then the record may be in the chunk, on all replicas
or on some. The client appends it again all the same, because at least once is the promise, and the
record's id lets readers drop the copy. And some say that no attempt will ever succeed.

Whether an append that was given up surely did not happen is not decided here: it is so only if no append
request ever left the client (see appender.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from consistency.failures import BadReply
from labkit import errors


class Next(Enum):
    """What the next attempt does differently from the one that failed."""

    PUSH_AGAIN = "the same primary, the data pushed again"
    ASK_FOR_LEASE = "forget the chunk's lease, ask the master who is primary now"
    NEXT_CHUNK = "ask for the last chunk again; it must be one behind this one"
    COPY_CHUNK = "ask the master for a copy of the chunk: it was in a snapshot, and is not mutated any more"
    LOOK_AGAIN = "forget the lease and all that is known of the file's chunks"
    GIVE_UP = "no attempt can succeed"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next; `at_once` if there is nothing to wait for."""

    next: Next
    at_once: bool = False


def after(error: errors.LabError) -> Step:
    """The next step after an attempt that ended with `error`.

    - the record did not fit: the next chunk, at once
    - the data is not where it should be: push again, at once
    - the server asked is not the primary, or not of the version we believe in: a new lease, at once
    - the chunk was in a snapshot (§3.4): have the file given a copy of its own, at once
    - no such chunk, whether the master or a chunkserver said so: look again, at once
    - no such file, invalid path, too large, and answers that mean a mistake in a program (bad arguments,
      unknown method, `BadReply`): give up
    - everything else, known or not: a new lease, after a rest. Either something is broken, and the master
      needs time to notice and choose other replicas; or nobody answered, and nothing is known at all.
    """
    # lab 4 part C: one match statement over the classes of labkit.errors
    match error:
        case errors.ChunkFull():
            return Step(Next.NEXT_CHUNK, at_once=True)
        case errors.UnknownData():
            return Step(Next.PUSH_AGAIN, at_once=True)
        case errors.NotPrimary() | errors.StaleVersion():
            return Step(Next.ASK_FOR_LEASE, at_once=True)
        case errors.SharedChunk():
            return Step(Next.COPY_CHUNK, at_once=True)
        case errors.NoSuchChunk():
            return Step(Next.LOOK_AGAIN, at_once=True)
        case errors.NoSuchFile() | errors.InvalidPath() | errors.TooLarge():
            return Step(Next.GIVE_UP)
        case errors.BadArguments() | errors.UnknownMethod() | BadReply():
            return Step(Next.GIVE_UP)
        case _:
            return Step(Next.ASK_FOR_LEASE)
