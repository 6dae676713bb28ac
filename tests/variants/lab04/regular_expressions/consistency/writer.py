"""Plain writes."""

from __future__ import annotations

from consistency.failures import WriteFailed
from consistency.locations import Lease
from consistency.mutator import Attempt, Mutator

from labkit.errors import NoSuchChunk


class Writer(Mutator):
    def write(self, path: str, offset: int, data: bytes) -> None:
        size, most = self.ctx.limits.chunk_size, self.ctx.limits.record_limit
        attempt = Attempt()
        while data:
            index, within = divmod(offset, size)
            piece = data[: min(size - within, most)]
            self.try_until(
                path,
                attempt,
                lambda i=index, w=within, p=piece: self._once(path, attempt, i, w, p),
                WriteFailed,
            )
            offset, data = offset + len(piece), data[len(piece) :]

    def _once(self, path: str, attempt: Attempt, index: int, within: int, piece: bytes) -> None:
        try:
            ask = self.master.allocate if attempt.shared else self.master.locate
            chunk = ask(path, index)
        except NoSuchChunk:
            for number in range(self.master.chunk_count(path), index + 1):
                chunk = self.master.allocate(path, number)
            chunk = self.master.locate(path, index)

        def order(lease: Lease, data_id: str) -> None:
            self.chunkservers.write(lease.primary, chunk.handle, lease.version, within, data_id)

        self.mutate(attempt, chunk, piece, order)
