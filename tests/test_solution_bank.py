"""The reference of lab 1 part E: a journal that survives any tail, a ledger, and a bank between two lives."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import Context
from labkit.clock import SystemClock
from labkit.disk import File, OsDisk
from labkit.errors import BadArguments, ConnectionLost, HandlerFailed, OutOfOrder
from labkit.network import DirectNetwork

ROOT = Path(__file__).resolve().parents[1] / "solutions" / "01_rpc"
VALUES: list[Any] = [[1, 1, "a", "b", 5, True], {"k": b"\0" * 9}, "text"]


def forget_rpc() -> None:
    for name in [name for name in sys.modules if name == "rpc" or name.startswith("rpc.")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def lab() -> Iterator[SimpleNamespace]:
    """The modules of the reference, imported from its own root and from nowhere else."""
    forget_rpc()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(ROOT))
        import rpc.bank
        import rpc.journal
        import rpc.ledger

        assert Path(str(rpc.bank.__file__)).is_relative_to(ROOT)
        yield SimpleNamespace(bank=rpc.bank, journal=rpc.journal, ledger=rpc.ledger)
    forget_rpc()


# ---- journal


def written(lab: SimpleNamespace) -> bytes:
    return b"".join(lab.journal.encode_record(value) for value in VALUES)


def whole_before(lab: SimpleNamespace, size: int) -> list[Any]:
    """The values whose records end within the first `size` bytes."""
    ends: list[int] = []
    for value in VALUES:
        ends.append((ends[-1] if ends else 0) + len(lab.journal.encode_record(value)))
    return [value for value, end in zip(VALUES, ends, strict=True) if end <= size]


def test_a_journal_cut_anywhere_gives_its_whole_records_and_goes_on(
    lab: SimpleNamespace, tmp_path: Path
) -> None:
    data = written(lab)
    for size in range(len(data) + 1):
        disk = OsDisk(tmp_path / str(size))
        disk.open("j", create=True).append(data[:size])
        journal = lab.journal.Journal(disk, "j")
        whole = whole_before(lab, size)
        assert journal.recovered == whole
        journal.append("next")
        assert lab.journal.Journal(disk, "j").recovered == [*whole, "next"]


def test_a_changed_byte_ends_the_records_before_it(lab: SimpleNamespace) -> None:
    data = written(lab)
    for place in range(len(data)):
        spoilt = bytearray(data)
        spoilt[place] ^= 1
        found = [value for value, _ in lab.journal.decode_records(bytes(spoilt))]
        assert found == whole_before(lab, place)


def test_zeros_are_no_records(lab: SimpleNamespace) -> None:
    assert list(lab.journal.decode_records(bytes(100))) == []


class FailingDisk(OsDisk):
    """Its files cannot be synced."""

    def open(self, name: str, *, create: bool = False) -> File:
        file = super().open(name, create=create)

        def sync() -> None:
            raise OSError("no sync today")

        file.sync = sync
        return file


def test_a_journal_whose_disk_failed_takes_nothing_more(lab: SimpleNamespace, tmp_path: Path) -> None:
    journal = lab.journal.Journal(FailingDisk(tmp_path), "j")
    with pytest.raises(OSError, match="no sync"):
        journal.append(1)
    with pytest.raises(OSError, match="earlier append"):
        journal.append(2)
    assert lab.journal.Journal(OsDisk(tmp_path), "j").recovered == [1]


# ---- ledger


def test_a_ledger_answers_a_repeat_and_refuses_what_is_older(lab: SimpleNamespace) -> None:
    ledger = lab.ledger.Ledger({"a": 10, "b": 0})
    for number, amount, done in ((1, 6, True), (2, 6, False), (3, 4, True)):
        assert ledger.recall(7, number) is None
        entry = ledger.decide(7, number, "a", "b", amount)
        assert entry.done is done
        ledger.apply(entry)
        assert ledger.recall(7, number) is done
    assert ledger.snapshot() == {"a": 0, "b": 10}
    with pytest.raises(OutOfOrder) as late:
        ledger.recall(7, 2)
    assert not late.value.definite
    assert ledger.recall(8, 1) is None


@pytest.mark.parametrize(
    ("source", "target", "amount"),
    [
        ("a", "a", 1),
        ("a", "x", 1),
        ("x", "a", 1),
        ("a", "b", 0),
        ("a", "b", -1),
        ("a", "b", 1.5),
        ("a", "b", True),
    ],
)
def test_what_is_no_transfer_is_refused(lab: SimpleNamespace, source: str, target: str, amount: Any) -> None:
    with pytest.raises(BadArguments):
        lab.ledger.Ledger({"a": 10, "b": 0}).decide(7, 1, source, target, amount)


# ---- bank


class World:
    """Contexts of nodes in this process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports: dict[str, int] = {}

    def context(self, name: str, disk: OsDisk | None = None) -> Context:
        def announce(port: int) -> None:
            self.ports[name] = port

        return Context(
            name=name,
            config={},
            clock=SystemClock(),
            disk=disk or OsDisk(self.directory / name),
            network=DirectNetwork(lambda peer: self.ports[peer], announce),
            rng=random.Random(name),
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_bank_knows_in_its_next_life_what_it_answered(lab: SimpleNamespace, world: World) -> None:
    for life in range(2):
        bank = lab.bank.Bank(world.context("bank"), {"a": 10, "b": 0})
        bank.start()
        client = lab.bank.BankClient(world.context(f"client{life}"), "bank")
        assert client.transfer("a", "b", 4)
        assert not client.transfer("b", "a", 100)
        assert client.balances() == {"a": 6 - 4 * life, "b": 4 + 4 * life}
        client.close()
        bank.stop()


def test_many_clients_at_once_move_each_coin_once(lab: SimpleNamespace, world: World) -> None:
    bank = lab.bank.Bank(world.context("bank"), {"a": 100, "b": 0})
    bank.start()
    clients = [lab.bank.BankClient(world.context(f"client{number}"), "bank") for number in range(5)]
    answers: list[bool] = []

    def work(client: Any) -> None:
        answers.extend(client.transfer("a", "b", 1) for _ in range(10))

    threads = [threading.Thread(target=work, args=(client,)) for client in clients for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [True] * 100
    assert clients[0].balances() == {"a": 0, "b": 100}
    for client in clients:
        client.close()
    bank.stop()


def test_closing_a_client_ends_a_transfer_nobody_answers(lab: SimpleNamespace, world: World) -> None:
    asked = threading.Event()

    def port(name: str) -> int:
        asked.set()
        raise LookupError(name)

    client = lab.bank.BankClient(
        Context(
            "client", {}, SystemClock(), OsDisk(world.directory), DirectNetwork(port, print), random.Random(1)
        ),
        "bank",
    )
    failures: list[ConnectionLost] = []

    def work() -> None:
        try:
            client.transfer("a", "b", 1)
        except ConnectionLost as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert asked.wait(5)
    client.close()
    thread.join(5)
    assert len(failures) == 1 and not failures[0].definite


def test_a_bank_whose_disk_fails_answers_no_transfer(lab: SimpleNamespace, world: World) -> None:
    bank = lab.bank.Bank(world.context("bank", FailingDisk(world.directory / "bad")), {"a": 10, "b": 0})
    bank.start()
    client = lab.bank.BankClient(world.context("client"), "bank")
    for _ in range(2):
        with pytest.raises(HandlerFailed):
            client.transfer("a", "b", 4)
    assert client.balances() == {"a": 10, "b": 0}
    client.close()
    bank.stop()
