"""Passing pushed data along the chain (GFS §3.2).

Each server sends the data on to one other, so that every machine's outgoing bandwidth is used for one copy.
The answer travels back along the chain and means that everybody behind has the data as well.

Large data comes in pieces, several at a time, and every piece goes on by itself: the first is at the end of
the chain while the last still arrives here. So B bytes over links of T bytes a second reach R servers in about
B/T + R·L, L being the time a piece takes over one link, and not in R·B/T. None of this needs a line here.
"""

from __future__ import annotations

from functools import lru_cache

from rpc import Client, RetryPolicy

from chunkserver.buffer import DataBuffer
from labkit.disk import Buffer

# Seconds for the last hop, and how much longer each hop before it waits: longer than all attempts of the
# hop behind it together, so that the server next to the failure is the one that reports it.
LAST_HOP = 2.0
PER_HOP = 2.5
BYTES_PER_SECOND = 4_000_000


@lru_cache(maxsize=64)
def patience(hops: int, size: int) -> RetryPolicy:
    """How long to wait for `size` bytes to pass along `hops` more servers. Pushing again does no harm."""
    once = LAST_HOP * PER_HOP ** (hops - 1) + hops * size / BYTES_PER_SECOND
    return RetryPolicy(first_timeout=once, factor=1.0, longest=once, attempts=2, jitter=0.0)


class DataFlow:
    """This server's place in the chains."""

    def __init__(self, client: Client, buffer: DataBuffer) -> None:
        self._client = client
        self._buffer = buffer

    def push(
        self, data_id: str, offset: int, total: int, chain: list[str], payload: Buffer = b""
    ) -> dict[str, object]:
        """Keep `payload`, a piece of the data `data_id`, then have it kept by all of `chain`: RPC `push`.

        TooLarge when it may not be kept here. ReplicaFailed when the next server did not answer that
        it and all behind it have the piece; what was kept up to there stays.
        """
        raise NotImplementedError(
            "lab 3 part B: put it into the buffer, then push it to chain[0] with the rest of the chain, "
            "best effort."
        )
