"""A bank whose transfers happen exactly once, whoever crashes in between, as long as both ends come back.

At most once (part C) ends with the server's life: a new life refuses old calls, and the caller is left not knowing.
Here a transfer carries a name of its own, [client, number], above the RPC layer; the bank keeps its answer on
disk; and the client repeats it, best effort, until it hears that answer. Contract of the bank: no answer before the
entry is on the disk, no entry visible to a reader before it is on the disk either.

The bank's protocol, both methods best effort (epoch None):

    transfer  {"request": [client: int, number: int], "source": str, "target": str, "amount": int} -> {"done": bool}
    balances  {} -> {account: int}
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from labkit import Context
from rpc.client import Client

JOURNAL = "transfers"


class Bank:
    """Serves the accounts in `opening`; the same ones at every start."""

    def __init__(self, context: Context, opening: Mapping[str, int]) -> None:
        """Recovers what earlier lives have answered."""
        raise NotImplementedError("lab 1 part E: open the Journal, apply the entries it recovered in order")

    def start(self) -> None:
        """Returns once clients can connect."""
        self._server.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.stop()

    def _transfer(self, request: list[int], source: str, target: str, amount: int) -> dict[str, Any]:
        """The handler of `transfer`: {"done": bool}, durable when it is returned, the same for every repeat of `request`.

        `request` is [client, number], both int, else BadArguments. Errors of Ledger.decide.
        """
        raise NotImplementedError(
            "lab 1 part E: a known request gets its old answer; a new one is decided, journalled, "
            "applied, answered"
        )

    def _balances(self) -> dict[str, Any]:
        """The handler of `balances`: account -> balance, never in the middle of a transfer."""
        raise NotImplementedError("lab 1 part E: all balances, as the ledger has them between two transfers")


class BankClient:
    """Transfers that return only when they are known to be done or refused. Thread-safe."""

    def __init__(self, context: Context, server: str) -> None:
        self._client = Client(context)
        self._server = server
        self._id = context.rng.getrandbits(63)
        self._number = 0
        self._one_at_a_time = threading.Lock()
        self._closed = False

    def transfer(self, source: str, target: str, amount: int) -> bool:
        """Move `amount`; whether it was done (False: `source` had too little). Happened once, or not at all.

        Repeats without end while the bank is down or silent. Raises the RemoteError that the bank answered with: of one
        that is not definite, such as HandlerFailed, only the bank's next life knows what became of the transfer.
        ConnectionLost after `close`.
        """
        raise NotImplementedError(
            "lab 1 part E: one number for all repeats; a CallFailed, definite or not, only means: again"
        )

    def balances(self) -> dict[str, int]:
        """All accounts. Raises like `Client.call`: reading is not repeated without end."""
        answer: dict[str, int] = self._client.call(self._server, "balances", at_most_once=False).value
        return answer

    def close(self) -> None:
        """Ends transfers under way; nobody knows then whether they were done."""
        self._closed = True
        self._client.close()
