"""Whether anything happens any more but through time: only then may time jump, or it jumps over somebody's head.

No frame is on its way, the kernel says that every thread of every node sleeps (processes/quiet.py), and the harness's own
threads that play nodes wait for what has not come (network/actors.py).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from harness.failures import NOTHING_HAPPENS, TooBusy
from harness.network.network import Network
from harness.node import Node
from harness.patience import Deadline
from harness.processes.session import Session
from harness.processes.virtual_time import TimePage
from harness.restless import LOOK, Watch

# Seconds of patience for which somebody may be at work before time passes all the same, once that has happened: in another
# cluster of the session, and in the same. The first time, so many as the session says.
SECOND_PATIENCE = 1.0
RESTLESS = 0.05
SOON = 3.0  # seconds of patience in which what needs no time to pass has come, whoever has to wait by real clocks for it
GLANCE = 0.05  # and between two looks whether it has come

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
        watch = Watch(self._nodes, self._network, self._session, _REST)
        while not (ended := over()) and not self.holds():
            most = self._session.most_effort
            if watch.due():
                watch.refuse_endless(most)
                watch.refuse_flood()
            try:
                in_vain = deadline.passed()
            except TooBusy:
                watch.refuse_endless(most / 2)  # who spins gets little of a busy machine
                raise
            if in_vain:
                watch.refuse_endless(most / 2)
                self._restless = True
                self._session.rest_patience = SECOND_PATIENCE
                break
            time.sleep(0.001)
        return ended or over()  # it may have come to an end while we saw that all rest

    def await_event(self, wait: Callable[[float], bool], patience: float, soon: float = SOON) -> str:
        """Return when `wait`, which waits for at most so many seconds of patience, has seen what it waits for: empty.

        Else how long that has not come, as the end of a sentence. Who hangs shall not cost all the patience: when everybody
        sleeps, only time can help, so it jumps, by as much as it would pass while we wait; and once that has passed, or if
        time stands still, nothing can. A thread that does not drive the cluster just waits, and so does the one that does
        while another works beside it, which may be about to do something.

        `soon`: seconds of patience before anybody looks whether all sleep. LabFailure if a node uses the processor for a
        large part of the patience.
        """
        deadline = Deadline(patience)
        driving = self._driver is threading.current_thread()
        pace = self._clock.pace()
        end = self._clock.now() + patience * pace
        watch = Watch(self._nodes, self._network, self._session, _ANSWER)
        while not wait(GLANCE if driving else max(deadline.left, GLANCE)):
            if watch.due():
                watch.refuse_endless(max(self._session.effort_share * patience, self._session.most_effort))
            if deadline.passed():
                return f" within {patience:g} s of real time"
            if deadline.left > patience - soon or not driving or self._actors.beside or not self.asleep():
                continue
            if (left := end - self._clock.now()) <= 0:
                return "" if wait(LOOK) else NOTHING_HAPPENS
            self._advance(min(left, pace))
        return ""

    def comes(self, wait: Callable[[float], bool], patience: float) -> bool:
        """Whether `wait` sees within so much patience what it waits for, while time passes as it does by itself. On a
        machine too busy to tell, TooBusy, unless nothing can bring it any more."""
        try:
            return wait(patience)
        except TooBusy:
            if not self.hopeless(wait):
                raise
            return False

    def hopeless(self, wait: Callable[[float], bool]) -> bool:
        """Whether nothing can bring any more what all patience has waited for: everybody sleeps, however time passes."""
        with contextlib.suppress(TooBusy):
            return self.await_event(wait, SOON, soon=0.0) == NOTHING_HAPPENS
        return False

    def asleep(self) -> bool:
        """Whether all nodes wait for something at this moment."""
        return self.holds() or self.holds()

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
