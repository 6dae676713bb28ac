"""A program is imported once for many nodes only if nobody could tell."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from harness.cluster import Cluster
from harness.patience import longest
from harness.processes.session import Forker, Session
from harness.workspace import Workspace

KIT = Path(__file__).resolve().parent.parent
LIVES = 4
_WATCHED = """
import os, sys
sys.path.insert(0, {kit!r})
import datetime, inspect, logging, random, secrets, socket, tempfile, threading, time, uuid
from harness.processes.purity import watch_import

def noticed(what):
    print(what)
    sys.stdout.flush()
    os._exit(0)

watch_import(lambda: exec({text!r}), noticed)
print("pure")
"""

IMPURE = {
    "random.random()": "random.random",
    "random.Random()": "random.seed",
    "random.SystemRandom().getrandbits(8)": "posix.urandom",
    "random.shuffle([1, 2])": "random.getrandbits",
    "uuid.uuid4()": "posix.urandom",
    "secrets.token_hex()": "posix.urandom",
    "time.time()": "time.time",
    "time.sleep(1000)": "time.sleep",
    "datetime.datetime.now()": "datetime.now",
    "os.getpid()": "posix.getpid",
    "os.environ.get('HOME')": "os.environ",
    "'HOME' in os.environ": "os.environ",
    "os.kill(os.getppid(), 9)": "posix.getppid",
    "os.fork()": "posix.fork",
    "open('/dev/null')": "_io.open" if sys.version_info >= (3, 12) else "io.open",
    "print('something')": "builtins.print",
    "sys.stdout.write('something')": "_io.write",
    "os.pipe()": "posix.pipe",
    "globals()['kept'] = socket.socket()": "an open file",
    "threading.Thread(target=int).start()": "_thread.get_ident",
    "tempfile.mkdtemp()": "os.environ",
    "sys.setrecursionlimit(10_000)": "sys.setrecursionlimit",
    "sys.setprofile(None)": "sys.setprofile",
    "import signal; signal.alarm(0)": "_signal.alarm",
}
PURE = (
    "threading.Lock(); threading.Condition(); threading.Event(); threading.local()",
    "import re, struct; re.compile('(a|b)*[^c]'); struct.Struct('>I')",
    "import dataclasses; dataclasses.make_dataclass('A', ['x'], frozen=True, slots=True)(1)",
    "import enum, typing; enum.Enum('B', 'x y'); typing.NamedTuple('C', [('x', int)])(1)",
    "import collections, itertools; collections.deque([1]); itertools.count(); sorted('abc', key=str.upper)",
    "logging.getLogger('a')",
)


@pytest.mark.parametrize("text", IMPURE)
def test_whatever_may_differ_from_node_to_node_is_noticed(text: str) -> None:
    assert watched(text) == IMPURE[text]


@pytest.mark.parametrize("text", PURE)
def test_definitions_are_pure(text: str) -> None:
    assert watched(text) == "pure"


def watched(text: str) -> str:
    program = _WATCHED.format(kit=str(KIT), text=text)
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=longest(60)
    )
    return done.stdout.strip()


def values(tmp_path: Path, text: str, session: Session | None = None, value: str = "VALUE") -> list[object]:
    """What an expression is worth when a master with this module starts, in several lives of one node."""
    package = tmp_path / "gfs_master"
    package.mkdir()
    start = f"def start(ctx):\n    ctx.annotate('value', value={value})\n"
    (package / "__init__.py").write_text(textwrap.dedent(text) + start)
    with Cluster(Workspace({"gfs_master": tmp_path}, "a test"), 1, session=session) as cluster:
        cluster.add("master", "master")
        for _ in range(LIVES):
            cluster.restart("master")
        return [note.facts["value"] for note in cluster.notes]


def test_a_module_that_draws_a_number_draws_one_in_every_life(tmp_path: Path) -> None:
    assert len(set(values(tmp_path, "import random\nVALUE = random.getrandbits(62)\n"))) == LIVES


def test_a_module_that_asks_who_it_is_asks_in_every_life(tmp_path: Path) -> None:
    assert len(set(values(tmp_path, "import os\nVALUE = os.getpid()\n"))) == LIVES


def test_a_module_that_only_defines_is_imported_once(tmp_path: Path) -> None:
    session, count = Session(), 0
    try:
        assert values(tmp_path, "VALUE = 0\n", session) == [0] * LIVES
        count = len(session.nurseries)
    finally:
        session.close()
    assert count == 1


def test_what_one_life_changes_in_its_modules_no_other_sees(tmp_path: Path) -> None:
    text = """
        class Counted:
            lives = 0

        def count():
            Counted.lives += 1
            return Counted.lives
    """
    assert values(tmp_path, text, value="count()") == [1] * LIVES


def test_only_children_of_the_forker_are_taken_for_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def lies(*_: object) -> dict[str, int]:
        return {"pid": os.getpid()}

    session = Session()
    try:
        monkeypatch.setattr(Forker, "_ask", lies)
        with Cluster(Workspace({}, "a test"), 1, session=session) as cluster:
            cluster.add("a", "idle")
            with pytest.raises(Exception, match="has not started"):
                cluster.start("a")
    finally:
        monkeypatch.undo()
        session.close()
