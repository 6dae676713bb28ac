"""Lab 1 part E: exactly once."""

from __future__ import annotations

import time
from typing import Any

from harness import patience
from harness.calls import STEP, Calls
from harness.cluster import Cluster
from harness.disk_faults import moment
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.network.raw import RawConnection, RawPeer, code_of
from harness.processes.crash_disk import WHEN
from harness.processes.session import Pending

OPENING = {"alice": 100, "bob": 0}
# Amounts that tell from the sums which transfers were lost or doubled; the second is more than there is.
TRANSFERS = [["alice", "bob", 1], ["alice", "bob", 1000], ["alice", "bob", 2]]
ANSWERS = [True, False, True]
CLOSING = {"alice": 97, "bob": 3}
MOST_POINTS = 16  # disk operations at which the bank is killed; more than that are spread evenly


def bank(cluster: Cluster, name: str, crash_at: tuple[int, str] | None = None) -> None:
    cluster.add(name, "bank", {"opening": OPENING})
    cluster.start(name, crash_at=crash_at)


def begin(cluster: Cluster, name: str) -> Pending:
    return cluster.begin("client", "transfers", server=name, transfers=TRANSFERS)


def check_books(cluster: Cluster, name: str, when: str) -> None:
    seen = cluster.call("client", "balances", server=name)
    expect(
        seen == CLOSING,
        f"the bank's books are wrong {when}",
        expected=f"{CLOSING}, after transfers of 1 and 2",
        seen=f"{seen}: bob should have 3, the sum of what each transfer moved once",
    )


