"""What the headers of frames say: requests and answers, without any IO.

A request is {"method", "args", "xid": [client, seq], "ack", "epoch"}, an answer {"xid", "result"} or {"xid",
"error"}. The xid names a call for ever: every transmission of it carries the same one, and its answer too
(Birrell and Nelson 1984, §3.2). Headers are written by strangers: `labkit.codec` checks every type in them.
"""

from __future__ import annotations

from typing import Any

from labkit.codec import UNSET, Message, Unset, decoder, encode, refuse_odd_values
from labkit.errors import RemoteError
from rpc.wire import Buffer, join

Xid = tuple[int, int]  # the client, and the number of the call at this client


class Reply(Message):
    """What a call gives back: a plain value, and bulk bytes beside it. Handlers may return one too.

    Never sent as it is: a `Message` because nothing costs less to make."""

    value: Any = None
    payload: Buffer = b""


class Request(Message):
    """One call as it goes over the wire. `epoch` None: best effort, `ack` means nothing then.

    `ack` says: every at-most-once call of this client to this server with seq <= ack has been answered, or
    given up for good; none will be sent again.
    """

    method: str
    args: dict[str, Any]
    xid: Xid
    ack: int
    epoch: int | None

    def frame(self, payload: Buffer) -> list[Buffer]:
        """What to send; TypeError or ValueError when it cannot be."""
        refuse_odd_values(self.args)
        return join(encode(self), payload)


class Answer(Message):
    """The answer to one transmission of a request: it has a result or an error."""

    xid: Xid
    result: Any = UNSET
    error: dict[str, Any] | Unset = UNSET

    def frame(self, payload: Buffer) -> list[Buffer]:
        """What to send; TypeError or ValueError when it cannot be."""
        refuse_odd_values(self.result if self.error is UNSET else self.error)
        return join(encode(self), payload)


_decode_request, _decode_answer = decoder(Request), decoder(Answer)


def parse_request(header: Buffer) -> Request:
    """The request that a header's bytes hold; one of BAD_DATA when they hold none."""
    request = _decode_request(header)
    refuse_odd_values(request.args)
    return request


def parse_answer(header: Buffer) -> Answer:
    """As `parse_request`, for an answer."""
    answer = _decode_answer(header)
    refuse_odd_values(answer.result if answer.error is UNSET else answer.error)
    return answer


def encode_answer(xid: Xid, outcome: Any) -> list[Buffer]:
    """The frame that answers the request `xid` with a plain value, a `Reply`, or a RemoteError.

    ValueError or TypeError when a value in it cannot be sent.
    """
    raise NotImplementedError(
        "lab 1 part B: the request's xid, and either result (with the payload) or error (to_wire())"
    )


def reply_in(answer: Answer, payload: Buffer) -> Reply:
    """The reply, or the RemoteError, raised as its own class."""
    raise NotImplementedError("lab 1 part B: an error is one if it is not UNSET")


def error_in(answer: Answer) -> RemoteError:
    """The error of an answer that has one; MalformedFrame when it is of another shape than errors have."""
    raise NotImplementedError("lab 1 part B: RemoteError.from_wire")
