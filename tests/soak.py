"""Run the reference's graded tests many times, and count false failures: there must be none.

    python -m tests.soak                           every lab, each graded test 10 times
    python -m tests.soak --lab lab01 --runs 1000   one lab, for long
    python -m tests.soak --load                    on a machine that others use, with slow phases and paused processes
    python -m tests.soak --record                  also adds the runs to docs/soak.md: a thousand take many sittings

Prints a table and exits with 1 if a test of the reference ever failed; all that the grader said of it is kept in
.labkit/false_failures.txt. What ended for want of the processor (an `error` of kind busy) is counted apart: it says
nothing about anybody, but it must stay rare to be worth anything.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.grading.manifest import load as load_manifest
from harness.processes.linux import descendants
from harness.workspace import LABS

KIT = Path(__file__).resolve().parent.parent
ROUND = 5  # runs of each test by one grader
BUSY = "this machine was too busy"
HOGS = (8, 8, 40)  # for each core, in a slow phase
MIGRATED = 0.05  # of all pauses
HOG = "while os.getppid() =="  # however we end, it ends too
RECORD = KIT / "docs" / "soak.md"
KEPT = KIT / ".labkit" / "false_failures.txt"
HEAD = """# How often the reference passed

Written by `python -m tests.soak --record`, which adds its runs to what is here. Under load: both cores busy all the time,
slow phases of up to eighty busy loops, and processes that stand still, one or all. Busy: ended for want of the processor,
an error that says nothing about anybody's code. Delete a test's row, or the whole page, to count anew when the graded
test, the harness or the reference changes in what it does.

