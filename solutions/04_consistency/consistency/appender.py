"""Record append from the client's side: at least once, atomically (GFS §3.1 steps 1–7, §3.3).

One attempt is: which chunk is the last, who is its primary, push the data to every replica, tell the
primary to append it. Anything may fail, and `retry.after` says what the next attempt does differently. All
attempts together are one task, under one patience.

Invariant: the record's frame, and so its id, is the same in every attempt; whatever copies they leave can
be recognised. And `AppendFailed.definite` is true exactly if no append request of any attempt left this
client: a request that is out may be carried out at any later time, however clearly another was refused.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from consistency import retry
from consistency.chunkservers import Chunkservers
from consistency.failures import AppendFailed
from consistency.locations import Chunk, Handle, Locations
from consistency.master import Master
from consistency.patience import Patience
from consistency.records import Record, encode
from consistency.retry import Next
from labkit import Context
from labkit.errors import LabError, TooLarge, Unreachable


@dataclass(slots=True)
class _Task:
    # lab 4 part C
    path: str
    frame: bytes
    patience: Patience
    # No chunk before this index: the ones before it were full.
    first_index: int = 0
    # Where the latest attempt went, as far as it came.
    index: int = 0
    handle: Handle | None = None
    shared: bool = False  # the chunk there was in a snapshot
    request_left: bool = False
    # The chunk that the latest request was for, until it is known to be full.
    doubtful: int | None = None


class Appender:
    """Appends records. `patience` is in seconds, for each record; `client_id` makes data ids unique."""

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
        self._ctx = ctx
        self._master = master
        self._chunkservers = chunkservers
        self._locations = locations
        self._patience = patience
        self._client_id = client_id
        self._pushes = itertools.count(1)

    def append(self, path: str, record: Record) -> int:
        """Append the record; the offset of its frame in the file. See `Client.append`.

        A frame longer than `limits.record_limit` fails at once. Otherwise attempts follow each other as
        `retry.after` and `Patience.pause` say:

        1. The last chunk: `Master.last_index`, but none that is known to be full. If the file has no such
           chunk yet, or one that is shared, `Master.allocate` it, else `Master.locate` it. A record that may be in a chunk already
           stays with that chunk until it is full, if the file still has it: there a copy can be recognised.
        2. `Master.lease` of its handle.
        3. Push the frame to the primary and on to the secondaries, under a data id never used before, so
           that an earlier attempt that is still under way cannot use up the data of this one.
        4. Append at the primary, at the lease's version. The answer is the offset in the chunk.

        AppendFailed, caused by the error of the last attempt, which does not decide whether it is definite. Of
        all errors of step 4 only Unreachable means that no request has left.
        """
        # lab 4 part C: keep what must survive an attempt (index, handle, has a request left) in one object
        task = _Task(path, encode(record), Patience(self._ctx.clock.now(), self._patience, self._ctx.rng))
        while True:
            try:
                return self._attempt(task)
            except LabError as error:
                step = retry.after(error)
                pause = task.patience.pause(self._ctx.clock.now(), step.at_once)
                self._ctx.annotate("append attempt failed", path=path, error=str(error), next=step.next.name)
                if step.next is Next.GIVE_UP or pause is None:
                    raise AppendFailed(
                        f"{path}: the record was not acknowledged: {error}", definite=not task.request_left
                    ) from error
                self._prepare(task, step.next)
            self._ctx.clock.sleep(pause)

    def _attempt(self, task: _Task) -> int:
        # lab 4 part C
        limits = self._ctx.limits
        if len(task.frame) > limits.record_limit:
            raise TooLarge(f"a frame of {len(task.frame)} bytes; the limit is {limits.record_limit}")
        chunk = self._chunk(task)
        lease = self._master.lease(chunk.handle)
        data_id = f"{self._client_id:016x}-{next(self._pushes)}"
        self._chunkservers.push((lease.primary, *lease.secondaries), data_id, task.frame)
        try:
            offset = self._chunkservers.append(lease.primary, chunk.handle, lease.version, data_id)
        except LabError as error:
            if not isinstance(error, Unreachable):
                task.request_left, task.doubtful = True, task.index
            raise
        return task.index * limits.chunk_size + offset

    def _chunk(self, task: _Task) -> Chunk:
        # lab 4 part C
        last = self._master.last_index(task.path)
        task.index = max(last, task.first_index)
        if task.doubtful is not None and task.doubtful <= last:
            task.index = task.doubtful
        if task.index > last or task.shared:
            chunk = self._master.allocate(task.path, task.index)
        else:
            chunk = self._master.locate(task.path, task.index)
        task.handle, task.shared = chunk.handle, False
        return chunk

    def _prepare(self, task: _Task, step: Next) -> None:
        # lab 4 part C
        if step is not Next.PUSH_AGAIN and task.handle is not None:
            self._locations.forget_lease(task.handle)
        task.shared = task.shared or step is Next.COPY_CHUNK
        if step is Next.NEXT_CHUNK:
            # Others may have filled more than one chunk meanwhile: ask for the last instead of counting up.
            task.first_index, task.doubtful = task.index + 1, None
            self._locations.forget_last(task.path)
        if step is Next.LOOK_AGAIN:
            task.first_index = 0
            self._locations.forget(task.path)
