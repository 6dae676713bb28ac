"""Lab 1 part C: at most once, when a server has restarted."""

from __future__ import annotations

from harness.calls import Calls
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.network.raw import RawPeer, code_of

CLIENT = 77  # the id under which a test itself speaks to a server


@claim(
    "A server that has restarted refuses what an earlier life may have run",
    hint="every transmission of a call names the same epoch; only one that surely never ran is sent anew under another",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_restarted_server_runs_nothing_twice(cluster: Cluster) -> None:
    calls = Calls(cluster)
    calls.value("echo")
    held = cluster.network.hold(Aim("add", "reply"))
    pending = calls.begin("add", {"key": "k"})
    cluster.until(held.first.is_set, "the reply of the first life")
    cluster.crash("server")
    cluster.network.discard(held)
    cluster.start("server")
    outcome = calls.finish(pending)

    ran = calls.ran("k")
    expect(
        ran == 0,
        "a call ran again in the server's next life",
        expected="0 runs after the restart: it had run before it",
        seen=f"{ran} runs; the caller got {outcome}",
        why="the server's memory of calls died with it, so it cannot tell a repeat from a new call: it must refuse",
    )
    expect(
        outcome.get("error") in ("SessionLost", "CallTimeout", "ConnectionLost")
        and outcome.get("definite") is False,
        "the caller of a call that the server forgot was told something else",
        expected="SessionLost, definite False: it may have run",
        seen=outcome,
    )
    after = calls.outcome("add", {"key": "new"})
    expect(after.get("value") == 1, "after a restart of the server new calls fail", expected=1, seen=after)
    surely_not_run(calls)
    with RawPeer(cluster.network).connect("server") as server:
        epoch = server.hello(CLIENT)
        reply = server.call("add", {"key": "old"}, xid=(CLIENT, 1), epoch=epoch ^ 1)
    expect(
        code_of(reply) == "session_lost" and calls.ran("old") == 0,
        "a request with the epoch of another life was not refused",
        expected="the error session_lost, and no run",
        seen=f"{reply}, after {calls.ran('old')} runs",
    )


def surely_not_run(calls: Calls) -> None:
    """The next life of a server, and a client that knows only the life before."""
    calls.cluster.restart("server")
    # Whatever connection the client still has is replaced for this call, which names no epoch.
    calls.finish(calls.begin("echo", {"value": "still there?"}, at_most_once=False))
    outcome = calls.outcome("add", {"key": "fresh"})
    sent = [frame for frame in calls.requests("add") if frame.header.get("args") == {"key": "fresh"}]
    expect(
        outcome.get("value") == 1,
        "a call that surely never ran was not sent anew: its only transmission had been refused with session_lost",
        expected="rpc.hello, the same XID under the new epoch, and the answer 1: the caller notices nothing",
        seen=f"{outcome}, after {len(sent)} transmissions",
        why="after every restart each client would be told of a call that it may have run, and know better",
    )
    expect(
        calls.ran("fresh") == 1 and len({frame.xid for frame in sent}) == 1,
        "a call that was sent anew under another epoch was not the same call",
        expected="1 run, and the same XID in every transmission",
        seen=f"{calls.ran('fresh')} runs, and the XIDs {[frame.header.get('xid') for frame in sent]}",
    )
