"""Passing pushed data on: in a thread of its own, while the data is kept here."""

from __future__ import annotations

import threading

from chunkserver.buffer import DataBuffer
from rpc import Client, RetryPolicy

from labkit.disk import Buffer
from labkit.errors import LabError, ReplicaFailed


class DataFlow:
    def __init__(self, client: Client, buffer: DataBuffer) -> None:
        self._client = client
        self._buffer = buffer

    def push(
        self, data_id: str, offset: int, total: int, chain: list[str], payload: Buffer = b""
    ) -> dict[str, object]:
        failures: list[LabError] = []

        def pass_on() -> None:
            args = {"data_id": data_id, "offset": offset, "total": total, "chain": chain[1:]}
            attempts = 2 * len(chain)
            policy = RetryPolicy(first_timeout=1.5, factor=1.0, longest=1.5, attempts=attempts, jitter=0.0)
            try:
                self._client.call(chain[0], "push", args, payload, at_most_once=False, policy=policy)
            except LabError as error:
                failures.append(error)

        following = threading.Thread(target=pass_on, daemon=True) if chain else None
        if following is not None:
            following.start()
        try:
            self._buffer.put(data_id, offset, total, payload)
        finally:
            if following is not None:
                following.join()
        if failures:
            raise ReplicaFailed(f"the rest of the chain: {failures[0]}")
        return {}
