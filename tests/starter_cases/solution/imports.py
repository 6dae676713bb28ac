"""Imports of removed code go; what is given, passed on or named in a string stays."""

from __future__ import annotations

import struct
import threading as threads
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import labkit.codec
import labkit.errors

if TYPE_CHECKING:
    import socket

__all__ = ["Mapping", "ask"]


def ask(call: Callable[[], Any]) -> int:
    """Ask."""
    # lab 1 part B: unpack
    with threads.Lock():
        found: socket.socket = labkit.codec.unpack(call())
    return struct.unpack(">I", found)[0]


def given() -> Any:
    """Given."""
    return cast("Callable[[], int]", labkit.errors)
