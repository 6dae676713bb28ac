"""What an error means: a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from consistency.failures import BadReply

from labkit import errors


class Next(Enum):
    PUSH_AGAIN = auto()
    ASK_FOR_LEASE = auto()
    NEXT_CHUNK = auto()
    COPY_CHUNK = auto()
    LOOK_AGAIN = auto()
    GIVE_UP = auto()


@dataclass(frozen=True)
class Step:
    next: Next
    at_once: bool = False


TABLE: dict[type[errors.LabError], Step] = {
    errors.ChunkFull: Step(Next.NEXT_CHUNK, at_once=True),
    errors.UnknownData: Step(Next.PUSH_AGAIN, at_once=True),
    errors.NotPrimary: Step(Next.ASK_FOR_LEASE, at_once=True),
    errors.StaleVersion: Step(Next.ASK_FOR_LEASE, at_once=True),
    errors.SharedChunk: Step(Next.COPY_CHUNK, at_once=True),
    errors.NoSuchChunk: Step(Next.LOOK_AGAIN, at_once=True),
    errors.NoSuchFile: Step(Next.GIVE_UP),
    errors.InvalidPath: Step(Next.GIVE_UP),
    errors.TooLarge: Step(Next.GIVE_UP),
    errors.BadArguments: Step(Next.GIVE_UP),
    errors.UnknownMethod: Step(Next.GIVE_UP),
    BadReply: Step(Next.GIVE_UP),
}


def after(error: errors.LabError) -> Step:
    return TABLE.get(type(error), Step(Next.ASK_FOR_LEASE))
