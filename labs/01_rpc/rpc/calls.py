"""One call on its way: send the request, wait, send it again, and say honestly how it ended.

Every transmission carries the same xid, so that the server can tell a repeat from a new call. What the
caller may believe in the end rests on one count, the transmissions that may have reached a server. A
request that the system did not take to its last byte does not count: half a frame never runs.

    none sent                          Unreachable      it surely did not run
    sent, the last attempt timed out   CallTimeout      nobody knows
    sent, the connection broke         ConnectionLost   nobody knows

SessionLost says that the server is in another life than the one whose epoch the request names. If the call
was sent exactly once, then that transmission is the one refused here, so no life ever ran it: it is sent
anew under the new epoch, and the caller notices nothing. After two transmissions the other one may have
run in the life before; nobody knows, and the caller gets SessionLost.
"""

from __future__ import annotations

from labkit import Context
from rpc.connections import ConnectionPool
from rpc.messages import Reply, Request
from rpc.retry import RetryPolicy
from rpc.sessions import Session
from rpc.wire import Buffer


class Peer:
    """A server as a client of this node knows it: its name, the connections to it, and the numbering of calls."""

    def __init__(self, context: Context, name: str) -> None:
        self.context = context
        self.name = name
        self.pool = ConnectionPool(context, name)
        self.session = Session()


class OutgoingCall:
    """Runs one request against one server. Used once, by one thread."""

    __slots__ = ("_frame", "_payload", "_peer", "_request", "_sent", "_stream")

    def __init__(self, peer: Peer, request: Request, payload: Buffer) -> None:
        """TypeError or ValueError when the request cannot be encoded; nothing has been sent then."""
        raise NotImplementedError(
            "lab 1 part B: encode now, so that a value that cannot be sent is refused before anything is"
        )

    def run(self, policy: RetryPolicy) -> Reply:
        """The server's reply, or the RemoteError it answered with, or the CallFailed of the table above.

        An attempt ends early when its connection breaks; the next still starts when its time is over,
        so that a server that just died is not stormed.
        """
        raise NotImplementedError(
            "lab 1 part B: for each attempt of the policy: its timeout; a broken connection is dropped, "
            "a silent one kept"
        )
