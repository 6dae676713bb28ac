"""Enough replicas of every chunk, and not too many in one place (GFS §4.3).

A chunk with fewer than `limits.replicas` up-to-date replicas is cloned, those with the fewest first, since they are the
nearest to being lost. One with more gives one up. When there is nothing else to do a replica moves from
the fullest server to the emptiest: it is cloned there, and is then one too many.

A clone is prepared while clients go on mutating, which takes long; then the chunk's lease is taken back, the rest
is copied and the new version committed with it, which is short (granting.py). At most `limits.clones` are under
way at once, and one to or from any server, so that they leave room for clients.

Nobody is cloned before all servers had time to report, nor for a server that is only silent.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from gfs_master.chunkservers import Answer, Chunkservers
from gfs_master.granting import Clone, Granting
from gfs_master.metadata import Metadata
from gfs_master.placement import MARGIN, Load, choose, least_needed
from labkit import Context
from labkit.errors import LabError

SLICE = 500  # chunks looked at in one section
DRAWS = 200  # chunks looked at to find one that can move
REST = 2.0  # heartbeats until something that failed is tried again, and between two moves


@dataclass(frozen=True)
class Task:
    """Something to do for a chunk: make a clone, or let a replica leave."""

    handle: int
    clone: Clone | None = None
    leave: str | None = None

    @property
    def servers(self) -> set[str]:
        return {self.clone.source, self.clone.target} if self.clone else set()


class Rereplication:
    def __init__(
        self, context: Context, metadata: Metadata, granting: Granting, chunkservers: Chunkservers
    ) -> None:
        self._annotate = context.annotate
        self._rng = context.rng
        self._metadata = metadata
        self._granting = granting
        self._chunkservers = chunkservers
        self._rest = REST * context.limits.heartbeat
        # All that follows is used in sections.
        self._pool: set[int] = set()  # chunks that may have too few replicas, or too many
        self._under_way: dict[int, Task] = {}
        self._not_before: dict[int, float] = {}
        self._no_move_before = float("-inf")
        self._threads: list[threading.Thread] = []

    def look(self) -> None:
        """Begin what there is to do and room for, each in a thread of its own; the next look comes soon."""
        # lab 2 part E: fewest copies first; then what is too much; then balance
        short, surplus = self._sort()
        metadata = self._metadata
        with metadata.section() as now:
            if not metadata.servers.have_had_time(now):
                return
            tasks = [self._start(task) for handle in short if (task := self._plan_clone(handle, now))]
            if not tasks and not self._under_way:
                tasks = [
                    self._start(task) for handle in surplus[:1] if (task := self._plan_leave(handle, now))
                ]
            if not tasks and not self._under_way and not surplus and (task := self._plan_move(now)):
                tasks = [self._start(task)]
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for task in tasks:
            thread = threading.Thread(target=self._do, args=(task,), name=f"chunk {task.handle}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Wait, not for ever, for what is under way; its calls fail when the client has been closed."""
        for thread in self._threads:
            thread.join(5.0)

    def _sort(self) -> tuple[list[int], list[int]]:
        """Chunks with too few replicas, fewest first, as many as could be begun; and those with too many."""
        # lab 2 part E
        with self._metadata.section() as now:
            changed = self._metadata.replicas.changed
            self._pool |= changed
            changed.clear()
            pool = list(self._pool)
        wanted = self._metadata.limits.replicas
        copies: dict[int, int] = {}
        for begin in range(0, len(pool), SLICE):
            with self._metadata.section():
                some = pool[begin : begin + SLICE]
                copies.update((handle, self._copies(handle)) for handle in some)
                self._pool.difference_update(handle for handle in some if copies[handle] in (0, wanted))
        short = [
            handle for handle, count in copies.items() if 0 < count < wanted and self._is_due(handle, now)
        ]
        surplus = [handle for handle, count in copies.items() if count > wanted and self._is_due(handle, now)]
        return heapq.nsmallest(SLICE, short, key=lambda handle: (copies[handle], handle)), surplus

    def _copies(self, handle: int) -> int:
        # lab 2 part E
        return len(self._metadata.up_to_date(handle)) if handle in self._metadata.state.chunks else 0

    def _is_due(self, handle: int, now: float) -> bool:
        # lab 2 part E
        return handle not in self._under_way and now >= self._not_before.get(handle, now)

    def _plan_clone(self, handle: int, now: float, targets: Iterable[str] | None = None) -> Task | None:
        # lab 2 part E
        metadata = self._metadata
        if len(self._under_way) >= metadata.limits.clones or handle not in metadata.state.chunks:
            return None
        busy = {server for task in self._under_way.values() for server in task.servers}
        holders = metadata.up_to_date(handle)
        loads = metadata.servers.loads(now)
        sources = [load.name for load in loads if load.name in holders and load.name not in busy]
        free = [load for load in loads if load.name not in holders and load.name not in busy]
        if targets is not None:
            free = [load for load in free if load.name in targets]
        chosen = choose(free, 1, self._rng, [load.rack for load in loads if load.name in holders])
        if not sources or not chosen:
            return None
        return Task(handle, clone=Clone(chosen[0], self._rng.choice(sources)))

    def _plan_leave(self, handle: int, now: float) -> Task | None:
        # lab 2 part E
        if handle not in self._metadata.state.chunks or self._metadata.leases.running(handle, now):
            return None  # there is no hurry: when nobody mutates it
        holders = self._metadata.up_to_date(handle)
        loads = [load for load in self._metadata.servers.loads(now) if load.name in holders]
        return (
            Task(handle, leave=least_needed(loads)) if len(loads) > self._metadata.limits.replicas else None
        )

    def _plan_move(self, now: float) -> Task | None:
        # lab 2 part E
        metadata = self._metadata
        loads = sorted(metadata.servers.loads(now), key=lambda load: load.used)
        if len(loads) < 2 or now < self._no_move_before:
            return None
        empty, full = loads[0], loads[-1]
        if full.used - empty.used <= MARGIN * metadata.limits.chunk_size:
            return None
        self._no_move_before = now + self._rest
        for _ in range(DRAWS):
            handle = self._rng.randrange(metadata.state.next_handle)  # 0 is no chunk's
            if self._can_move(handle, full, empty, now):
                return self._plan_clone(handle, now, [empty.name])
        return None

    def _can_move(self, handle: int, full: Load, empty: Load, now: float) -> bool:
        # lab 2 part E
        if handle not in self._metadata.state.chunks or self._metadata.leases.running(handle, now):
            return False
        holders = self._metadata.up_to_date(handle)
        return full.name in holders and empty.name not in holders

    def _start(self, task: Task) -> Task:
        # lab 2 part E
        self._under_way[task.handle] = task
        return task

    def _do(self, task: Task) -> None:
        # lab 2 part E
        try:
            if task.clone is not None:
                self._clone(task.handle, task.clone)
            else:
                self._granting.regroup(task.handle, leave=task.leave)
        except LabError as error:
            self._annotate("not_regrouped", handle=task.handle, why=str(error))
        finally:
            with self._metadata.section() as now:
                del self._under_way[task.handle]
                # Whatever came of it, the chunk is looked at again.
                self._pool.add(task.handle)
                self._not_before = {handle: then for handle, then in self._not_before.items() if then > now}
                done = task.clone is not None and task.clone.target in self._holders(task.handle)
                if not done:
                    self._not_before[task.handle] = now + self._rest

    def _clone(self, handle: int, clone: Clone) -> None:
        # lab 2 part E
        with self._metadata.section():
            version = self._metadata.chunk(handle).version
        answer = self._chunkservers.clone_chunk(clone.target, handle, version, clone.source, final=False)
        if answer is Answer.CONFIRMED:
            self._granting.regroup(handle, clone=clone)
            self._annotate("cloned", handle=handle, server=clone.target)

    def _holders(self, handle: int) -> dict[str, int]:
        # lab 2 part E
        return self._metadata.up_to_date(handle) if handle in self._metadata.state.chunks else {}
