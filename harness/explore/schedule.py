"""A schedule: which faults strike at which points. Plain data, so that one that fails can be kept and replayed.

What may be asked of GFS bounds what a schedule may do. With R replicas it survives the loss of R - 1 of them, so a
schedule that destroys anything (a server that stays dead, a disk that is gone) holds at most R - 1 strikes; each can cost
a chunk at most one replica. Strikes that destroy nothing may be any number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any, TypeVar, cast

from harness.explore.points import MASTER, ROLES, DiskStep, Message, Point, unnumbered
from harness.network.frame import REQUEST
from harness.shapes import SIMPLE, fits

FORMAT = 1
REPLICAS = 3

T = TypeVar("T")


class Deed(str, Enum):
    """The five kinds of failure (a partition may leave the clients on either side), and two that make messages strange."""

    CRASH = "crash"
    REBOOT = "crash and reboot"
    REPLACEMENT = "crash and replacement"
    LOSS = "message loss"
    PARTITION = "partition"
    SPLIT = "partition from the servers"
    DELAY = "delay"
    DUPLICATE = "duplicate"


DESTRUCTIVE = frozenset({Deed.CRASH, Deed.REPLACEMENT})
CRASHES = frozenset({Deed.CRASH, Deed.REBOOT, Deed.REPLACEMENT})


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at one point.

    `victim` dies or is cut off; none for deeds to messages. `seconds`: how long it stays down, or the message away.
    `times`: how many messages of this shape from the point on are lost. `delivered`: whether the message at the
    point still arrives.
    """

    deed: Deed
    point: Point
    victim: str = ""
    seconds: float = 1.0
    times: int = 1
    delivered: bool = False

    @property
    def family(self) -> tuple[str, ...]:
        """Strikes of one family differ in numbers only: of server, of message, of seconds."""
        point = self.point
        if isinstance(point, DiskStep) or not self.victim:
            return (self.deed.value, *point.family)
        if self.deed not in CRASHES:
            return (self.deed.value, unnumbered(self.victim), point.method)
        # One that dies of a question has heard it or not; one that dies of an answer has done it or not, or knows or not.
        asks = (self.victim == point.sender) == (point.kind == REQUEST)
        return (self.deed.value, unnumbered(self.victim), point.method, "asks" if asks else "is asked")

    def __str__(self) -> str:
        point, deed = self.point, self.deed
        where = f"at {point}" if isinstance(point, Message) else str(point)
        match deed:
            case Deed.CRASH:
                return f"{self.victim} crashes for good {where}"
            case Deed.REBOOT:
                return f"{self.victim} crashes {where}, back with its disk after {self.seconds:g} s"
            case Deed.REPLACEMENT:
                return f"{self.victim} crashes {where}, replaced by an empty server after {self.seconds:g} s"
            case Deed.PARTITION:
                return f"{self.victim} is cut off from everybody {where}"
            case Deed.SPLIT:
                return f"{self.victim} is cut off from all servers, not from clients, {where}"
            case Deed.LOSS:
                return f"{self.times} lost: {point}" if self.times > 1 else f"lost: {point}"
            case Deed.DELAY:
                return f"late by {self.seconds:g} s: {point}"
            case Deed.DUPLICATE:
                return f"twice, {self.seconds:g} s apart: {point}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A run: the seed of the cluster, the strikes, and what runs on it.

    `strict`: measures of lab 4 part E that are switched on. `model`: what the run has to satisfy beyond GFS's own guarantees.
    """

    seed: int
    strikes: tuple[Strike, ...] = ()
    strict: tuple[str, ...] = ()
    model: str = ""

    @property
    def fair(self) -> bool:
        """Whether GFS promises to survive it."""
        destroys = any(strike.deed in DESTRUCTIVE for strike in self.strikes)
        return not destroys or len(self.strikes) < REPLICAS

    @property
    def possible(self) -> bool:
        """Whether each strike can meet its point: one strikes there, and at one step of a node's disk."""
        places = [one.point.node if isinstance(one.point, DiskStep) else one.point for one in self.strikes]
        return len(set(places)) == len(places)

    def __str__(self) -> str:
        return "; ".join(map(str, self.strikes)) or "no fault"

    def to_json(self) -> str:
        """One readable JSON document, newline at the end."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Schedule:
        """ValueError, in one sentence, for what is no schedule."""
        try:
            match json.loads(text):
                case {"format": 1, "seed": int(seed), "strikes": strikes, **rest}:
                    return cls(
                        seed,
                        tuple(_strike(one) for one in cast(list[dict[str, Any]], strikes)),
                        tuple(map(str, rest.get("strict", ()))),
                        str(rest.get("model", "")),
                    )
                case _:
                    raise ValueError('it needs "format": 1, a "seed" and "strikes"')
        except KeyError as missing:
            raise ValueError(f"this is no schedule: a strike without {missing}") from missing
        except (TypeError, ValueError) as problem:
            raise ValueError(f"this is no schedule: {problem}") from problem
        except RecursionError as problem:
            raise ValueError("this is no schedule: it is too deep") from problem


def _strike(data: Mapping[str, Any]) -> Strike:
    """KeyError, TypeError or ValueError for what is no strike."""
    rest = dict(data)
    point, deed = dict(rest.pop("point")), Deed(rest.pop("deed"))
    made = _typed(Message if "method" in point else DiskStep, point)
    strike = _typed(Strike, {**rest, "deed": deed, "point": made})
    named = (made.sender, made.receiver) if isinstance(made, Message) else (made.node,)
    for role in (*named, strike.victim or MASTER):
        if role not in ROLES:
            raise ValueError(f"nobody is {role!r}: there are {', '.join(ROLES)}")
    return strike


def _typed(kind: type[T], data: Mapping[str, Any]) -> T:
    """`kind(**data)`; TypeError unless the simple fields have the types they are to have."""
    for one in fields(cast(Any, kind)):
        shape = cast(str, one.type)  # an annotation of a simple type is written as a shape is
        if shape in SIMPLE and one.name in data and not fits(data[one.name], shape):
            raise TypeError(f"{one.name} is {data[one.name]!r:.50}")
    return kind(**data)
