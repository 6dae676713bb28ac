"""What the headers of frames say: requests and replies, without any IO.

A request is {"method", "args", "xid": [client, seq], "ack", "epoch"}, a reply {"xid", "result"} or {"xid",
"error"}. The pair (client, seq) names a call for ever: every transmission of it carries the same one, and
its reply too (Birrell and Nelson 1984, §3.2). Keys nobody knows are ignored, so that the protocol can grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit.errors import MalformedFrame, RemoteError
from rpc.wire import Buffer, Frame, encode


class Reply(NamedTuple):
    """What a call gives back: a plain value, and bulk bytes beside it. Handlers may return one too."""

    value: Any = None
    payload: Buffer = b""


class Request(NamedTuple):
    """One call as it goes over the wire. `epoch` None: best effort, `ack` means nothing then.

    `ack` says: every at-most-once call of this client to this server with seq <= ack has been answered, or
    given up for good; none will be sent again.
    """

    method: str
    args: Mapping[str, Any]
    client: int
    seq: int
    ack: int = 0
    epoch: int | None = None
    payload: Buffer = b""

    def encode(self) -> list[Buffer]:
        """The request as a frame for `FrameStream.send`; ValueError or TypeError if it cannot be one."""
        # lab 1 part B: the header's keys are method, args, xid, ack, epoch
        header = {
            "method": self.method,
            "args": self.args,
            "xid": [self.client, self.seq],
            "ack": self.ack,
            "epoch": self.epoch,
        }
        return encode(header, self.payload)

    @staticmethod
    def parse(frame: Frame) -> Request:
        """The request in a received frame. MalformedFrame when a key is missing or has another type."""
        # lab 1 part B: check every type: the header was written by a stranger (a bool is no int here)
        try:
            header, payload = frame
            method, args, ack, epoch = header["method"], header["args"], header["ack"], header["epoch"]
            client, seq = header["xid"]
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedFrame("a request needs method, args, xid [client, seq], ack and epoch") from error
        if not (
            type(method) is str
            and type(args) is dict
            and type(client) is type(seq) is type(ack) is int
            and (epoch is None or type(epoch) is int)
        ):
            raise MalformedFrame("a request's method is a str, its args a map, xid, ack and epoch are ints")
        return Request(method, args, client, seq, ack, epoch, payload)


def encode_reply(request: Request, outcome: Any) -> list[Buffer]:
    """The frame that answers `request` with a plain value, a `Reply`, or a RemoteError.

    ValueError or TypeError when a value in it cannot be sent.
    """
    # lab 1 part B: the request's xid, and either result (with the payload) or error (to_wire())
    xid = [request.client, request.seq]
    if isinstance(outcome, RemoteError):
        return encode({"xid": xid, "error": outcome.to_wire()})
    if isinstance(outcome, Reply):
        return encode({"xid": xid, "result": outcome.value}, outcome.payload)
    return encode({"xid": xid, "result": outcome})


def parse_reply(frame: Frame, xid: list[int]) -> Reply | RemoteError | None:
    """What `frame` answers to the call `xid` ([client, seq]); None when it answers another one.

    The error is returned, not raised, as its own class. MalformedFrame when the frame is no reply.
    """
    # lab 1 part B: compare the xid first, then look for error (RemoteError.from_wire) or result
    header, payload = frame
    if "xid" not in header:
        raise MalformedFrame("a reply needs an xid")
    if header["xid"] != xid:
        return None
    if "error" in header:
        return RemoteError.from_wire(header["error"])
    if "result" in header:
        return Reply(header["result"], payload)
    raise MalformedFrame("a reply needs a result or an error")
