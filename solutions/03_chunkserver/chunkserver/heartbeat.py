"""Telling the master: registration and heartbeats (GFS §2.1, §2.6.2, §3.1, §4.4, §4.5).

The master keeps no list of replicas on its disk; it believes what the chunkservers report. Every heartbeat
carries the moment it was sent, read from this server's clock *before* sending: a lease renewed by the reply
holds from that moment on, so the delay of messages can only shorten a lease, never lengthen it.
"""

from __future__ import annotations

import threading
from typing import Any

from rpc import Client, RetryPolicy

from chunkserver.leases import Leases
from chunkserver.replica import Replica
from chunkserver.store import Store
from labkit import Context
from labkit.errors import LabError

# What a heartbeat says ages, so one that got no answer is soon given up and a new one sent.
PATIENCE = RetryPolicy(first_timeout=1.5, factor=1.0, attempts=2)


class Heartbeats:
    """A thread that registers with the master and then beats, for as long as the server runs."""

    def __init__(self, ctx: Context, client: Client, store: Store, leases: Leases) -> None:
        self._ctx = ctx
        self._client = client
        self._store = store
        self._leases = leases
        self._registered = False
        self._stopping = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"{ctx.name}-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._stopping:
            self._stopped = True
            self._stopping.notify_all()
        self._thread.join()

    def beat(self) -> None:
        """Register if the master does not know us, then send one heartbeat and do what the answer says.

        The rack is that of `ctx.config`, or empty. Leases in the answer are renewed, and replicas deleted, if they
        are still of the version this heartbeat named: the answer may be late. LabError when the master did not
        answer.
        """
        # lab 3 part E: read the clock first; one `register` or `heartbeat` call; renew leases; delete replicas.
        if not self._registered:
            self._register()
        now = self._ctx.clock.now()
        replicas = self._store.intact()
        versions = {replica.handle: replica.version for replica in replicas}
        held = {handle: version for handle, version in self._leases.held(now).items() if handle in versions}
        args = {
            **self._report(now, replicas),
            "damaged": [replica.handle for replica in self._store.damaged()],
            "leases": [[handle, version] for handle, version in held.items()],
        }
        answer = self._ask("heartbeat", args)
        for handle, until in answer["leases"]:
            if handle in held:
                self._leases.renew(handle, held[handle], until)
        self._delete(answer["delete"], versions)
        self._registered = not answer["register"]

    def _register(self) -> None:
        # lab 3 part E
        now = self._ctx.clock.now()
        replicas = self._store.intact()
        versions = {replica.handle: replica.version for replica in replicas}
        args = {**self._report(now, replicas), "rack": str(self._ctx.config.get("rack") or "")}
        answer = self._ask("register", args)
        self._delete(answer["delete"], versions)
        self._registered = True

    def _report(self, now: float, replicas: list[Replica]) -> dict[str, Any]:
        # lab 3 part E
        return {
            "name": self._ctx.name,
            "sent": now,
            "chunks": [[replica.handle, replica.version] for replica in replicas],
            "used": sum(replica.length for replica in replicas),
        }

    def _ask(self, method: str, args: dict[str, Any]) -> Any:
        # lab 3 part E
        master = self._ctx.config["master"]
        return self._client.call(master, method, args, at_most_once=False, policy=PATIENCE).value

    def _delete(self, handles: list[int], reported: dict[int, int]) -> None:
        # lab 3 part E
        # The order answers a report; a replica that has a lease or another version by now is not what it meant.
        leased = self._leases.held(self._ctx.clock.now())
        for handle in handles:
            if (handle not in leased or handle not in reported) and self._store.delete(
                handle, reported.get(handle)
            ):
                self._ctx.annotate("deleted", handle=handle)

    def _run(self) -> None:
        clock, period = self._ctx.clock, self._ctx.limits.heartbeat
        while not self._stopped:
            try:
                self.beat()
            except (LabError, OSError, KeyError, TypeError, ValueError) as error:
                # The master is away or talks nonsense, or a file could not be deleted: next time, perhaps.
                self._ctx.annotate("heartbeat failed", error=repr(error))
            with self._stopping:
                clock.wait_for(self._stopping, lambda: self._stopped, period)
