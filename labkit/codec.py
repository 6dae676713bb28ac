"""msgpack, made strict: the one serialisation on the wire and in logs.

Exactly these values pass, in both directions: None, bool, int of 64 bits, float, str, bytes, list, dict
with str keys; tuples are sent as lists. Everything else is a clear error rather than a surprise at the
other end. `unpack` never builds more than its input could honestly hold.
"""

from __future__ import annotations

from typing import Any

import msgpack

MAX_DEPTH = 64


def pack(value: Any) -> bytes:
    """`value` as msgpack bytes. ValueError or TypeError, in words, when it is not of the kinds above."""
    _refuse_odd_values(value, MAX_DEPTH)
    try:
        return msgpack.Packer().pack(value)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except OverflowError as error:
        raise ValueError("an integer does not fit into 64 bits") from error


def unpack(data: bytes | bytearray | memoryview) -> Any:
    """The one value `data` holds. ValueError when it holds anything else, less, or more."""
    try:
        return msgpack.unpackb(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            data, max_ext_len=0
        )
    except (msgpack.exceptions.UnpackException, ValueError, RecursionError) as error:
        raise ValueError(f"not a msgpack value: {error or type(error).__name__}") from error


_LEAVES = frozenset((str, bytes, bool, int, float, type(None)))  # msgpack itself knows which integers fit


def _refuse_odd_values(value: Any, depth: int) -> None:
    """Every header passes here, so a leaf costs no call of its own."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _LEAVES:
        return
    if depth == 0:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"map keys must be str, not {type(key).__name__}")
            if type(item) not in _LEAVES:
                _refuse_odd_values(item, depth - 1)
        return
    if kind is list or kind is tuple:
        for item in value:
            if type(item) not in _LEAVES:
                _refuse_odd_values(item, depth - 1)
        return
    raise TypeError(
        f"{kind.__name__} values cannot be sent; use None, bool, int, float, str, bytes, list, dict"
    )
