"""Sending one mutation to all secondaries at once (GFS §3.1 steps 5 and 6).

At most once each, so that a repeated message cannot be taken for a mutation out of order. All attempts are
over after about five seconds: longer than a secondary waits for a missing number, short enough for the client.
"""

from __future__ import annotations

from rpc import Client, RetryPolicy

from chunkserver.mutations import Mutation
from chunkserver.workers import Workers

# The second attempt, should the first be lost, arrives before a secondary gives the number up.
PATIENCE = RetryPolicy(first_timeout=1.0, factor=1.5, longest=2.25, attempts=3)


class Forwarder:
    """Carries mutations from this primary to the secondaries."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._workers = Workers("apply")

    def apply(self, mutation: Mutation, secondaries: tuple[str, ...]) -> list[str]:
        """Have `mutation` applied by all `secondaries`, in parallel; those that did not say that they did."""
        raise NotImplementedError(
            "lab 3 part D: a worker for every secondary but the first; whoever has not answered yes "
            "counts as missing."
        )

    def close(self) -> None:
        """End the threads; for the end of the server."""
        self._workers.close()
