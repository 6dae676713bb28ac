"""What a call comes to."""

from __future__ import annotations

from typing import Any, NamedTuple

from rpc.wire import Buffer


class Reply(NamedTuple):
    value: Any = None
    payload: Buffer = b""
