"""Carries a schedule out on a running GFS.

Strikes at messages happen in the proxy's thread, while the message is on the wire; strikes at disks happen in the node
itself, which the nemesis learns when it looks. `tick` does what is due, `heal` ends whatever can be ended: what crashed
for good stays dead, everybody else comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.explore.points import DiskStep, Message
from harness.explore.schedule import CRASHES, Deed, Strike
from harness.gfs import Gfs
from harness.network.faults import Aim, Delay, Drop, Duplicate, Fault, When


@dataclass
class _Down:
    """A node that died of a strike, and when it is to come back; never, if it crashed for good."""

    name: str
    deed: Deed
    until: float


class Nemesis:
    """`roles`: name of a role -> the node that has it."""

    def __init__(self, gfs: Gfs, roles: Mapping[str, str], strikes: tuple[Strike, ...]) -> None:
        self._gfs = gfs
        self._cluster = gfs.cluster
        self._roles = roles
        self._strikes = strikes
        self._down: list[_Down] = []
        self._waiting: list[tuple[Strike, str]] = []  # strikes at disks, and who is to die of them
        self._aims: list[tuple[Strike, Aim]] = []
        self._died: list[Strike] = []

    @property
    def struck(self) -> list[Strike]:
        """The strikes whose point was met."""
        return [strike for strike, aim in self._aims if aim.hits] + self._died

    def arm(self) -> None:
        """Lie in wait at every point of the schedule, which are counted from now on."""
        faults: list[Fault] = []
        for strike in self._strikes:
            match strike.point:
                case Message() as point:
                    aim = self._aim(strike, point)
                    self._aims.append((strike, aim))
                    faults.append(self._fault(strike, aim))
                case DiskStep(node, _, count, when):
                    name = self._roles[node]
                    self._waiting.append((strike, name))
                    self._cluster.crash_at(name, count, when)
        self._cluster.network.add(*faults)

    def tick(self) -> None:
        """Notice who died at its disk, and bring back who has been down for long enough."""
        for strike, name in list(self._waiting):
            if not self._cluster.nodes[name].alive:
                self._waiting.remove((strike, name))
                if not any(down.name == name for down in self._down):
                    self._cluster.wait_dead(name)
                    self._died.append(strike)
                    self._gfs.note(str(strike))
                    self._note_down(name, strike)
        for down in list(self._down):
            if down.deed is not Deed.CRASH and self._cluster.now() >= down.until:
                self._bring_back(down)

    def heal(self) -> None:
        """No fault lasts beyond this, but for the servers that crashed for good."""
        self._cluster.network.heal()
        for _, name in self._waiting:
            # Its point has not come and must not come any more, but it may come at this very moment.
            if self._cluster.nodes[name].alive:
                self._cluster.crash_at(name, 0, "before")
        self.tick()
        self._waiting.clear()
        for down in list(self._down):
            if down.deed is not Deed.CRASH:
                self._bring_back(down)

    def _aim(self, strike: Strike, point: Message) -> Aim:
        return Aim(
            point.method,
            point.kind,
            sender=self._roles[point.sender],
            receiver=self._roles[point.receiver],
            skip=point.count - 1,
            times=strike.times,
        )

    def _fault(self, strike: Strike, aim: Aim) -> Fault:
        match strike.deed:
            case Deed.LOSS:
                return Drop(aim)
            case Deed.DELAY:
                return Delay(aim, strike.seconds)
            case Deed.DUPLICATE:
                return Duplicate(aim, strike.seconds)
            case _:
                return When(aim, lambda: self._strike(strike), deliver=strike.delivered)

    def _strike(self, strike: Strike) -> None:
        """In the proxy's thread."""
        name = self._roles[strike.victim]
        self._gfs.note(str(strike))
        if strike.deed in CRASHES:
            if self._cluster.nodes[name].alive:
                self._note_down(name, strike)
                self._cluster.crash(name)
        else:
            others = set(self._cluster.nodes) - {name}
            if strike.deed is Deed.SPLIT:
                others -= set(self._gfs.clients)
            self._cluster.network.partition([name], others)

    def _note_down(self, name: str, strike: Strike) -> None:
        self._down.append(_Down(name, strike.deed, self._cluster.now() + strike.seconds))

    def _bring_back(self, down: _Down) -> None:
        self._down.remove(down)
        if down.deed is Deed.REPLACEMENT:
            self._gfs.note(f"{down.name} is replaced by an empty server")
            self._cluster.replace(down.name)
        else:
            self._gfs.note(f"{down.name} is rebooted with its disk")
            self._cluster.start(down.name)
