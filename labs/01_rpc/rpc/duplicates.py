"""Which transmission of a call runs: the server's memory of calls, as pure decisions.

Concept: a call is named (client, seq). The first transmission runs; one that comes while it runs waits for
the same answer; one that comes after gets the stored answer again; one that comes after the client has
acknowledged the answer is refused. Source: Birrell and Nelson 1984 §3.2; RFC 5661 §2.10.6 (slots).

    seq        <= watermark    unknown    running    answered
    begin      FORGOTTEN       RUN        WAIT       the answer
    finish     (dropped)       -          answered   -

Invariant: RUN is given at most once for a (client, seq), as long as the client is remembered.
Bound: `ack` raises the client's watermark and drops the answers below it, so a client costs its calls in
flight. A client that vanished costs a few hundred bytes and its last answers; when there are more than
`max_clients`, those silent for more than `keep` seconds, with no call running, are forgotten altogether.
Nobody else is, and no new client is turned away. That is the price of bounded memory: a duplicate that the
network held back longer than `keep` could then run again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, TypeVar

Answer = TypeVar("Answer")


class Verdict(Enum):
    """What to do with a transmission that has no stored answer."""

    RUN = "run it, then call finish"
    WAIT = "it is running: wait until something finishes, then ask again"
    FORGOTTEN = "refuse it: its answer was acknowledged and is gone"


# Names of their own, because each look into an Enum takes its time before Python 3.12.
RUN: Final = Verdict.RUN
WAIT: Final = Verdict.WAIT
FORGOTTEN: Final = Verdict.FORGOTTEN


@dataclass(slots=True)
class _Calls(Generic[Answer]):
    """One client's calls above its watermark: WAIT while running, then the answer."""

    heard: float
    watermark: int = 0
    calls: dict[int, Verdict | Answer] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]


class DuplicateTable(Generic[Answer]):
    """Remembers calls and their answers. Not thread-safe: the server holds a lock around it."""

    def __init__(self, max_clients: int = 1024, keep: float = 3600.0) -> None:
        self._max_clients = max_clients
        self._keep = keep
        self._clients: OrderedDict[int, _Calls[Answer]] = OrderedDict()  # who was heard last is last

    def begin(self, client: int, seq: int, ack: int, now: float) -> Verdict | Answer:
        """A transmission of call (client, seq) arrived, acknowledging every seq <= ack: what to do with it.

        Acknowledged answers are dropped first; a late, smaller ack changes nothing. Asking again after
        WAIT is right and never gives RUN. `now` is seconds of the node's clock. A client that is new takes
        the place of those that the module's docstring says are forgotten.
        """
        raise NotImplementedError(
            "lab 1 part C: forget who is silent, raise the watermark, drop what is below it; then the "
            "table above"
        )

    def finish(self, client: int, seq: int, answer: Answer) -> None:
        """The call that `begin` said to RUN is done. Its answer is kept unless the client acknowledged it
        meanwhile, having given up."""
        raise NotImplementedError(
            "lab 1 part C: store the answer, but only where begin left its mark and nobody removed it since"
        )

    def __len__(self) -> int:
        """How many calls are remembered, running or answered, of all clients."""
        raise NotImplementedError("lab 1 part C: the sum over the clients")
