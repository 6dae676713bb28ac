"""What went wrong in a node is told with the failure that came of it, whatever the test itself could see."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.troubles import blame
from harness.workspace import KIT, Workspace
from tests.mutants.mutant import LONGEST, Graded, grade, reference

READ = "        if offset < 0 or length < 0:\n"
CREATE = "            self._metadata.state.namespace.check_create(path)\n            self._metadata.record(CreateFile(path))\n"
SERVER = "03_chunkserver/chunkserver/server.py"
STORED = "test_acknowledged_bytes_survive"


@dataclass(frozen=True)
class Case:
    """`new` comes before `old` in a file of the reference; what the failure of the test then says, and what it does not."""

    name: str
    file: str
    old: str
    new: str
    lab: str
    test: str
    says: tuple[str, ...]
    not_says: str = "not written yet"


CASES = [
    Case("raises", SERVER, READ, "        {}[7]\n", "lab03", STORED, ("cs1 answered read with handler_failed: KeyError: 7", "in read: {}[7]")),
    Case("stumbles", "02_gfs_master/gfs_master/files.py", CREATE, "            {}[7]\n", "lab02", "test_names", ("master answered create with handler_failed: KeyError: 7", "in create: {}[7]"), "hint"),
    Case("bank", "01_rpc/rpc/bank.py", "            done = self._ledger.recall(client, number)\n", "            {}[7]\n", "lab01", "test_repeat_is_answered_as_the_first_time", ("bank answered transfer with handler_failed: KeyError: 7", "in _transfer: {}[7]"), "hint"),
    Case("exits", SERVER, READ, "        print('so long', flush=True)\n        import os; os._exit(3)\n", "lab03", STORED, ("cs1 ended by itself with exit code 3", "so long")),
    Case("crashes", SERVER, READ, "        import os; os.kill(os.getpid(), 11)\n", "lab03", STORED, ("cs1 died of SIGSEGV",)),
    Case("to do", SERVER, READ, "        raise NotImplementedError('lab 3 part A: bound it')\n", "lab03", STORED, ("not written yet", "lab 3 part A: bound it"), "does not serve"),
    Case("later", SERVER, "        self.store.recover()\n", "        import threading\n        def beat():\n            raise NotImplementedError('lab 3 part E: read the clock first')\n        threading.Thread(target=beat).start()\n        self.store.get = lambda handle: None\n", "lab03", STORED, ("lab 3 part E: read the clock first", "handler_failed: AttributeError")),
    Case("client", SERVER, READ, "        {}[7]\n", "lab04", "test_read_across_chunks", ("no replica of chunk 0", "handler_failed: KeyError: 7")),
]  # fmt: skip


def graded(case: Case, directory: Path) -> Graded:
    solutions = reference(directory)
    file = solutions / case.file
    text = file.read_text(encoding="utf-8")
    assert text.count(case.old) == 1
    file.write_text(text.replace(case.old, case.new + case.old), encoding="utf-8")
    return grade(case.lab, solutions, [case.test], directory / "results.json", jobs=1)


@pytest.fixture(scope="module")
def gradings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Case, Future[Graded]]]:
    with ThreadPoolExecutor(2) as pool:
        yield {case: pool.submit(graded, case, tmp_path_factory.mktemp("trouble")) for case in CASES}


@pytest.mark.timeout(LONGEST)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failure_names_the_trouble_behind_it(case: Case, gradings: dict[Case, Future[Graded]]) -> None:
    run = gradings[case].result()
    result: Any = run.tests[case.test]
    assert result["status"] == "failed", run.printed
    for words in case.says:
        assert words in result["message"], run.printed
    assert case.not_says not in result["message"], run.printed
    if case.name == "exits":
        kept = KIT / ".labkit" / "output" / "03_chunkserver" / STORED / "cs1.txt"
        assert f"trace     {kept.parent.relative_to(KIT)}" in run.printed


DEADLOCK = """
    import threading
    import rpc

    lock = threading.Lock()

    def append():
        rpc.answer(lock)

    def wait_for_a_job():
        threading.Event().wait()

    def start(ctx):
        lock.acquire()
        for work in append, append, wait_for_a_job:
            threading.Thread(target=work, daemon=True).start()
"""
ANSWER = """
    def answer(lock):
        with lock:
            pass
"""


def test_where_threads_stand_is_told_of_what_does_not_end(tmp_path: Path) -> None:
    for package, text in (("gfs_master", DEADLOCK), ("rpc", ANSWER)):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(textwrap.dedent(text))
    with Cluster(Workspace({"gfs_master": tmp_path, "rpc": tmp_path}, "a test"), 1) as cluster:
        cluster.add("master", "master")
        cluster.start("master")
        assert not cluster.await_quiet()
        hangs, wrong = LabFailure("append on c1 gave no answer within 20 s"), LabFailure("it is wrong")
        silent = LabFailure("it did not bring an answer", seen={"error": "CallTimeout"})
        for failure in (hangs, wrong, silent):
            blame(cluster, failure)
    inside = "master (2 times): gfs_master/__init__.py line 8, in append > rpc/__init__.py line 3, in answer"
    assert wrong.stands == inside
    assert hangs.stands == f"{inside}\nmaster: gfs_master/__init__.py line 11, in wait_for_a_job"
    assert silent.stands == hangs.stands
    assert hangs.kind == wrong.kind == "wrong"
