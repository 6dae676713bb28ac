"""Record append."""

from __future__ import annotations

from consistency.failures import AppendFailed
from consistency.locations import Lease
from consistency.mutator import Attempt, Mutator
from consistency.records import Record, encode
from consistency.retry import Next

from labkit.errors import TooLarge


class Appender(Mutator):
    def append(self, path: str, record: Record) -> int:
        frame, limits = encode(record), self.ctx.limits
        attempt = Attempt()
        index = -1  # of the chunk tried last
        may_hold: int | None = None  # the chunk that a request was for

        def once() -> int:
            nonlocal index, may_hold
            if len(frame) > limits.record_limit:
                raise TooLarge(f"{len(frame)} bytes")
            count = self.master.chunk_count(path)
            if attempt.last is Next.NEXT_CHUNK:
                wanted, may_hold = max(index + 1, count - 1), None
            elif may_hold is not None and may_hold < count:
                wanted = may_hold
            else:
                wanted = max(count - 1, 0)
            # A chunk that turned out to be full stays full, whatever the next error is.
            attempt.last, index = None, wanted
            if index >= count or attempt.shared:
                chunk = self.master.allocate(path, index)
            else:
                chunk = self.master.locate(path, index)

            def order(lease: Lease, data_id: str) -> int:
                nonlocal may_hold
                before, may_hold = may_hold, index
                was_sent, attempt.sent = attempt.sent, True
                try:
                    return self.chunkservers.append(lease.primary, chunk.handle, lease.version, data_id)
                except Exception as error:
                    if type(error).__name__ == "Unreachable":
                        may_hold, attempt.sent = before, was_sent
                    raise

            return index * limits.chunk_size + self.mutate(attempt, chunk, frame, order)

        return self.try_until(path, attempt, once, AppendFailed)
