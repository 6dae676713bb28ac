"""What each server holds, as it says itself: server -> handle -> what is known of that replica."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NEVER = float("-inf")
Group = tuple[tuple[str, int], ...]


@dataclass
class _Replica:
    version: int = 0
    answered: float = NEVER
    cloned: float = NEVER
    damaged: bool = False
    there: bool = True


class Replicas:
    def __init__(self, settle: float) -> None:
        self.changed: set[int] = set()
        self._settle = settle
        self._servers: dict[str, dict[int, _Replica]] = {}
        self._holders: dict[int, set[str]] = {}

    def of(self, handle: int) -> Group:
        found: list[tuple[str, int]] = []
        for server in sorted(self._holders.get(handle, ())):
            replica = self._servers[server][handle]
            if replica.there and not replica.damaged:
                found.append((server, replica.version))
        return tuple(found)

    def version(self, server: str, handle: int) -> int | None:
        return dict(self.of(handle)).get(server)

    def report(self, server: str, chunks: Mapping[int, int], now: float, *, started: bool) -> None:
        mine = self._servers.setdefault(server, {})
        for handle, version in chunks.items():
            replica = self._replica(server, handle)
            replica.version = max(replica.version, version)
        for handle in [one for one in mine if one not in chunks]:
            if started or now - mine[handle].answered >= self._settle:
                self.drop(server, handle)

    def confirm(self, server: str, handle: int, version: int, now: float) -> None:
        replica = self._replica(server, handle)
        replica.version, replica.answered = max(replica.version, version), now

    def confirm_clone(self, server: str, handle: int, version: int, now: float) -> None:
        replica = self._replica(server, handle)
        replica.damaged, replica.cloned = False, now
        self.confirm(server, handle, version, now)

    def damage(self, server: str, handles: Iterable[int], now: float) -> None:
        for handle in handles:
            replica = self._replica(server, handle)
            if now - replica.cloned >= self._settle:
                replica.damaged = True
                self.changed.add(handle)

    def drop(self, server: str, handle: int) -> None:
        if self._servers.get(server, {}).pop(handle, None) is not None:
            self._holders[handle].discard(server)
            self.changed.add(handle)

    def forget(self, server: str) -> None:
        for handle in list(self._servers.get(server, {})):
            self.drop(server, handle)
        self._servers.pop(server, None)

    def _replica(self, server: str, handle: int) -> _Replica:
        mine = self._servers.setdefault(server, {})
        if handle not in mine:
            mine[handle] = _Replica()
            self._holders.setdefault(handle, set()).add(server)
            self.changed.add(handle)
        return mine[handle]
