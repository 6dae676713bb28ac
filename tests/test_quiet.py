"""Whether the threads of a process all sleep, as the kernel says, with few files to ask it through and with many."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.patience import Deadline
from harness.processes.quiet import Threads

SLEEPERS = 200
WATCHED = f"""
import sys, threading
for _ in range({SLEEPERS}):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
while True:
    pass
"""
WATCHER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
sys.path.insert(0, sys.argv[1])
from harness.processes.quiet import Threads
threads = Threads(int(sys.argv[2]))
print(max(len(threads.asleep() or {}) for _ in range(3)))
open("/dev/null").close()
"""


@pytest.fixture
def watched() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose many threads sleep until it is told something; from then on one of them works."""
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def all_sleep(threads: Threads) -> bool:
    """Some time: the main thread may not have come to its wait yet."""
    deadline = Deadline(20)
    while not deadline.passed():
        if threads.asleep() is not None:
            return True
    return False


def test_sleep_work_and_death(watched: subprocess.Popen[bytes]) -> None:
    threads = Threads(watched.pid)
    assert all_sleep(threads)
    asleep = threads.asleep()
    assert asleep is not None and len(asleep) == SLEEPERS + 1
    assert threads.asleep() == asleep, "nobody has run, and yet it looks so"
    assert watched.stdin
    watched.stdin.write(b"\n")
    watched.stdin.flush()
    deadline = Deadline(20)
    while threads.asleep() is not None:
        assert not deadline.passed(), "a thread that works is said to sleep"
    watched.kill()
    watched.wait()
    assert threads.asleep() == {}
    threads.close()


def test_more_threads_than_files(watched: subprocess.Popen[bytes]) -> None:
    assert all_sleep(Threads(watched.pid))
    command = [sys.executable, "-c", WATCHER, ".", str(watched.pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == SLEEPERS + 1
