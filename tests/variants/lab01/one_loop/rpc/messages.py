"""Requests and replies as headers."""

from __future__ import annotations

from typing import Any, NamedTuple

from rpc.wire import Buffer, Frame, encode

from labkit.errors import MalformedFrame, RemoteError


class Reply(NamedTuple):
    value: Any = None
    payload: Buffer = b""


def encode_outcome(xid: list[int], outcome: Any) -> list[Buffer]:
    if isinstance(outcome, RemoteError):
        return encode({"error": outcome.to_wire(), "xid": xid})
    if not isinstance(outcome, Reply):
        outcome = Reply(outcome)
    return encode({"result": outcome.value, "xid": xid}, outcome.payload)


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_request(frame: Frame) -> None:
    header = frame.header
    xid, epoch = header.get("xid"), header.get("epoch", "missing")
    if not (
        isinstance(header.get("method"), str)
        and isinstance(header.get("args"), dict)
        and isinstance(xid, list)
        and len(xid) == 2
        and all(map(is_int, xid))
        and is_int(header.get("ack"))
        and (epoch is None or is_int(epoch))
    ):
        raise MalformedFrame("this is no request")


def outcome_in(frame: Frame) -> Reply | RemoteError:
    if "error" in frame.header:
        return RemoteError.from_wire(frame.header["error"])
    if "result" not in frame.header:
        raise MalformedFrame("this is no reply")
    return Reply(frame.header["result"], frame.payload)
