"""Carries out a scenario: a list of steps that somebody wrote down as data (lab 4 part D).

All steps are read before the first is done. One that makes no sense is a LabFailure that quotes it and says what it
should look like; `FORMS` is the whole language, one line per step. To add a step, add a form and a method.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, cast

from harness.failures import BROKEN, LabFailure
from harness.gfs import STEP, Gfs
from harness.history import History, RecordId
from harness.network.faults import Aim, Drop, Hold, Partition
from harness.records import CELL
from harness.truth import MASTER
from harness.workspace import Workspace, WorkspaceError
from labkit.protocol import CATALOGUE

LOG = "/log"
MOST_STEPS = 100
LONGEST_PASS = 600.0
STRIDE = 0.5  # virtual seconds: about the shortest patience of an RPC
MOMENT = 0.001  # between two steps, so that what is done in one is seen to come before the next
MOST_FRAMES = 10_000

# Word -> the kinds of its arguments; see MEANING.
FORMS: Mapping[str, tuple[str, ...]] = {
    "append": ("client",),
    "write": ("client", "place", "place"),
    "scan": ("client", "cached or fresh"),
    "wait": (),
    "lose": ("request or reply", "method", "node or any", "node or any", "count"),
    "hold": ("request or reply", "method", "node or any", "node or any", "count"),
    "release": (),
    "partition": ("nodes", "nodes"),
    "heal": (),
    "pass": ("seconds",),
    "crash": ("node",),
    "restart": ("node",),
}
MEANING: Mapping[str, str] = {
    "nodes": "a list of nodes",
    "method": "one of docs/protocol.md",
    "place": f"a multiple of {CELL} from 0 to {MOST_FRAMES:,}",
    "count": f"a whole number from 1 to {MOST_FRAMES:,}",
    "seconds": f"a number above 0, at most {LONGEST_PASS:g}",
}
OPERATIONS = ("append", "scan", "write")
PAGE = "/page"  # the file for writes
ANY = "any"


def reference(workspace: Workspace) -> Workspace:
    """The reference GFS, or the given one where the kit comes without solutions."""
    try:
        solution = Workspace.solution()
        solution.require("lab04")
    except WorkspaceError:
        return workspace
    return solution


def read_steps(steps: object, nodes: Mapping[str, str]) -> list[tuple[str, list[Any]]]:
    """(word, arguments) of each step, nodes by their real names. LabFailure for a step that makes no sense."""
    if not isinstance(steps, list):
        raise _nonsense("a scenario is a list of steps", "[[word, argument, ...], ...]", steps)
    found = cast(list[object], steps)
    if len(found) > MOST_STEPS:
        raise _nonsense(f"a scenario has {len(found)} steps", f"at most {MOST_STEPS}", found)
    read = [_read_step(number, step, nodes) for number, step in enumerate(found, start=1)]
    busy: set[str] = set()
    for number, (word, arguments) in enumerate(read, start=1):
        if word == "wait":
            busy.clear()
        elif word in OPERATIONS and arguments[0] in busy:
            expected = 'a ["wait"] between two operations of one client'
            raise _nonsense(f"step {number}: {arguments[0]} may still be busy", expected, found[number - 1])
        elif word in OPERATIONS:
            busy.add(arguments[0])
    return read


def contradicting_readers(history: History) -> str:
    """Two scans that saw two records, each for the first time, in contradicting orders, in words; empty if there are none."""
    orders: list[tuple[int, dict[RecordId, int]]] = []
    for scan in history.scans:
        first: dict[RecordId, int] = {}
        for record, offset in scan.records:
            first.setdefault(record, offset)
        orders.append((scan.op, first))
    for (one, mine), (other, yours) in itertools.combinations(orders, 2):
        common = [record for record in mine if record in yours]
        for a, b in itertools.combinations(common, 2):
            if (mine[a] < mine[b]) != (yours[a] < yours[b]):
                return f"scan {one} read {a} before {b}, scan {other} the other way round"
    return ""


class Scenario:
    """Runs steps on a Gfs that is not started yet."""

    def __init__(self, gfs: Gfs) -> None:
        self.gfs = gfs
        self._down: set[str] = set()
        self._held: list[Hold] = []

    def run(self, steps: object) -> None:
        """Start, append one record, do all steps; then heal, restart what is down, and settle."""
        gfs = self.gfs
        gfs.begin(LOG)
        gfs.cluster.call(gfs.clients[0], "create", path=PAGE)
        # From here on time passes in jumps alone, when everybody waits for it: how fast the machine is must not decide
        # whose patience ends first.
        gfs.cluster.set_rate(0.0)
        gfs.stride = STRIDE
        nodes = {name: name for name in (MASTER, *gfs.clients)} | gfs.roles()
        does: dict[str, Callable[..., None]] = {word: getattr(self, f"_{word}") for word in FORMS}
        for word, arguments in read_steps(steps, nodes):
            gfs.note(" ".join(map(str, (word, *arguments))))
            does[word](*arguments)
            gfs.cluster.advance(MOMENT)
        self._heal()
        self._release()
        for name in sorted(self._down):
            gfs.cluster.start(name)
        self._wait()
        gfs.stride = STEP
        gfs.cluster.set_rate(1.0)
        gfs.settle()

    def _append(self, client: str) -> None:
        self.gfs.workload.append(client, LOG)

    def _write(self, client: str, offset: int, size: int) -> None:
        self.gfs.workload.write(client, PAGE, offset, size)

    def _scan(self, client: str, how: str) -> None:
        self.gfs.workload.scan(client, LOG, fresh=how == "fresh")

    def _wait(self) -> None:
        self.gfs.finish(*self.gfs.workload.operations)

    def _lose(self, kind: str, method: str, sender: str, receiver: str, count: int) -> None:
        self.gfs.cluster.network.add(Drop(_aim(kind, method, sender, receiver, count)))

    def _hold(self, kind: str, method: str, sender: str, receiver: str, count: int) -> None:
        aim = _aim(kind, method, sender, receiver, count)
        self._held.append(self.gfs.cluster.network.hold(aim))

    def _release(self) -> None:
        for hold in self._held:
            self.gfs.cluster.network.release(hold)
        self._held.clear()

    def _partition(self, one: list[str], other: list[str]) -> None:
        self.gfs.cluster.network.add(Partition(one, other))

    def _heal(self) -> None:
        self.gfs.cluster.network.heal()

    def _pass(self, seconds: float) -> None:
        self.gfs.pass_time(seconds)

    def _crash(self, name: str) -> None:
        self._down.add(name)
        self.gfs.cluster.crash(name)

    def _restart(self, name: str) -> None:
        self._down.discard(name)
        self.gfs.cluster.restart(name)


def _aim(kind: str, method: str, sender: str, receiver: str, count: int) -> Aim:
    one, other = (None if name == ANY else name for name in (sender, receiver))
    return Aim(method, kind, sender=one, receiver=other, times=count)


def _read_step(number: int, step: object, nodes: Mapping[str, str]) -> tuple[str, list[Any]]:
    parts: list[object] = [*cast(list[object], step)] if isinstance(step, list | tuple) else []
    quoted = cast(object, step)
    word = parts[0] if parts else None
    if not isinstance(word, str) or word not in FORMS:
        raise _nonsense(f"step {number} begins with no word that is known", ", ".join(FORMS), quoted)
    form = FORMS[word]
    shape = f"[{', '.join([repr(word), *form])}]"
    if len(parts) != 1 + len(form):
        raise _nonsense(f"step {number} has {len(parts) - 1} arguments", shape, quoted)
    read: list[Any] = []
    for kind, given in zip(form, parts[1:], strict=True):
        good, value = _read_argument(kind, given, nodes)
        if not good:
            raise _nonsense(
                f"step {number}: {given!r} is no {kind}"[:200],
                f"{shape}; {kind} is {MEANING[kind]}"
                if kind in MEANING
                else f"{shape}; nodes are {', '.join(nodes)}",
                quoted,
            )
        read.append(value)
    return word, read


def _read_argument(kind: str, given: object, nodes: Mapping[str, str]) -> tuple[bool, Any]:
    """Whether an argument is what its form says, and what it means."""
    if isinstance(given, bool):
        return False, None
    match kind, given:
        case "node or any", "any":
            return True, ANY
        case "node" | "node or any", str() if given in nodes:
            return True, nodes[given]
        case "client", str() if given in nodes and given.startswith("c"):
            return True, given
        case "nodes", list() | tuple():
            names = cast(list[object], given)
            return all(isinstance(name, str) and name in nodes for name in names), [
                nodes.get(str(name), "") for name in names
            ]
        case "place", int() if 0 <= given <= MOST_FRAMES and given % CELL == 0:
            return True, given
        case "count", int() if 0 < given <= MOST_FRAMES:
            return True, given
        case "seconds", int() | float() if 0 < given <= LONGEST_PASS:
            return True, float(given)
        case "request or reply" | "cached or fresh", str() if given in kind.split(" or "):
            return True, given
        case "method", str() if given in CATALOGUE:
            return True, given
        case _:
            return False, None


def _nonsense(what: str, expected: str, seen: object) -> LabFailure:
    return LabFailure(what, expected=expected, seen=repr(seen)[:200], kind=BROKEN)
