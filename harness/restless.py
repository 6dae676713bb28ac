"""Who never rests while a test waits: an endless loop, or requests without end. Told as that, and quickly, with its place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from harness.failures import BROKEN, LabFailure
from harness.network.frame import REQUEST
from harness.network.network import Network
from harness.node import Node
from harness.processes import linux
from harness.processes.session import NodeProcess, Session

LOOK = 0.25  # real seconds between two looks at what processor the nodes have used, and what they have sent
SECOND_EFFORT = 0.2  # seconds of the processor, once a node has been found in an endless loop
SECOND_SHARE = 1 / 15  # of the patience for an answer, likewise
PLACE = 0.9  # seconds of patience for a node to say where it is
FLOOD = 2000  # frames during one wait; the reference never sends more than 130, in any graded test


class Watch:
    """Over the nodes, from now on, during one wait for `what`."""

    def __init__(self, nodes: Sequence[Node], network: Network, session: Session, what: str) -> None:
        self._nodes = nodes
        self._network = network
        self._session = session
        self._what = what
        self._next_look = time.monotonic() + LOOK
        self._passed = len(network.proxy.journal)
        # Of each process: the seconds it had used when it was last looked at, and those that count so far.
        self._efforts: dict[int, tuple[float, float]] = {}

    def due(self) -> bool:
        """Whether it is time for another look."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look += LOOK
        return True

    def refuse_endless(self, most: float) -> None:
        """LabFailure if a node has used `most` seconds of the processor since it was first looked at.

        A machine that stands still for a while may charge that to whoever ran: between two looks only so much counts.
        """
        for node in self._nodes:
            if node.process is None or not node.alive:
                continue
            pid = node.process.pid
            used = linux.processor_seconds(pid)
            before, effort = self._efforts.get(pid, (used, 0.0))
            effort += min(used - before, 2 * LOOK)
            self._efforts[pid] = used, effort
            if effort >= most:
                self._session.most_effort, self._session.effort_share = SECOND_EFFORT, SECOND_SHARE
                raise LabFailure(
                    f"{node.name} does not rest",
                    expected="an end to every loop; a thread with nothing to do waits: for a lock, a condition, a queue, a socket, or by ctx.clock",
                    seen=f"{effort:.1f} s of the processor, while the test waited for {self._what}",
                    witness=_busiest(node.process) or None,
                    why="what looks again and again takes the processor from all others",
                    kind=BROKEN,
                )

    def refuse_flood(self) -> None:
        """LabFailure if more than FLOOD frames have passed; it names who sent most requests."""
        if len(self._network.proxy.journal) - self._passed <= FLOOD:
            return
        frames = self._network.journal[self._passed :]
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


def _busiest(process: NodeProcess) -> str:
    """Where the thread of a node is that has run most; empty if it does not say."""
    asked = process.send("harness.busiest")
    place = asked.message.get("value") if asked.wait(PLACE) and asked.message else ""
    return f"its busiest thread is at {place:.200}" if place and isinstance(place, str) else ""
