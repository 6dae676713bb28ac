"""CRC32C, the 32-bit checksum of blocks (§5.2) and records (§2.7.2), from a library at memory speed."""

from __future__ import annotations

import crc32c as _library


def crc32c(data: bytes | bytearray | memoryview, start: int = 0) -> int:
    """Checksum of `data`, continuing from `start` (the checksum of what came before)."""
    return _library.crc32c(data, start)
