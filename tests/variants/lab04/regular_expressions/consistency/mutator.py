"""What appends and writes have in common: attempts, one after the other, until one is through or patience is over."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeVar

from consistency import retry
from consistency.chunkservers import Chunkservers
from consistency.locations import Chunk, Lease, Locations
from consistency.master import Master
from consistency.patience import Patience
from consistency.retry import Next

from labkit import Context
from labkit.errors import LabError, Unreachable

T = TypeVar("T")


class Attempt:
    """What is known when an attempt begins; `sent` and `shared` outlive it."""

    def __init__(self) -> None:
        self.sent = False
        self.shared = False
        self.chunk: Chunk | None = None
        self.last: Next | None = None


class Mutator:
    def __init__(
        self,
        ctx: Context,
        master: Master,
        chunkservers: Chunkservers,
        locations: Locations,
        *,
        client_id: int,
        patience: float,
    ) -> None:
        self.ctx, self.master, self.chunkservers, self.locations = ctx, master, chunkservers, locations
        self._name, self._patience = f"{type(self).__name__}-{client_id:x}", patience
        self._count = itertools.count()

    def try_until(
        self, path: str, attempt: Attempt, once: Callable[[], T], failed: Callable[..., LabError]
    ) -> T:
        clock = self.ctx.clock
        patience = Patience(clock.now(), self._patience, self.ctx.rng)
        while True:
            attempt.chunk = None
            try:
                return once()
            except LabError as error:
                step = retry.after(error)
                rest = patience.pause(clock.now(), step.at_once)
                if rest is None or step.next is Next.GIVE_UP:
                    raise failed(f"{path}: {error}", definite=not attempt.sent) from error
                attempt.last = step.next
                attempt.shared = step.next is Next.COPY_CHUNK
                if attempt.chunk is not None and step.next is not Next.PUSH_AGAIN:
                    self.locations.forget_lease(attempt.chunk.handle)
                if step.next is Next.LOOK_AGAIN:
                    self.locations.forget(path)
            clock.sleep(rest)

    def mutate(self, attempt: Attempt, chunk: Chunk, data: bytes, order: Callable[[Lease, str], T]) -> T:
        attempt.chunk = chunk
        lease = self.master.lease(chunk.handle)
        data_id = f"{self._name}-{next(self._count)}"
        self.chunkservers.push((lease.primary, *lease.secondaries), data_id, data)
        try:
            result = order(lease, data_id)
        except Unreachable:
            raise
        except LabError:
            attempt.sent = True
            raise
        attempt.sent = True
        return result
