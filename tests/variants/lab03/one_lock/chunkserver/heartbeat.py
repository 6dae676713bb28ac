"""Reports to the master: every so often, and at once when there is damage to report."""

from __future__ import annotations

import threading
from typing import Any

from chunkserver.leases import Leases
from chunkserver.store import Store
from rpc import Client, RetryPolicy

from labkit import Context
from labkit.errors import LabError

ONCE = RetryPolicy(first_timeout=3.0, factor=1.0, longest=3.0, attempts=1, jitter=0.2)


class Heartbeats:
    def __init__(self, ctx: Context, client: Client, store: Store, leases: Leases) -> None:
        self._ctx, self._client, self._store, self._leases = ctx, client, store, leases
        self._stopped = False
        self._known = False
        self._reported: list[int] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._store.changed:
            self._stopped = True
            self._store.changed.notify_all()
        self._thread.join(5.0)

    def _run(self) -> None:
        clock = self._ctx.clock
        while not self._stopped:
            begun = clock.now()
            try:
                if not self._known:
                    self._report("register", rack=str(self._ctx.config.get("rack") or ""))
                    self._known = True
                self._beat()
            except (LabError, OSError, KeyError, TypeError, ValueError):
                pass
            with self._store.changed:
                clock.wait_for(
                    self._store.changed,
                    lambda: self._stopped or self._damaged() != self._reported,
                    begun + self._ctx.limits.heartbeat - clock.now(),
                )

    def _damaged(self) -> list[int]:
        return [replica.handle for replica in self._store.damaged()]

    def _beat(self) -> None:
        leases, damaged = self._leases.held(self._ctx.clock.now()), self._damaged()
        self._reported = damaged
        answer = self._report(
            "heartbeat", damaged=damaged, leases=[[handle, version] for handle, version in leases.items()]
        )
        for handle, until in answer["leases"]:
            if handle in leases:
                self._leases.renew(handle, leases[handle], until)
        self._known = not answer["register"]

    def _report(self, method: str, **more: Any) -> Any:
        now = self._ctx.clock.now()
        stored = {replica.handle: replica.version for replica in self._store.intact()}
        args = {
            **more,
            "chunks": [[handle, version] for handle, version in stored.items()],
            "name": self._ctx.name,
            "sent": now,
            "used": sum(replica.length for replica in self._store.intact()),
        }
        answer = self._client.call(
            self._ctx.config["master"], method, args, at_most_once=False, policy=ONCE
        ).value
        for handle in answer["delete"]:
            if handle not in stored or handle not in self._leases.held(self._ctx.clock.now()):
                self._store.delete(handle, stored.get(handle))
        return answer
