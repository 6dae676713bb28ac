"""What a test does to the network: add faults, partition, heal, look at the journal."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator, Hashable, Iterable
from contextlib import contextmanager

from harness.network.actors import Actors
from harness.network.faults import Aim, Drop, Fault, Hold, Partition, Sometimes, Watch, When
from harness.network.frame import REQUEST, Frame
from harness.network.proxy import JOURNAL_LENGTH, Proxy, Undecoded


class Network:
    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.actors = Actors()
        # Of a wait: whether nothing can bring any more what it has waited for in vain. The cluster knows.
        self.hopeless: Callable[[Callable[[float], bool]], bool] = lambda wait: False
        self.injected = 0  # faults so far; what a When does is counted by whoever does it
        self._reading = threading.Lock()
        self._read: list[Frame] = []  # the journal so far, decoded
        self._methods: dict[tuple[int, Hashable], str] = {}  # of the requests in it

    @property
    def journal(self) -> list[Frame]:
        """Every frame that passed or was meant to, oldest first. Each is decoded once, however often this is asked."""
        with self._reading:
            entries = list(self.proxy.journal)
            if len(entries) == JOURNAL_LENGTH:  # the oldest have gone
                self._read.clear()
                self._methods.clear()
            for entry in entries[len(self._read) :]:
                self._read.append(self._decoded(entry))
            return self._read.copy()

    def _decoded(self, entry: Frame | Undecoded) -> Frame:
        frame = entry if isinstance(entry, Frame) else entry[1].frame(entry[0], *entry[2:])
        key = (frame.connection, frame.xid)
        if frame.kind == REQUEST:
            self._methods[key] = frame.method
        elif frame.method == "?":
            frame.method = self._methods.get(key, "?")
        return frame

    @property
    def complete(self) -> bool:
        """Whether the journal still holds everything that passed."""
        return len(self.proxy.journal) < JOURNAL_LENGTH

    def frames(
        self,
        method: str | None = None,
        kind: str | None = None,
        sender: str | None = None,
        receiver: str | None = None,
    ) -> list[Frame]:
        """Those frames of the journal that an Aim of these arguments takes."""
        aim = Aim(method, kind, times=None, sender=sender, receiver=receiver)
        return [frame for frame in self.journal if aim.takes(frame)]

    def add(self, *faults: Fault) -> None:
        """From the next frame on; earlier faults are asked first."""
        count = sum(not isinstance(fault, When | Watch) for fault in faults)
        self._change(lambda now: (*now, *faults), count)

    def remove(self, *faults: Fault) -> None:
        self._change(lambda now: tuple(one for one in now if one not in faults))

    def heal(self) -> None:
        """Remove every fault; what a Hold still holds stays held."""
        self._change(lambda now: ())

    @contextmanager
    def having(self, *faults: Fault) -> Generator[None]:
        self.add(*faults)
        try:
            yield
        finally:
            self.remove(*faults)

    def drop(self, aim: Aim) -> Drop:
        fault = Drop(aim)
        self.add(fault)
        return fault

    def hold(self, aim: Aim) -> Hold:
        fault = Hold(aim)
        self.add(fault)
        return fault

    def watch(self, aim: Aim) -> Watch:
        fault = Watch(aim)
        self.add(fault)
        return fault

    def release(self, hold: Hold) -> None:
        """Deliver what `hold` holds, and hold no more."""
        self.proxy.submit(hold.gate.open)
        self.remove(hold)

    def discard(self, hold: Hold) -> None:
        """Lose what `hold` holds, and hold no more."""
        self.remove(hold)
        self.proxy.submit(hold.gate.discard)

    def partition(self, one: Iterable[str], other: Iterable[str], *, both_ways: bool = True) -> Partition:
        fault = Partition(one, other, both_ways=both_ways)
        # In front: a partition lets no other fault see the frame.
        self._change(lambda now: (fault, *now), 1)
        return fault

    def _change(self, edit: Callable[[tuple[Fault, ...]], tuple[Fault, ...]], injected: int = 0) -> None:
        """All of it in the proxy's thread, so that no two changes cross. Without a lock: a When strikes in that thread, and
        may change faults itself while somebody else waits for it to change them."""

        def change() -> None:
            self.injected += injected
            self.proxy.set_faults(edit(self.proxy.faults))

        self.proxy.submit(change)


def lossy(rng: random.Random, probability: float) -> Fault:
    """Every frame is lost with this probability."""
    return Sometimes(rng, probability, Drop(Aim(times=None)))
