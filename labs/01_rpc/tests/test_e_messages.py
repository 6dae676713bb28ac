"""Lab 1 part E: exactly once, whatever the network does, and two at a time."""

from __future__ import annotations

from typing import Any

from harness.calls import Calls
from harness.cluster import CallRefused, Cluster
from harness.grading import claim, expect
from harness.network.faults import Aim, Cut, Drop, Duplicate, Fault
from harness.network.network import lossy

RICH = 1_000_000
LATER = 40.0  # virtual seconds until a copy arrives
SWIFT = 20.0  # virtual seconds per real one, where messages are lost at random: repeats come soon
LOSS = 0.2
EACH = 12  # transfers of each of two clients
PATIENCE = 40.0
ENDLESS = 20  # transmissions of a request that was answered each time: whoever sends so many never stops
ENDED = 0.5  # seconds of patience in which a node says that a transfer has ended
ODD: tuple[tuple[str, str, Any, str], ...] = (
    ("alice", "bob", -5, "-5"),
    ("alice", "bob", 0, "0"),
    ("alice", "bob", 0.5, "half of something"),
    ("alice", "bob", "5", "text"),
    ("alice", "alice", 5, "5 from an account to itself"),
    ("alice", "carol", 5, "5 to an account that is not there"),
    ("carol", "bob", 5, "5 from an account that is not there"),
)


def trouble() -> dict[str, Fault]:
    """What may happen to the messages of one transfer."""
    faults: dict[str, Fault] = {
        "its request was lost": Drop(Aim("transfer", "request")),
        "its reply was lost": Drop(Aim("transfer", "reply")),
        "its reply was lost three times": Drop(Aim("transfer", "reply", times=3)),
        "its request came twice": Duplicate(Aim("transfer", "request")),
        "its request came again much later": Duplicate(Aim("transfer", "request"), LATER),
        "its reply came again much later": Duplicate(Aim("transfer", "reply"), LATER),
    }
    for kind in ("request", "reply"):
        for where in ("before", "inside", "after"):
            faults[f"the connection broke {where} its {kind}"] = Cut(Aim("transfer", kind), where)
    return faults


def start(cluster: Cluster, opening: dict[str, int], *clients: str, **config: Any) -> Calls:
    calls = Calls(cluster, servers=(), clients=())
    cluster.add("bank", "bank", {"opening": opening, **config})
    for client in clients:
        cluster.add(client, "bank")
    cluster.start("bank", *clients)
    return calls


def check_books(cluster: Cluster, client: str, wanted: dict[str, int], when: str) -> None:
    seen = cluster.call(client, "balances", server="bank")
    expect(
        seen == wanted,
        f"the bank's books are wrong {when}",
        expected=wanted,
        seen=seen,
        why="a transfer that is lost or doubled is somebody's money",
    )


@claim(
    "Whatever messages are lost, cut off, doubled or late, each transfer happens exactly once",
    hint="the client repeats under the same number until it hears the answer; the bank answers a number once",
    read="labs/01_rpc/README.md#part-e-exactly-once",
)
def test_bank_survives_lost_messages(cluster: Cluster) -> None:
    calls = start(cluster, {"alice": RICH, "bob": 0}, "client", "other")
    moved = 0
    for number, (what, fault) in enumerate(trouble().items()):
        amount = 1 << number
        moved += amount
        cluster.network.add(fault)
        pending = cluster.begin("client", "transfers", server="bank", transfers=[["alice", "bob", amount]])
        calls.pass_time(lambda pending=pending: pending.done, f"the end of a transfer though {what}")
        answers = cluster.result("client", pending)
        cluster.network.remove(fault)
        cluster.advance(LATER + 1)
        expect(
            answers == [True], f"a transfer was answered wrongly when {what}", expected=[True], seen=answers
        )
        check_books(
            cluster, "client", {"alice": RICH - moved, "bob": moved}, f"after a transfer of {amount}: {what}"
        )
    lose_at_random(cluster, moved)


