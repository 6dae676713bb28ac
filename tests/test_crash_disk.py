"""The disk that loses what was not synced (harness/processes/crash_disk.py) against a plain model of its promise, and
against a real disk. Whoever tests with an instrument has to know what it shows."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.cluster import Cluster
from harness.processes.crash_disk import AFTER, BEFORE, HALF, WHEN, CrashAt, CrashDisk
from labkit.disk import Disk, File, OsDisk

CAPACITY = 1 << 20
NAMES = ("a", "b", "c")


class Died(Exception):
    """What the disk does instead of killing the process that tests it."""


class Mortal(CrashDisk):
    def _die(self, when: str | None) -> None:
        if when is not None:
            raise Died


@dataclass(frozen=True)
class Step:
    """One thing that is done to a disk; `size` is an offset, or how much remains."""

    what: str
    name: str
    size: int = 0
    data: bytes = b""
    other: str = ""

    def do(self, disk: Disk) -> None:
        match self.what:
            case "remove":
                disk.remove(self.name)
            case "replace":
                disk.replace(self.name, self.other)
            case _:
                with closing(disk.open(self.name, create=self.what == "create")) as file:
                    self._change(file)

    def _change(self, file: File) -> None:
        match self.what:
            case "append":
                file.append(self.data)
            case "pwrite":
                file.pwrite(self.size, self.data)
            case "truncate":
                file.truncate(self.size)
            case "sync":
                file.sync()
            case _:
                pass


@dataclass
class Model:
    """What is durable, and for each file what was done to it since; a change is (offset, data), data None to cut."""

    durable: dict[str, bytes] = field(default_factory=dict[str, bytes])
    pending: dict[str, list[tuple[int, bytes | None]]] = field(
        default_factory=dict[str, list[tuple[int, bytes | None]]]
    )

    def now(self, name: str) -> bytes:
        return changed(self.durable[name], self.pending[name])

    def do(self, step: Step) -> None:
        name = step.name
        match step.what:
            case "create":
                self.durable[name], self.pending[name] = b"", []
            case "remove":
                del self.durable[name], self.pending[name]
            case "replace":
                self.durable[step.other] = self.durable.pop(name)
                self.pending[step.other] = self.pending.pop(name)
            case "sync":
                self.durable[name], self.pending[name] = self.now(name), []
            case _:
                self.pending[name].append(self.change(step))

    def change(self, step: Step) -> tuple[int, bytes | None]:
        if step.what == "truncate":
            return step.size, None
        return (len(self.now(step.name)) if step.what == "append" else step.size), step.data

    def after_death(self, step: Step, when: str) -> dict[str, bytes]:
        """What is on the disk when the node has died at this step."""
        if when == BEFORE or (when == HALF and step.what in ("create", "remove", "replace")):
            return self.durable
        if when == AFTER:
            self.do(step)
            if step.what in ("create", "remove", "replace"):
                return self.durable
            return self.durable | {step.name: self.now(step.name)}
        pending = list(self.pending[step.name])
        if step.what == "sync":
            pending = first_half(pending)
        else:
            offset, data = self.change(step)
            pending.append((offset, data if data is None else data[: len(data) // 2]))
        return self.durable | {step.name: changed(self.durable[step.name], pending)}


def changed(content: bytes, changes: list[tuple[int, bytes | None]]) -> bytes:
    for offset, data in changes:
        end = offset if data is None else offset + len(data)
        if data is None:
            content = content[:offset].ljust(offset, b"\0")
        elif data:
            content = content[:offset].ljust(offset, b"\0") + data + content[end:]
    return content


def first_half(changes: list[tuple[int, bytes | None]]) -> list[tuple[int, bytes | None]]:
    """In order, until half of all bytes are used up."""
    left = sum(len(data or b"") for _, data in changes) // 2
    half: list[tuple[int, bytes | None]] = []
    for offset, data in changes:
        if data is not None and len(data) > left:
            return [*half, (offset, data[:left])]
        half.append((offset, data))
        left -= len(data or b"")
    return half


def steps(rng: random.Random, count: int) -> Iterator[Step]:
    """Steps that are possible one after the other."""
    there: set[str] = set()
    for _ in range(count):
        absent = sorted(set(NAMES) - there)
        if absent and (not there or rng.random() < 0.3):
            name = rng.choice(absent)
            there.add(name)
            yield Step("create", name)
            continue
        name = rng.choice(sorted(there))
        match rng.choice(("append", "append", "pwrite", "pwrite", "truncate", "sync", "remove", "replace")):
            case "remove":
                there.remove(name)
                yield Step("remove", name)
            case "replace":
                other = rng.choice([one for one in NAMES if one != name])
                there = there - {name} | {other}
                yield Step("replace", name, other=other)
            case what:
                yield Step(what, name, rng.randrange(60), rng.randbytes(rng.choice((0, 1, 2, 7, 40))))


def read(disk: Disk) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in disk.list():
        with closing(disk.open(name)) as file:
            found[name] = file.pread(0, 1000)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_it_reads_as_a_real_disk_does(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    (tmp_path / "image").mkdir()
    disk, real, model = CrashDisk(tmp_path / "image", CAPACITY), OsDisk(tmp_path / "real"), Model()
    for step in steps(rng, 60):
        step.do(disk)
        step.do(real)
        model.do(step)
        assert disk.list() == real.list() == sorted(model.durable)
        for name in real.list():
            one, other = disk.open(name), real.open(name)
            assert one.size() == other.size() == len(model.now(name)), step
            for _ in range(5):
                offset, length = rng.randrange(120), rng.randrange(120)
                wanted = model.now(name)[offset : offset + length]
                assert one.pread(offset, length) == other.pread(offset, length) == wanted, (
                    step,
                    offset,
                    length,
                )
            other.close()


@pytest.mark.parametrize("seed", range(8))
def test_what_is_left_when_it_dies_at_any_operation(seed: int, tmp_path: Path) -> None:
    script = list(steps(random.Random(seed), 30))
    for number, last in enumerate(script, start=1):
        for when in WHEN:
            image = tmp_path / f"{number}{when}"
            image.mkdir()
            disk, model = Mortal(image, CAPACITY, CrashAt(number, when)), Model()
            for step in script[: number - 1]:
                step.do(disk)
                model.do(step)
            with pytest.raises(Died):
                last.do(disk)
            assert read(OsDisk(image)) == model.after_death(last, when), (number, last, when)
            assert read(CrashDisk(image, CAPACITY)) == read(OsDisk(image))


def test_operations_are_numbered_and_only_what_changes_something_counts(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path, CAPACITY)
    file = disk.open("a", create=True)
    disk.open("a", create=True)
    assert (disk.exists("a"), disk.exists("b"), disk.list(), file.size(), file.pread(0, 9)) == (
        (True, False, ["a"], 0, b"")
    )
    file.append(b"abc")
    file.pwrite(1, b"x")
    file.truncate(2)
    file.sync()
    file.close()
    disk.replace("a", "b")
    disk.remove("b")
    done = [(one.number, one.what, one.file, one.size) for one in disk.operations]
    assert done == [
        (1, "create", "a", 0),
        (2, "append", "a", 3),
        (3, "pwrite", "a", 1),
        (4, "truncate", "a", 0),
        (5, "sync", "a", 4),
        (6, "replace", "b", 0),
        (7, "remove", "b", 0),
    ]


@pytest.mark.parametrize(
    "step",
    [
        Step("open", "none"),
        Step("remove", "none"),
        Step("replace", "none", other="a"),
        Step("create", "../a"),
        Step("replace", "a", other="x/y"),
        Step("remove", "."),
    ],
)
def test_it_refuses_what_a_real_disk_refuses(step: Step, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    refusals: list[str] = []
    for disk in (OsDisk(tmp_path / "real"), CrashDisk(tmp_path / "image", CAPACITY)):
        with pytest.raises((OSError, ValueError)) as refusal:
            step.do(disk)
        refusals.append(type(refusal.value).__name__)
    assert refusals[0] == refusals[1]


def test_files_that_are_gone_are_not_kept_open(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path, CAPACITY)
    held = disk.open("log", create=True)
    before = open_below(tmp_path)
    assert before == 1
    for _ in range(50):
        held = disk.open("new", create=True)
        disk.replace("new", "log")
        disk.open("new", create=True)
        disk.remove("new")
    assert open_below(tmp_path) == before
    disk.remove("log")
    held.append(b"still open")
    held.sync()
    assert held.pread(0, 99) == b"still open"


def open_below(directory: Path) -> int:
    """How many files of a directory this process has open, removed ones too."""
    links: list[str] = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            links.append(str(entry.readlink()))
    return sum(link.startswith(str(directory)) for link in links)


def test_who_is_dying_already_is_not_told_that_it_will_not_die(tmp_path: Path) -> None:
    dying, killed, answered = threading.Event(), threading.Event(), threading.Event()

    class Slow(Mortal):
        def _die(self, when: str | None) -> None:
            if when is not None:
                dying.set()
                killed.wait(10)
            super()._die(when)

    disk = Slow(tmp_path, CAPACITY)
    file = disk.open("f", create=True)
    assert disk.die_at(1, BEFORE) == 1

    def write() -> None:
        with suppress(Died):
            file.append(b"a")

    def spare() -> None:
        disk.die_at(0, BEFORE)
        answered.set()

    threads = [threading.Thread(target=write), threading.Thread(target=spare)]
    threads[0].start()
    assert dying.wait(10)
    threads[1].start()
    assert not answered.wait(0.2)
    killed.set()
    assert answered.wait(10)
    for thread in threads:
        thread.join(10)


def test_a_full_disk_has_room_for_what_replaces_something(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path, 10)
    file, other = disk.open("a", create=True), disk.open("b", create=True)
    file.append(b"12345")
    other.append(b"1234")
    with pytest.raises(OSError, match="full"):
        file.append(b"67")
    assert file.size() == 5
    file.pwrite(1, b"xxxxx")  # one byte more than there was
    with pytest.raises(OSError, match="full"):
        other.truncate(5)
    file.truncate(0)
    other.append(b"567890")
    assert (file.size(), other.pread(0, 99)) == (0, b"1234567890")


def test_a_node_that_is_killed_keeps_what_it_synced_and_nothing_else(cluster: Cluster) -> None:
    cluster.call("node", "append", name="f", data=b"synced")
    cluster.call("node", "append", name="f", data=b", and not", sync=False)
    cluster.call("node", "append", name="g", data=b"not", sync=False)
    assert cluster.call("node", "read", name="f") == b"synced, and not"
    cluster.restart("node")
    assert cluster.call("node", "read", name="f") == b"synced"
    assert cluster.call("node", "read", name="g") == b""
    cluster.replace("node")
    cluster.call("node", "append", name="f", data=b"another disk")
    assert cluster.call("node", "read", name="f") == b"another disk"


def test_an_old_image_of_a_disk_can_be_put_back_more_than_once(cluster: Cluster) -> None:
    cluster.call("node", "append", name="f", data=b"old")
    cluster.call("node", "append", name="f", data=b", not durable", sync=False)
    old = cluster.disk_image("node")
    cluster.call("node", "append", name="f", data=b", new")
    new = cluster.disk_image("node")
    for image, left in ((old, b"old"), (new, b"old, not durable, new"), (old, b"old")):
        cluster.replace("node", image)
        assert cluster.call("node", "read", name="f") == left
        cluster.call("node", "append", name="f", data=b", of this life")


@pytest.mark.parametrize(("when", "left"), [(BEFORE, b"old"), (HALF, b"oldne"), (AFTER, b"oldnew!")])
def test_a_node_dies_at_the_operation_it_is_told(cluster: Cluster, when: str, left: bytes) -> None:
    cluster.call("node", "append", name="f", data=b"old")
    cluster.crash_at("node", 2, when)  # the append is the first, its sync the second
    cluster.begin("node", "append", name="f", data=b"new!")
    cluster.wait_dead("node")
    cluster.start("node")
    assert cluster.call("node", "read", name="f") == left


def test_a_node_may_take_its_time_to_die_of_an_operation(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = cluster.nodes["node"].process
    assert process is not None
    gone, waited = process.wait_gone, time.monotonic() + 2.5

    def late(seconds: float) -> bool:
        """As on a machine where a process that is killed does not get the processor to end with."""
        time.sleep(min(seconds, max(0.0, waited - time.monotonic())))
        return time.monotonic() >= waited and gone(seconds)

    monkeypatch.setattr(process, "wait_gone", late)
    cluster.crash_at("node", 1, BEFORE)
    cluster.begin("node", "append", name="f", data=b"new")
    assert gone(10)
    process.gone = False  # its sockets are closed, and it is not gone
    cluster.crash_at("node", 0, BEFORE)  # comes too late
    assert not cluster.nodes["node"].alive