@claim(
    "A bank that is killed at any disk operation loses no transfer and doubles none",
    hint="one record holds the transfer and its answer; sync it before you answer, and cut a torn tail off before you append",
    read="labs/01_rpc/README.md#part-e-exactly-once",
)
def test_bank_survives_every_crash(cluster: Cluster) -> None:
    calls = Calls(cluster, servers=(), clients=())
    cluster.add("client", "bank")
    cluster.start("client")
    bank(cluster, "clean")
    answers = cluster.result("client", begin(cluster, "clean"))
    expect(
        answers == ANSWERS,
        "without any crash transfers were answered wrongly",
        expected=ANSWERS,
        seen=answers,
    )
    check_books(cluster, "clean", "without any crash")
    operations = cluster.operations("clean")
    expect(
        operations != [],
        "the bank wrote nothing to its disk",
        why="what is only in memory is gone after a crash",
    )
    cluster.crash("clean")
    step = -(-len(operations) // MOST_POINTS)
    for operation in operations[::step]:
        for when in WHEN:
            number = operation["number"]
            name = f"bank-{number}-{when}"
            where = f"when killed {moment(when, number)}, {operation['what']} of {operation['file']}"
            crash_and_check(calls, name, (number, when), where)


def crash_and_check(calls: Calls, name: str, crash_at: tuple[int, str], where: str) -> None:
    cluster = calls.cluster
    bank(cluster, name, crash_at)
    pending = begin(cluster, name)
    cluster.until(lambda: pending.done or not cluster.nodes[name].alive, f"the crash of {name}")
    if not pending.done:
        cluster.wait_dead(name)
        cluster.start(name)
        cluster.advance(STEP)
        calls.pass_time(
            lambda: pending.done,
            f"the end of the client's transfers after the bank was started again, {where},",
        )
    answers = cluster.result("client", pending)
    expect(
        answers == ANSWERS,
        f"a transfer was answered wrongly {where}",
        expected=f"{ANSWERS}: the second asks for more than alice has",
        seen=answers,
        why="the client repeats a transfer until it is answered; the bank has to know whether it has done it already",
    )
    check_books(cluster, name, where)
    cluster.restart(name)
    check_books(cluster, name, f"after one more restart, {where}")
    cluster.crash(name)


@claim(
    "A bank that is killed again while it recovers still loses nothing",
    hint="recovery reads, cuts the torn tail off, and changes nothing else: no rewriting of what is good already",
    read="labs/01_rpc/README.md#part-e-exactly-once",
)
def test_bank_survives_crashes_while_recovering(cluster: Cluster) -> None:
    calls = Calls(cluster, servers=(), clients=())
    cluster.add("client", "bank")
    cluster.start("client")
    bank(cluster, "clean")
    cluster.result("client", begin(cluster, "clean"))
    writing = [operation["number"] for operation in cluster.operations("clean") if operation["size"] > 0]
    expect(writing != [], "the bank wrote nothing to its disk")
    cluster.crash("clean")
    for when in WHEN:
        name = f"bank-{when}"
        # Half of the last thing it writes: there are good records then, and a torn tail.
        bank(cluster, name, (writing[-1], "half"))
        pending = begin(cluster, name)
        cluster.until(lambda name=name: not cluster.nodes[name].alive, f"the crash of {name}")
        cluster.wait_dead(name)
        operation = 0
        while not cluster.nodes[name].alive and operation < MOST_POINTS:
            operation += 1
            cluster.start(name, crash_at=(operation, when))
        where = f"after it was killed {operation} times while it recovered, {when} its disk operations 1, 2 and so on,"
        calls.pass_time(
            lambda pending=pending, name=name: pending.done or not cluster.nodes[name].alive,
            f"the end of the client's transfers {where}",
        )
        if not cluster.nodes[name].alive:  # the operation came when it had recovered, and served
            cluster.wait_dead(name)
            cluster.start(name)
        calls.pass_time(lambda pending=pending: pending.done, f"the end of the client's transfers {where}")
        answers = cluster.result("client", pending)
        expect(answers == ANSWERS, f"a transfer was answered wrongly {where}", expected=ANSWERS, seen=answers)
        if not cluster.nodes[name].alive:
            cluster.start(name)
        check_books(cluster, name, where)
        cluster.crash(name)


@claim(
    "A repeat is answered as the first time, whatever has happened since",
    hint="keep the answer, not the question: a refusal is an answer too, and is as durable as a transfer",
    read="labs/01_rpc/README.md#part-e-exactly-once",
)
def test_repeat_is_answered_as_the_first_time(cluster: Cluster) -> None:
    bank(cluster, "bank")
    tester = RawPeer(cluster.network)
    for life in ("the same life", "the next life"):
        with tester.connect("bank") as server:
            if life == "the same life":
                check(server, [7, 1], ["alice", "bob", 60], True, "a first transfer")
                check(server, [8, 1], ["alice", "bob", 60], False, "a transfer of more than there is")
                check(server, [9, 1], ["bob", "alice", 60], True, "the transfer back")
            check(server, [7, 1], ["alice", "bob", 60], True, f"a repeat of the first transfer, in {life}")
            check(
                server,
                [8, 1],
                ["alice", "bob", 60],
                False,
                f"a repeat of the one that was refused, in {life}",
            )
            seen = server.call("balances", xid=(1, 0)).get("result")
            expect(seen == OPENING, f"a repeat moved money, in {life}", expected=OPENING, seen=seen)
        cluster.restart("bank")
    with tester.connect("bank") as server:
        check(server, [7, 2], ["alice", "bob", 5], True, "the client's next transfer")
        late = server.call("transfer", arguments([7, 1], ["alice", "bob", 60]), xid=(1, 1))
        expect(
            code_of(late) == "out_of_order",
            "a late copy of a transfer whose client has gone on was not refused",
            expected="the error out_of_order",
            seen=late,
        )
        seen = server.call("balances", xid=(1, 2)).get("result")
        expect(
            seen == {"alice": 95, "bob": 5},
            "a late copy moved money",
            expected={"alice": 95, "bob": 5},
            seen=seen,
        )


def arguments(request: list[int], transfer: list[Any]) -> dict[str, Any]:
    return {"request": request, **dict(zip(("source", "target", "amount"), transfer, strict=True))}


def check(server: RawConnection, request: list[int], transfer: list[Any], done: bool, what: str) -> None:
    reply = server.call("transfer", arguments(request, transfer), xid=(request[0], request[1]))
    expect(
        reply.get("result") == {"done": done},
        f"{what} was answered wrongly",
        expected={"done": done},
        seen=reply.get("result", reply),
        why="the client may have heard the first answer and told somebody; a repeat has to say the same",
    )


@claim(
    "A write that fails half-way costs its own transfer, and none that is answered later",
    hint="behind a record that failed nothing can be read again: append nothing more until it has been cut off, or refuse",
    read="labs/01_rpc/README.md#part-e-exactly-once",
)
def test_failed_write_costs_no_other_transfer(cluster: Cluster) -> None:
    bank(cluster, "bank")
    tester = RawPeer(cluster.network)
    with tester.connect("bank") as server:
        check(server, [7, 1], ["alice", "bob", 1], True, "a first transfer")
        cluster.call("bank", "fail_next_write")
        failed = server.call("transfer", arguments([7, 2], ["alice", "bob", 2]), xid=(7, 2))
        expect(
            "error" in failed,
            "a transfer was answered though it could not be written",
            expected="an error, handler_failed for one: nobody knows what is on the disk",
            seen=failed,
        )
        later = server.call("transfer", arguments([8, 1], ["alice", "bob", 4]), xid=(8, 1))
        expect(
            later.get("result") == {"done": True} or "error" in later,
            "a transfer after a write that failed was answered wrongly",
            expected="{'done': True}, or an error if the bank must be started again first",
            seen=later,
        )
    cluster.restart("bank")
    with tester.connect("bank") as server:
        seen = server.call("balances", xid=(1, 0)).get("result")
        # Those that failed may have happened or not; whatever was answered has.
        happened = [
            1 + second + 4 * third for second in (0, 2) for third in ((1,) if "result" in later else (0, 1))
        ]
        expect(
            seen in [{"alice": 100 - moved, "bob": moved} for moved in happened],
            "a transfer that was answered is lost, because an earlier write had failed half-way",
            expected=f"bob has one of {happened}: every transfer that was answered, and perhaps those that were not",
            seen=seen,
            why="records behind half a record are never read again",
        )


@claim(
    "A transfer outlasts a bank that is down, or cannot be heard, for an hour",
    hint="every CallFailed, definite or not, means: try again, with the same request number",
    read="labs/01_rpc/README.md#part-e-exactly-once",
)
def test_transfer_outlasts_a_long_failure(cluster: Cluster) -> None:
    calls = Calls(cluster, servers=(), clients=())
    cluster.add("client", "bank")
    bank(cluster, "bank")
    cluster.start("client")
    cluster.crash("bank")
    pending = begin(cluster, "bank")
    pass_an_hour(calls, pending, "was down")
    lost = cluster.network.drop(Aim("transfer", "reply", times=None))
    cluster.start("bank")
    pass_an_hour(calls, pending, "could not be heard")
    cluster.network.remove(lost)
    calls.pass_time(lambda: pending.done, "the end of the transfers after the bank could be heard again")
    answers = cluster.result("client", pending)
    expect(answers == ANSWERS, "transfers were answered wrongly", expected=ANSWERS, seen=answers)
    check_books(cluster, "bank", "after an hour in which it could not be heard")


def pass_an_hour(calls: Calls, pending: Pending, what: str) -> None:
    for _ in range(20):
        sent = len(calls.requests("transfer", server="bank"))
        calls.cluster.advance(180)
        # A client that hears nothing sends again soon; one that is refused leaves no trace to wait for.
        look_again = patience.now() + 0.02
        while patience.now() < look_again and len(calls.requests("transfer", server="bank")) == sent:
            time.sleep(0.002)
        expect(
            not pending.done,
            f"a client gave up a transfer, or made an answer up, while its bank {what}",
            expected="it repeats until it hears an answer",
            seen=pending.said,
        )
