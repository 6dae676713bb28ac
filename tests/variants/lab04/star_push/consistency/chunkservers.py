"""The chunkservers as this client calls them: one push to each of them, without a chain."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rpc
from consistency.failures import BadReply
from consistency.locations import Handle

from labkit.errors import LabError

PIECE = 64 * 1024
PUSH = rpc.RetryPolicy(first_timeout=2.0, factor=1.0, longest=2.0, attempts=3, jitter=0.1)
READ = rpc.RetryPolicy(first_timeout=1.0, factor=1.0, longest=1.0, attempts=4, jitter=0.1)
APPEND = rpc.RetryPolicy(first_timeout=3.0, factor=1.0, longest=3.0, attempts=6, jitter=0.1)


@dataclass(frozen=True)
class Part:
    version: int
    length: int
    data: bytes


class Chunkservers:
    def __init__(self, client: rpc.Client) -> None:
        self._rpc = client

    def push(self, replicas: Sequence[str], data_id: str, data: bytes) -> None:
        failures: list[LabError] = []

        def push_to(name: str) -> None:
            try:
                for offset in range(0, len(data), PIECE) or (0,):
                    args = {"data_id": data_id, "offset": offset, "total": len(data), "chain": []}
                    self._rpc.call(
                        name, "push", args, data[offset : offset + PIECE], at_most_once=False, policy=PUSH
                    )
            except LabError as error:
                failures.append(error)

        primary, *secondaries = replicas
        threads = [threading.Thread(target=push_to, args=(name,), daemon=True) for name in secondaries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not failures:
            push_to(primary)
        if failures:
            raise failures[0]

    def append(self, primary: str, handle: Handle, version: int, data_id: str) -> int:
        value = self._rpc.call(
            primary, "append", {"data_id": data_id, "version": version, "handle": handle}, policy=APPEND
        ).value
        if not isinstance(value, dict) or not isinstance(value.get("offset"), int):
            raise BadReply(f"append: {value!r}")
        return value["offset"]

    def write(self, primary: str, handle: Handle, version: int, offset: int, data_id: str) -> None:
        args = {"data_id": data_id, "version": version, "handle": handle, "offset": offset}
        self._rpc.call(primary, "write", args, policy=APPEND)

    def read(self, replica: str, handle: Handle, offset: int, length: int, *, leased: bool = False) -> Part:
        args: dict[str, Any] = {"length": length, "offset": offset, "handle": handle}
        method, policy = ("leased_read", APPEND) if leased else ("read", READ)
        reply = self._rpc.call(replica, method, args, at_most_once=False, policy=policy)
        try:
            part = Part(reply.value["version"], reply.value["length"], bytes(reply.payload))
        except (KeyError, TypeError) as error:
            raise BadReply(f"{method}: {reply.value!r}") from error
        if len(part.data) != max(0, min(length, part.length - offset)):
            raise BadReply(f"{method}: {len(part.data)} bytes of {part.length} at {offset}")
        return part