def lose_at_random(cluster: Cluster, moved: int) -> None:
    """Two clients at once, every fifth message lost, and the bank killed three times meanwhile."""
    cluster.set_rate(SWIFT)
    loss = lossy(cluster.rng, LOSS)
    cluster.network.add(loss)
    transfers = [["alice", "bob", 1000 + number] for number in range(EACH)]
    both = [
        cluster.begin(client, "transfers", server="bank", transfers=transfers)
        for client in ("client", "other")
    ]
    for _ in range(3):
        answered = len(cluster.network.frames("transfer", "reply")) + EACH // 3
        cluster.until(
            lambda answered=answered: (
                all(one.done for one in both) or len(cluster.network.frames("transfer", "reply")) >= answered
            ),
            "answers of the bank while messages are lost",
        )
        cluster.restart("bank")
    for client, pending in zip(("client", "other"), both, strict=True):
        answers = cluster.result(client, pending, PATIENCE)
        expect(
            answers == [True] * EACH,
            "transfers were answered wrongly while messages were lost at random",
            expected=[True] * EACH,
            seen=answers,
        )
    cluster.network.remove(loss)
    moved += 2 * sum(amount for _, _, amount in transfers)
    check_books(
        cluster, "client", {"alice": RICH - moved, "bob": moved}, "after random losses and three crashes"
    )


@claim(
    "Two transfers at the same time do not spend the same money",
    hint="between looking at a balance and changing it nobody else may look: one lock over decide, append and apply",
    read="labs/01_rpc/README.md#part-e-exactly-once",
)
def test_transfers_at_the_same_time(cluster: Cluster) -> None:
    calls = start(cluster, {"alice": 100, "bob": 0, "carol": 0}, "client", "other", slow_sync=0.2)
    both = [
        cluster.begin(client, "transfers", server="bank", transfers=[["alice", target, 60]])
        for client, target in (("client", "bob"), ("other", "carol"))
    ]
    for client, pending in zip(("client", "other"), both, strict=True):
        calls.answer(pending, client)
    answers = [cluster.result(client, one)[0] for client, one in zip(("client", "other"), both, strict=True)]
    books = cluster.call("client", "balances", server="bank")
    right = {"alice": 40, "bob": 60 * answers[0], "carol": 60 * answers[1]}
    expect(
        sorted(answers) == [False, True] and books == right,
        "two transfers of 60 at the same time went wrong, from an account with 100",
        expected="one is done, one is refused, and 40 are left",
        seen=f"done: {answers}; {books}",
        why="both looked at the balance before either had changed it: an update was lost",
    )


@claim(
    "What is no transfer is refused with BadArguments, to the caller's face, and moves nothing",
    hint="look at amount and accounts before anything is written; a RemoteError is an answer, and ends the client's repeats",
    read="labs/01_rpc/README.md#part-e-exactly-once",
)
def test_odd_transfers_are_refused(cluster: Cluster) -> None:
    opening = {"alice": 100, "bob": 50}
    calls = start(cluster, opening, "client")
    for source, target, amount, what in ODD:
        enough = len(calls.requests("transfer", server="bank")) + ENDLESS
        pending = cluster.begin("client", "transfers", server="bank", transfers=[[source, target, amount]])
        calls.pass_time(
            lambda pending=pending, enough=enough: (
                pending.done or len(calls.requests("transfer", server="bank")) >= enough
            ),
            f"the end of a transfer of {what}",
        )
        expect(
            cluster.comes(pending.wait, ENDED),
            f"a client went on asking for a transfer of {what}",
            expected="BadArguments: the bank has answered, and will answer the same every time",
            seen=f"{ENDLESS} transmissions, and no end",
        )
        try:
            seen: Any = cluster.result("client", pending)
        except CallRefused as refused:
            seen = refused.type
        expect(
            seen == "BadArguments",
            f"a transfer of {what} was not refused",
            expected="BadArguments: accounts that are there, two of them, and a positive int",
            seen=seen,
            why="whoever may name any amount moves other people's money to himself",
        )
    check_books(cluster, "client", opening, "after transfers that are none")
    cluster.restart("bank")
    answers = cluster.call("client", "transfers", server="bank", transfers=[["alice", "bob", 1]])
    expect(
        answers == [True], "after transfers that are none a real one failed", expected=[True], seen=answers
    )
    check_books(cluster, "client", {"alice": 99, "bob": 51}, "after a restart, and a transfer of 1")
