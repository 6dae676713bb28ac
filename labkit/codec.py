"""msgpack, made strict: the one serialisation on the wire and in logs.

Exactly these values pass, in both directions: None, bool, int of 64 bits, float, str, bytes, list, dict
with str keys; plain tuples are sent as lists. Everything else is a clear error rather than a surprise at the
other end. Nothing here ever builds more than its input could honestly hold.

Two ways: `pack` and `unpack` for any value; a `Message` for a map whose keys and types are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

MAX_DEPTH = 64
UNSET: Final = msgspec.UNSET  # the value of an optional field that is not on the wire
Unset = msgspec.UnsetType
BAD_DATA: Final = (ValueError, TypeError, RecursionError)  # what decoding raises; the last for endless nests
Data = bytes | bytearray | memoryview

Decoded = TypeVar("Decoded")


class Message(msgspec.Struct, gc=False):
    """A map with known keys: subclasses annotate them as a dataclass does.

        class Hello(Message):
            name: str
            extra: Any = UNSET      # may be missing on the wire

    What an annotation leaves open, such as `extra`, is for `refuse_odd_values` to check, on the way out and on the way
    in. Keys nobody knows are ignored when one is decoded, so that a protocol can grow. Plain values make no cycles, so
    the garbage collector need not watch messages.
    """


def pack(value: Any) -> bytes:
    """`value` as msgpack bytes. ValueError or TypeError, in words, when it is not of the kinds above."""
    refuse_odd_values(value)
    return encode(value)


def unpack(data: Data) -> Any:
    """The one value `data` holds. ValueError when it holds anything else, less, or more."""
    try:
        value = _decode_any(data)
        refuse_odd_values(value)
    except BAD_DATA as error:
        raise ValueError(f"not a msgpack value: {error}") from error
    return value


def encode(value: Any) -> bytes:
    """As `pack`, for a `Message`, or a value whose kinds are known to be right."""
    try:
        return _encode(value)
    except OverflowError as error:
        raise ValueError("an integer does not fit into 64 bits") from error


def decoder(kind: type[Decoded]) -> Callable[[Data], Decoded]:
    """What turns bytes into a `kind`, such as a `Message`; it raises BAD_DATA when they are none."""
    return msgspec.msgpack.Decoder(kind, ext_hook=_refuse_extension).decode


def refuse_odd_values(value: Any, depth: int = MAX_DEPTH) -> None:
    """ValueError or TypeError, in words, when `value` is not of the kinds above."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _LEAVES:
        return
    if depth == 0:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    # Nearly every value passes here, so a leaf costs no call of its own.
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"map keys must be str, not {type(key).__name__}")
            if type(item) not in _LEAVES:
                refuse_odd_values(item, depth - 1)
    elif kind is list or kind is tuple:
        for item in value:
            if type(item) not in _LEAVES:
                refuse_odd_values(item, depth - 1)
    else:
        raise TypeError(
            f"{kind.__name__} values cannot be sent; use None, bool, int, float, str, bytes, list, dict"
        )


def _refuse_extension(code: int, data: memoryview) -> Any:
    raise ValueError("msgpack extensions are not used here")


_LEAVES = frozenset((str, bytes, bool, int, float, type(None)))  # msgspec itself knows which integers fit
_encode = msgspec.msgpack.Encoder().encode
_decode_any = msgspec.msgpack.Decoder(ext_hook=_refuse_extension).decode
