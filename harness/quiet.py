"""Whether anything happens any more but through time: only then may time jump, or it jumps over somebody's head.

No frame is on its way, the kernel says that every thread of every node sleeps (processes/quiet.py), and the harness's own
threads that play nodes wait for what has not come (network/actors.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.network.actors import Actors
from harness.network.proxy import Proxy
from harness.node import Node
from harness.patience import Deadline

BUSY = 10.0  # seconds of patience for which somebody may be at work before time passes all the same
RESTLESS = 0.05


class Quiet:
    def __init__(self, proxy: Proxy, actors: Actors) -> None:
        self._proxy = proxy
        self._actors = actors
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

        In any case after BUSY seconds of patience; and once that has happened, after so many `restless` ones: an
        endless loop shall not cost as much again. TooBusy if all that time there was no processor to come to rest with.
        """
        deadline = Deadline(restless if self._restless else BUSY)
        while not (ended := over()) and not self.holds():
            if deadline.passed():
                self._restless = True
                break
            time.sleep(0.001)
        return ended

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
