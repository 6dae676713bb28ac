"""What the bank knows, as pure decisions: balances, and the last answer each client was given.

Concept: exactly once = the client repeats without end + the server runs at most once, crashes included. For the
second half the answer has to be as durable as what it answers about: an `Entry` holds both, so that they are
written together or not at all. Replaying the entries in order gives the same ledger again, answers included.

A client has one transfer under way at a time and numbers them 1, 2, 3, …; so its last answer is all that a repeat
can ask for, and the memory is one answer per client however long the bank lives.

    number     = last          < last         > last
    recall     the answer      OutOfOrder     None: new, decide it

Source: Birrell and Nelson 1984 §3.2 for the numbering; Saltzer and Kaashoek §9 for logging the result with the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit.errors import BadArguments, OutOfOrder


class Entry(NamedTuple):
    """One decided transfer: who asked, what, and whether it was `done`. A list of its fields is the record on the disk."""

    client: int
    number: int
    source: str
    target: str
    amount: int
    done: bool


class Ledger:
    """Not thread-safe: the bank holds a lock around it."""

    def __init__(self, opening: Mapping[str, int]) -> None:
        """Accounts and what is in them before the first entry."""
        self.balances = dict(opening)
        self._last: dict[int, Entry] = {}

    def recall(self, client: int, number: int) -> bool | None:
        """The answer this transfer was given, None if it is a new one.

        OutOfOrder (not definite: it may well have been done) when the client has gone on to a later number.
        """
        # lab 1 part E: the table in the module's docstring
        last = self._last.get(client)
        if last is None or number > last.number:
            return None
        if number < last.number:
            raise OutOfOrder(f"transfer {number} of a client that is at {last.number}", definite=False)
        return last.done

    def decide(self, client: int, number: int, source: str, target: str, amount: int) -> Entry:
        """What a new transfer comes to: done if `source` has enough, else not. Changes nothing.

        BadArguments when an account is unknown, both are the same, or the amount is not a positive int.
        """
        # lab 1 part E: a refusal is an Entry too: a repeat must not find the account filled and succeed
        if type(amount) is not int or amount <= 0:
            raise BadArguments(f"an amount is a positive int, not {amount!r}")
        if source == target or source not in self.balances or target not in self.balances:
            raise BadArguments(f"no transfer from {source!r} to {target!r}")
        return Entry(client, number, source, target, amount, self.balances[source] >= amount)

    def apply(self, entry: Entry) -> None:
        """Make `entry`, which is durable by now, so."""
        # lab 1 part E: move the money if it was done, and remember the answer in either case
        if entry.done:
            self.balances[entry.source] -= entry.amount
            self.balances[entry.target] += entry.amount
        self._last[entry.client] = entry

    def snapshot(self) -> dict[str, Any]:
        """All balances."""
        return dict(self.balances)
