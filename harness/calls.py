"""Lab 1 on a Cluster: servers with counting handlers, clients that call them, and what became of the calls.

    calls = Calls(cluster)                             # starts the nodes "server" and "client"
    calls.value("add", {"key": "k"})                   # 1: the result of one call
    calls.outcome("refuse")                            # {"error": "NoSuchFile", "definite": True, …}
    pending = calls.begin("wait_at_gate", {"gate": "g", "key": "k"})
    calls.answer(pending)                              # waits for its outcome; nothing was lost
    calls.finish(pending)                              # the same, after a fault: time jumps until it has retried

Virtual time stands still except for those jumps, so that a slow machine makes nobody send anything twice. The handlers
are in harness/drivers/rpc_node.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.network.frame import REQUEST, Frame
from harness.processes.session import Pending

# A retry policy without its "attempts".
ONE_BY_ONE: dict[str, Any] = {"first_timeout": 20.0, "factor": 1.0, "longest": 20.0, "jitter": 0.0}
STEP = 25.0  # virtual seconds of one jump
LONGEST = 3 * 3600.0  # virtual seconds until whatever is to come has come, however long pauses have grown
IMPATIENT = 5.0  # seconds of patience in which a node that answers at all has answered
LONG_ENOUGH = 2.0  # seconds of patience after which a call that lost nothing must be waiting for time to pass


class Calls:
    def __init__(
        self,
        cluster: Cluster,
        *,
        servers: tuple[str, ...] = ("server",),
        clients: tuple[str, ...] = ("client",),
    ) -> None:
        """A name in both is a node that is both."""
        self.cluster = cluster
        for name in dict.fromkeys((*servers, *clients)):
            cluster.add(name, "rpc", {"serve": name in servers})
        cluster.start(*cluster.nodes)
        cluster.set_rate(0)

    def begin(
        self,
        method: str,
        args: Mapping[str, Any] | None = None,
        *,
        client: str = "client",
        server: str = "server",
        **options: Any,
    ) -> Pending:
        """A call under way; `options` are payload, at_most_once, policy. Its result is an outcome."""
        return self.cluster.begin(
            client, "attempt", server=server, method=method, args=dict(args or {}), **options
        )

    def outcome(self, method: str, args: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """{"value", "payload"} or {"error": class name, "code", "definite", "data", "message"}."""
        return self.answer(self.begin(method, args, **options), options.get("client", "client"))

    def value(self, method: str, args: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """The result of a call; LabFailure when it ended in an error."""
        return value_of(method, self.outcome(method, args, **options))

    def answer(self, pending: Pending, client: str = "client") -> dict[str, Any]:
        """The outcome of a call that no fault has hit; wrong code that waits for time to pass gets it, later."""
        self.cluster.comes(pending.wait, LONG_ENOUGH)
        return self.finish(pending, client)

    def finish(self, pending: Pending, client: str = "client") -> dict[str, Any]:
        """The outcome of a call that may have to retry first."""
        self.pass_time(lambda: pending.done, f"the end of {pending.command} on {client}")
        return self.cluster.result(client, pending)

    def pass_time(self, until: Callable[[], bool], what: str) -> None:
        """Jump forward, whenever everybody waits for time to pass, until something has happened."""
        end = self.cluster.now() + LONGEST
        while not self.cluster.await_quiet(until):
            if self.cluster.now() > end:
                raise LabFailure(
                    f"{what} did not come within {LONGEST / 3600:g} hours of virtual time",
                    why="it waits for what never comes, or by another clock than ctx.clock",
                )
            self.cluster.advance(STEP)

    def until_ran(self, key: str, times: int, *pending: Pending, server: str = "server") -> None:
        """Wait until the handlers have run so often with this key, for these calls that are under way."""

        def ready() -> bool:
            return self.ran(key, server) >= times or any(one.done for one in pending)

        what = "the start of the handler" if times == 1 else f"the start of {times} handlers at the same time"
        what += f" on {server}"
        self.cluster.until(ready, what, IMPATIENT)
        for one in pending:
            if one.done:
                raise LabFailure("a call ended before its handler was allowed to", seen=self.answer(one))

    def ran(self, key: str, server: str = "server") -> int:
        """How often the handlers ran with this key."""
        return int(self.cluster.call(server, "ran").get(key, 0))

    def requests(self, method: str, client: str = "client", server: str = "server") -> list[Frame]:
        """All transmissions of requests for `method`, lost ones included."""
        return self.cluster.network.frames(method, REQUEST, client, server)


def value_of(method: str, outcome: Mapping[str, Any]) -> Any:
    if "error" in outcome:
        raise LabFailure(
            f"the call of {method} ended in an error",
            expected="an answer",
            seen=f"{outcome['error']}: {outcome['message']}",
        )
    return outcome["value"]
