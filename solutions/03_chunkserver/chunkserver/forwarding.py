"""Sending one mutation to all secondaries at once (GFS §3.1 steps 5 and 6).

At most once each, so that a repeated message cannot be taken for a mutation out of order. All attempts are
over after about five seconds: longer than a secondary waits for a missing number, short enough for the client.
"""

from __future__ import annotations

import threading

from rpc import Client, RetryPolicy

from chunkserver.mutations import Mutation
from labkit.errors import LabError

# The second attempt, should the first be lost, arrives before a secondary gives the number up.
PATIENCE = RetryPolicy(first_timeout=1.0, factor=1.5, longest=2.25, attempts=3)


class Forwarder:
    """Carries mutations from this primary to the secondaries."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def apply(self, mutation: Mutation, secondaries: tuple[str, ...]) -> list[str]:
        """Have `mutation` applied by all `secondaries`, in parallel; those that did not say that they did."""
        # lab 3 part D: one daemon thread per secondary; whoever has not answered yes counts as missing.
        done: set[str] = set()

        def apply_at(name: str) -> None:
            try:
                self._client.call(name, "apply", mutation.args(), policy=PATIENCE)
            except LabError:
                return
            done.add(name)

        threads = [
            threading.Thread(
                target=apply_at, args=(name,), name=f"apply-{mutation.serial}-{name}", daemon=True
            )
            for name in secondaries[1:]
        ]
        for thread in threads:
            thread.start()
        for name in secondaries[:1]:
            apply_at(name)
        for thread in threads:
            thread.join()
        return [name for name in secondaries if name not in done]
