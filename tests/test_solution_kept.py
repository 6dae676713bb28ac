"""Lab 3's reference: what its chunkserver keeps between uses, open files and threads."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit.disk import OsDisk

SOLUTIONS = Path(__file__).resolve().parent.parent / "solutions"
WAIT = 20.0


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """`lab("workers")` is the module chunkserver.workers."""
    for root in ("01_rpc", "03_chunkserver"):
        monkeypatch.syspath_prepend(str(SOLUTIONS / root))
    return lambda module: importlib.import_module(f"chunkserver.{module}")


class CountingDisk(OsDisk):
    """Counts the files that were opened; `open_now` is how many descriptors lead into the directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory
        self.opened = 0
        for name in "abc":
            with (directory / name).open("wb") as file:
                file.write(name.encode() * 3)

    def open(self, name: str, *, create: bool = False) -> Any:
        self.opened += 1
        return super().open(name, create=create)

    @property
    def open_now(self) -> int:
        found = 0
        for descriptor in list(Path("/proc/self/fd").iterdir()):
            with contextlib.suppress(FileNotFoundError):
                found += descriptor.readlink().parent == self.directory
        return found


def read(disk: Any, name: str) -> bytes:
    file = disk.open(name)
    try:
        return file.pread(0, 100)
    finally:
        file.close()


def test_a_file_is_opened_once(lab: Any, tmp_path: Path) -> None:
    below = CountingDisk(tmp_path)
    disk = lab("open_files").OpenFiles(below)
    first, second = disk.open("a"), disk.open("a")
    first.append(b"!")
    first.close()
    assert second.pread(0, 9) == b"aaa!"
    second.close()
    assert read(disk, "a") == b"aaa!"
    assert (below.opened, below.open_now) == (1, 1)


def test_few_files_stay_open(lab: Any, tmp_path: Path) -> None:
    below = CountingDisk(tmp_path)
    disk = lab("open_files").OpenFiles(below, most=2)
    for name in "abab":
        read(disk, name)
    assert (below.opened, below.open_now) == (2, 2)
    read(disk, "c")  # "a" has gone
    assert below.open_now == 2
    read(disk, "b")
    assert below.opened == 3
    assert read(disk, "a") == b"aaa"


def test_a_file_in_use_is_not_closed(lab: Any, tmp_path: Path) -> None:
    below = CountingDisk(tmp_path)
    disk = lab("open_files").OpenFiles(below, most=1)
    used = disk.open("a")
    assert read(disk, "b") == b"bbb"
    disk.remove("b")
    assert used.pread(0, 9) == b"aaa"
    disk.remove("a")
    assert used.pread(0, 9) == b"aaa"
    used.close()
    assert below.open_now == 0


def test_a_name_never_means_a_file_of_the_past(lab: Any, tmp_path: Path) -> None:
    disk = lab("open_files").OpenFiles(CountingDisk(tmp_path))
    assert [read(disk, name) for name in "abc"] == [b"aaa", b"bbb", b"ccc"]
    disk.replace("a", "b")
    assert read(disk, "b") == b"aaa"
    with pytest.raises(FileNotFoundError):
        disk.open("a")
    disk.remove("c")
    with pytest.raises(FileNotFoundError):
        disk.open("c")
    disk.open("c", create=True).close()
    assert read(disk, "c") == b""


def test_no_job_waits_for_another(lab: Any) -> None:
    workers = lab("workers").Workers("test")
    together = threading.Barrier(5)

    def meet() -> None:
        together.wait(WAIT)

    waits = [workers.start(meet) for _ in range(4)]
    together.wait(WAIT)
    for wait in waits:
        wait()


def test_threads_are_used_again_and_end(lab: Any) -> None:
    workers = lab("workers").Workers("kept")
    used: set[threading.Thread] = set()
    for _ in range(50):
        workers.start(lambda: used.add(threading.current_thread()))()
        while workers._idle == 0:  # the job has ended, its thread is about to be idle
            pass
    assert len(used) == 1
    held = threading.Event()
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        held.wait(WAIT)

    wait = workers.start(hold)
    begun.wait(WAIT)
    workers.close()
    held.set()
    wait()
    for thread in used:
        thread.join(WAIT)
        assert not thread.is_alive()