| graded test | runs | of them under load | false failures | busy |
|---|---|---|---|---|
"""
ROW = re.compile(r"^\| (\w+ \w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


@dataclass
class Count:
    """What became of one graded test."""

    runs: int = 0
    loaded: int = 0
    false: int = 0
    busy: int = 0
    seconds: float = 0.0
    messages: list[str] = field(default_factory=list[str])


def soak(lab: str, said: argparse.Namespace, counts: dict[str, Count]) -> None:
    """Grade the reference until each of its tests has run so often."""
    runs: int = said.runs
    done = 0
    while done < runs:
        repeat = min(ROUND, runs - done)
        with tempfile.TemporaryDirectory() as scratch:
            results = Path(scratch, "results.json")
            command = [sys.executable, "-I", str(KIT / "grader.py"), lab, "--solution"]
            command += ["--repeat", str(repeat), "--json", str(results)]
            command += ["--jobs", str(said.jobs)] if said.jobs else []
            command += ["--only", said.only] if said.only else []
            ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if not results.exists():
                sys.exit(f"the grader wrote no results:\n{ended.stdout.decode('utf-8', 'replace')}")
            report = json.loads(results.read_text(encoding="utf-8"))
        before = _wrong(counts)
        enter(report, counts, said.load)
        if said.record:
            record(report, said.load)
        done += repeat
        wrong = _wrong(counts)
        if wrong > before:
            keep(ended.stdout.decode("utf-8", "replace"))
        print(f"{lab}: {done} of {runs} runs, {wrong} false failures", file=sys.stderr)


def _wrong(counts: dict[str, Count]) -> int:
    return sum(one.false for one in counts.values())


def keep(told: str) -> None:
    """All that a grader said of a false failure: here and in a file, since it may be the only one in a thousand runs."""
    print(told, file=sys.stderr)
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(told)
    print(f"kept in {KEPT}", file=sys.stderr)


def enter(report: dict[str, object], counts: dict[str, Count], loaded: bool) -> None:
    """Add what one grader found."""
    for lab in report["labs"]:  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        for test in lab["tests"]:  # pyright: ignore[reportUnknownVariableType]
            count = counts.setdefault(f"{lab['lab']} {test['id']}", Count())
            attempts = int(test["attempts"])  # pyright: ignore[reportUnknownArgumentType]
            count.runs += attempts
            count.loaded += attempts if loaded else 0
            count.seconds += float(test["seconds"])  # pyright: ignore[reportUnknownArgumentType]
            if test["status"] == "passed":
                continue
            message = str(test["message"])  # pyright: ignore[reportUnknownArgumentType]
            failures = max(1, int(test["failures"]))  # pyright: ignore[reportUnknownArgumentType]
            if message.startswith(BUSY):
                count.busy += failures
            else:
                count.false += failures
                count.messages.append(f"{message}\n{test['replay']}")


def record(report: dict[str, object], loaded: bool) -> None:
    """Add what one grader found to the page."""
    counts = recorded()
    enter(report, counts, loaded)
    RECORD.write_text(document(counts), encoding="utf-8")


def recorded() -> dict[str, Count]:
    """The counts on the page."""
    page = RECORD.read_text(encoding="utf-8") if RECORD.is_file() else ""
    return {
        name: Count(runs=int(runs), loaded=int(loaded), false=int(false), busy=int(busy))
        for name, runs, loaded, false, busy in ROW.findall(page)
    }


def document(counts: dict[str, Count]) -> str:
    """The page: every graded test there is, run or not."""
    names = [f"{lab} {test.name}" for lab in LABS for test in load_manifest(KIT, lab).tests]
    rows = [(name, counts.get(name, Count())) for name in names]
    return HEAD + "".join(
        f"| {name} | {one.runs} | {one.loaded} | {one.false} | {one.busy} |\n" for name, one in rows
    )


@contextmanager
def load(rng: random.Random) -> Generator[None]:
    """Both cores busy all the time, many times as many hogs in slow phases, and processes of ours that stand still."""
    cores = len(os.sched_getaffinity(0))
    hogs = [_hog() for _ in range(cores)]
    over = threading.Event()
    threads = [
        threading.Thread(target=_slow_phases, args=(over, cores, random.Random(rng.random()))),
        threading.Thread(target=_pauses, args=(over, random.Random(rng.random()))),
    ]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for hog in hogs:
            _end(hog)


def _hog() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", f"import os\n{HOG} {os.getpid()}: pass"])


def _end(hog: subprocess.Popen[bytes]) -> None:
    hog.kill()
    hog.wait()


def _slow_phases(over: threading.Event, cores: int, rng: random.Random) -> None:
    while not over.wait(rng.uniform(2.0, 8.0)):
        hogs = [_hog() for _ in range(cores * rng.choice(HOGS))]
        over.wait(rng.uniform(0.5, 3.0))
        for hog in hogs:
            _end(hog)


def _pauses(over: threading.Event, rng: random.Random) -> None:
    """Stop graders and nodes for a moment, one of them as a machine does that swaps, or all, as one that is migrated."""
    while not over.wait(rng.uniform(0.1, 1.0)):
        below = [pid for pid in descendants(os.getpid()) if not _is_hog(pid)]
        if not below:
            continue
        everybody = rng.random() < MIGRATED
        stopped = below if everybody else [rng.choice(below)]
        _signal(stopped, signal.SIGSTOP)
        time.sleep(rng.uniform(0.02, 3.0 if everybody else 0.8))
        _signal(stopped, signal.SIGCONT)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_hog(pid: int) -> bool:
    """Hogs, and what a test has stopped on purpose, are left alone."""
    try:
        stopped = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "T"
        return stopped or HOG.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def show(counts: dict[str, Count]) -> int:
    """The table; how many false failures there were."""
    print(f"{'graded test':64} {'runs':>6} {'false':>6} {'busy':>5} {'s/run':>6}")
    for name, one in counts.items():
        print(f"{name:64} {one.runs:6} {one.false:6} {one.busy:5} {one.seconds / max(1, one.runs):6.2f}")
    for name, one in counts.items():
        for message in one.messages:
            print(f"\n{name}\n{message}")
    runs, false = sum(one.runs for one in counts.values()), _wrong(counts)
    print(f"\n{runs} runs of {len(counts)} graded tests: {false} false failures")
    return false


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--lab", action="append", choices=list(LABS), help="only this lab")
    parser.add_argument("--only", default="", help="only this part or test")
    parser.add_argument("--runs", type=int, default=10, help="how often each test is run (10)")
    parser.add_argument("--jobs", type=int, default=0, help="tests side by side (the grader's usual number)")
    parser.add_argument("--load", action="store_true", help="on a busy, halting machine")
    parser.add_argument("--record", action="store_true", help="add the runs to docs/soak.md")
    parser.add_argument("--seed", type=int, default=0, help="of the load")
    said = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # nobody is left stopped
    counts: dict[str, Count] = {}
    with load(random.Random(said.seed)) if said.load else contextlib.nullcontext():
        for lab in said.lab or LABS:
            soak(lab, said, counts)
    return 1 if show(counts) else 0


if __name__ == "__main__":
    sys.exit(main())
