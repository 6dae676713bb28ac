"""A master for tests of the chunkserver: it knows no files, believes reports, and commands what a test says.

It answers `register` and `heartbeat` as docs/protocol.md asks, on the clock that each report itself names. A report
that is not what the protocol says is refused, and the next look at the reports says so in a LabFailure (peer.py).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cluster import Cluster
from harness.stubs.peer import ScriptedPeer
from labkit import Limits

REPORTS = ("register", "heartbeat")


@dataclass(frozen=True)
class Report:
    """What a chunkserver said in a `register` or `heartbeat`. `time` is the harness's clock, `sent` the server's."""

    time: float
    method: str
    name: str
    sent: float
    chunks: Mapping[int, int]
    damaged: tuple[int, ...] = ()
    leases: Mapping[int, int] = field(default_factory=dict[int, int])


class StubMaster(ScriptedPeer):
    """What it answers: `delete` holds, by server, the handles to be deleted, named as long as they are reported;
    `forget` the servers that nobody knows, until they register.

    `promised`: until when, on its own clock, a server may believe to be primary of a chunk.
    """

    def __init__(self, cluster: Cluster, limits: Limits) -> None:
        self.delete: dict[str, list[int]] = {}
        self.forget: set[str] = set()
        self._renew = True
        self._lock = threading.Lock()
        self.promised: dict[tuple[str, int], float] = {}
        self._limits = limits
        self._reports: list[Report] = []
        super().__init__(cluster, "master", {method: self._handler(method) for method in REPORTS})

    # ---- reports

    def reports(self, name: str, method: str | None = None, since: float = -math.inf) -> list[Report]:
        """Those that one server has sent so far, oldest first, since its clock showed `since`. What is sent again, or by a
        server that was killed meanwhile, may come late."""
        self.check()
        found = [one for one in list(self._reports) if one.name == name and method in (None, one.method)]
        return sorted((one for one in found if one.sent >= since), key=lambda one: one.sent)

    def stop_renewing(self) -> None:
        """No lease is renewed from now on; what was promised until now is in `promised`."""
        with self._lock:
            self._renew = False

    def _handler(self, method: str) -> Callable[..., Mapping[str, Any]]:
        def handle(**args: Any) -> Mapping[str, Any]:
            report = _report(self._cluster.now(), method, args)
            with self._lock:
                self._reports.append(report)
                return self._believe(report)

        return handle

    def _believe(self, report: Report) -> Mapping[str, Any]:
        # In every answer until it is done: an answer may be lost, or come after the server stopped waiting for it.
        delete = [handle for handle in self.delete.get(report.name, []) if handle in report.chunks]
        if report.method == "register":
            self.forget.discard(report.name)
            return {"delete": delete}
        unknown = report.name in self.forget
        until = report.sent + self._limits.lease
        kept: Sequence[int] = list(report.leases) if self._renew and not unknown else []
        for handle in kept:
            self._promise(report.name, handle, until)
        return {"leases": [[handle, until] for handle in kept], "delete": delete, "register": unknown}

    def _promise(self, name: str, handle: int, until: float) -> None:
        self.promised[name, handle] = max(until, self.promised.get((name, handle), until))

    # ---- commands

    def make(self, handle: int, servers: Sequence[str], version: int = 1) -> None:
        """Create empty replicas."""
        for server in servers:
            self.ask(server, "create_chunk", {"handle": handle, "version": version})

    def advance(self, handle: int, servers: Sequence[str], previous: int, version: int) -> None:
        """Raise the version on all of them."""
        for server in servers:
            args = {"handle": handle, "previous": previous, "version": version}
            self.ask(server, "advance_version", args)

    def grant(
        self, handle: int, version: int, primary: str, secondaries: Sequence[str], until: float
    ) -> None:
        """Make `primary` primary until its own clock shows `until`."""
        with self._lock:
            self._promise(primary, handle, until)
        args = {"handle": handle, "version": version, "until": until, "secondaries": list(secondaries)}
        self.ask(primary, "grant_lease", args)


def _report(time: float, method: str, args: Mapping[str, Any]) -> Report:
    beat = method == "heartbeat"
    return Report(
        time,
        method,
        args["name"],
        float(args["sent"]),
        dict(args["chunks"]),
        tuple(args["damaged"]) if beat else (),
        dict(args["leases"]) if beat else {},
    )
