"""What is known of a replica, as one file of JSON with a checksum in front: `<handle>.sums`.

It is never changed, only replaced, so what is on the disk is always one whole truth, and a flipped bit in it is damage.
"""

from __future__ import annotations

import json
import zlib
from contextlib import closing

from chunkserver.blocks import Block, Contents, Damaged, Entry

from labkit.disk import Disk

META, NEW = ".sums", ".sums-draft"


class MetadataLog:
    def __init__(self, disk: Disk, handle: int) -> None:
        self._disk = disk
        self._name, self._draft = f"{handle}{META}", f"{handle}{NEW}"
        self._known: Contents | None = None

    def recover(self, block_size: int) -> Contents:
        with closing(self._disk.open(self._name)) as file:
            check, _, text = file.pread(0, file.size()).partition(b"\n")
        if check != b"%08x" % zlib.crc32(text):
            raise Damaged("the file of checksums does not match its own")
        version, blocks = json.loads(text)
        self._known = Contents(block_size, version, tuple(Block(valid, crc) for valid, crc in blocks))
        return self._known

    def append(self, entries: list[Entry]) -> None:
        assert self._known is not None
        self.replace(self._known.after(entries))

    def tidy(self, contents: Contents) -> None:
        """There is never anything to tidy."""

    def replace(self, contents: Contents) -> None:
        text = json.dumps(
            [contents.version, [[block.valid, block.crc] for block in contents.blocks]]
        ).encode()
        with closing(self._disk.open(self._draft, create=True)) as file:
            file.truncate(0)
            file.pwrite(0, b"%08x\n" % zlib.crc32(text) + text)
            file.sync()
        self._disk.replace(self._draft, self._name)
        self._known = contents
