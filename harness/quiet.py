"""Whether anything happens any more but through time: only then may time jump, or it jumps over somebody's head.

No frame is on its way, the kernel says that every thread of every node sleeps (processes/quiet.py), and the harness's own
threads that play nodes wait for what has not come (network/actors.py).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from harness.failures import BROKEN, NOTHING_HAPPENS, LabFailure, TooBusy
from harness.network.frame import REQUEST
from harness.network.network import Network
from harness.node import Node
from harness.patience import Deadline
from harness.processes import linux
from harness.processes.session import NodeProcess, Session
from harness.processes.virtual_time import TimePage

# Seconds of patience for which somebody may be at work before time passes all the same, once that has happened: in another
# cluster of the session, and in the same. The first time, so many as the session says.
SECOND_PATIENCE = 1.0
RESTLESS = 0.05
SECOND_EFFORT = 0.2  # seconds of the processor, once a node has been found in an endless loop
SECOND_SHARE = 1 / 15  # of the patience for an answer, likewise
PLACE = 0.9  # seconds of patience for a node to say where it is
FLOOD = 2000  # frames during one wait; the reference never sends more than 130, in any graded test
SOON = 3.0  # seconds of patience in which what needs no time to pass has come, whoever has to wait by real clocks for it
GLANCE = 0.05  # and between two looks whether it has come
LOOK = 0.25  # real seconds between two looks at what processor the nodes have used, and what they have sent

_REST = "it to have nothing left to do"
_ANSWER = "an answer, or for something to happen"


class Quiet:
    def __init__(
        self, network: Network, session: Session, clock: TimePage, advance: Callable[[float], None]
    ) -> None:
        """`advance` lets virtual seconds pass at once for everybody."""
        self._driver = threading.current_thread()
        self._clock = clock
        self._advance = advance
        self._network = network
        self._proxy = network.proxy
        self._actors = network.actors
        self._session = session
        self._nodes: list[Node] = []  # the one first that was last seen at work
        self._passed = 0  # frames, when somebody last asked
        self._restless = False  # somebody was at work for as long as we ever wait for that

    def watch(self, node: Node) -> None:
        self._nodes.append(node)

    def holds(self) -> bool:
        """Whether nothing happens any more but through time: no frame has passed since the last such question, none is on
        its way, and every node waits."""
        passed, self._passed = self._passed, len(self._proxy.journal)
        # The journal is looked at first because that costs nothing.
        before = self._all_asleep() if passed == self._passed else None
        if before is None:
            return False
        self._pass_on()
        if self._actors:
            if not self._actors.rest():
                return False
            self._pass_on()  # what they had said by then
        return self._all_asleep() == before and passed == len(self._proxy.journal)

    def wait(self, over: Callable[[], bool], restless: float = RESTLESS) -> bool:
        """Return when nothing happens any more but through time, or it is `over`; whether it is.

        In any case after the session's patience; and once that has happened, after so many `restless` seconds of it: an
        endless loop shall not cost as much again. TooBusy if all that time there was no processor to come to rest with,
        LabFailure if a node has had plenty of it, or asks and asks: what never waits takes the processor from all others.
        """
        deadline = Deadline(restless if self._restless else self._session.rest_patience)
        passed = len(self._proxy.journal)
        efforts: dict[int, tuple[float, float]] = {}
        look = time.monotonic() + LOOK
        while not (ended := over()) and not self.holds():
            if time.monotonic() >= look:
                look += LOOK
                self._refuse_endless(efforts, self._session.most_effort, _REST)
                self._refuse_flood(passed)
            least = self._session.most_effort / 2  # who spins gets little of a busy machine
            try:
                in_vain = deadline.passed()
            except TooBusy:
                self._refuse_endless(efforts, least, _REST)
                raise
            if in_vain:
                self._refuse_endless(efforts, least, _REST)
                self._restless = True
                self._session.rest_patience = SECOND_PATIENCE
                break
            time.sleep(0.001)
        return ended or over()  # it may have come to an end while we saw that all rest

    def await_event(self, wait: Callable[[float], bool], patience: float) -> str:
        """Return when `wait`, which waits for at most so many seconds of patience, has seen what it waits for: empty.

        Else how long that has not come, as the end of a sentence. Who hangs shall not cost all the patience: when everybody
        sleeps, only time can help, so it jumps, by as much as it would pass while we wait; and once that has passed, or if
        time stands still, nothing can. A thread that does not drive the cluster just waits, and so does the one that does
        while another works beside it, which may be about to do something.

        LabFailure if a node uses the processor for a large part of the patience.
        """
        deadline = Deadline(patience)
        driving = self._driver is threading.current_thread()
        pace = self._clock.pace()
        end = self._clock.now() + patience * pace
        efforts: dict[int, tuple[float, float]] = {}
        look = time.monotonic() + LOOK
        while not wait(GLANCE if driving else max(deadline.left, GLANCE)):
            if time.monotonic() >= look:
                look += LOOK
                most = max(self._session.effort_share * patience, self._session.most_effort)
                self._refuse_endless(efforts, most, _ANSWER)
            if deadline.passed():
                return f" within {patience:g} s of real time"
            if deadline.left > patience - SOON or not driving or self._actors.beside or not self.asleep():
                continue
            if (left := end - self._clock.now()) <= 0:
                return "" if wait(LOOK) else NOTHING_HAPPENS
            self._advance(min(left, pace))
        return ""

    def asleep(self) -> bool:
        """Whether all nodes wait for something at this moment."""
        return self.holds() or self.holds()

    def _refuse_endless(self, efforts: dict[int, tuple[float, float]], most: float, what: str) -> None:
        """LabFailure if a node has used `most` seconds of the processor since it was first looked at, waiting for `what`.

        `efforts`, of each process: the seconds it had used when it was last looked at, and those that count so far. A
        machine that stands still for a while may charge that to whoever ran: between two looks only so much counts.
        """
        for node in self._nodes:
            if node.process is None or not node.alive:
                continue
            pid = node.process.pid
            used = linux.processor_seconds(pid)
            before, effort = efforts.get(pid, (used, 0.0))
            effort += min(used - before, 2 * LOOK)
            efforts[pid] = used, effort
            if effort >= most:
                self._session.most_effort, self._session.effort_share = SECOND_EFFORT, SECOND_SHARE
                raise LabFailure(
                    f"{node.name} does not rest",
                    expected="an end to every loop; a thread with nothing to do waits: for a lock, a condition, a queue, a socket, or by ctx.clock",
                    seen=f"{effort:.1f} s of the processor, while the test waited for {what}",
                    witness=_busiest(node.process) or None,
                    why="what looks again and again takes the processor from all others",
                    kind=BROKEN,
                )

    def _refuse_flood(self, passed: int) -> None:
        """LabFailure if more than FLOOD frames have followed the first `passed`; it names who sent most requests."""
        if len(self._proxy.journal) - passed <= FLOOD:
            return
        frames = self._network.journal[passed:]
        nodes = {node.name for node in self._nodes}
        asked = Counter(
            (one.sender, one.method) for one in frames if one.kind == REQUEST and one.sender in nodes
        )
        if not asked:
            return  # the test itself does it
        (name, method), count = asked.most_common(1)[0]
        raise LabFailure(
            f"{name} asks without a rest",
            expected="between two requests of the same kind, a rest by ctx.clock: until time passes, nothing gets better",
            seen=f"{count} times {method} within {frames[-1].time - frames[0].time:.1f} virtual seconds",
            kind=BROKEN,
        )

    def _all_asleep(self) -> dict[str, dict[str, bytes]] | None:
        """If every living node waits, what tells whether one of its threads has run since. The last that did not wait is
        asked first."""
        found: dict[str, dict[str, bytes]] = {}
        for node in self._nodes:
            if node.process is None or not node.alive:
                continue
            threads = node.process.threads.asleep()
            if threads is None:
                self._nodes.remove(node)
                self._nodes.insert(0, node)
                return None
            found[node.name] = threads
        return found

    def _pass_on(self) -> None:
        """Return when the proxy has passed on what has reached it by now, or is due."""
        # In the first turn of its loop that we wait for it may still have been at work on what came before us.
        self._proxy.submit(lambda: None)
        self._proxy.submit(lambda: None)


def _busiest(process: NodeProcess) -> str:
    """Where the thread of a node is that has run most; empty if it does not say."""
    asked = process.send("harness.busiest")
    place = asked.message.get("value") if asked.wait(PLACE) and asked.message else ""
    return f"its busiest thread is at {place:.200}" if place and isinstance(place, str) else ""
