"""The client's front: any number of servers known by name, calls from any number of threads.

Each thread runs its own call (`calls.OutgoingCall`) on a connection of its own; what calls to one server
share, its connections and the numbering of calls, is in one `Peer`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from labkit import Context
from rpc.calls import OutgoingCall, Peer
from rpc.messages import Reply, Request
from rpc.retry import RetryPolicy
from rpc.wire import Buffer

_DEFAULT_POLICY = RetryPolicy()


class Client:
    """Calls methods of nodes by name. Thread-safe."""

    def __init__(self, context: Context, policy: RetryPolicy = _DEFAULT_POLICY) -> None:
        self._context = context
        self._policy = policy
        # Never shared: two clients with one id would be one client to the server's duplicate table.
        self._id = context.rng.getrandbits(63)
        self._lock = threading.Lock()
        self._peers: dict[str, Peer] = {}
        self._closed = False

    def call(
        self,
        server: str,
        method: str,
        args: Mapping[str, Any] | None = None,
        payload: Buffer = b"",
        *,
        at_most_once: bool = True,
        policy: RetryPolicy | None = None,
    ) -> Reply:
        """Call `method` of node `server`, and wait for its reply as long as `policy` allows.

        At most once: however often the request is sent, it runs once or not at all. Best effort
        (`at_most_once=False`): it may run once for every time it is sent; for methods where that is harmless.

        Raises the RemoteError the server answered with; Unreachable, CallTimeout or ConnectionLost as told
        in `calls`; TypeError or ValueError, with nothing sent, for arguments that cannot be sent. After
        `close` every call is Unreachable.
        """
        # lab 1 part B: number the call, run an OutgoingCall; part C: end its seq in the session whatever happens
        peer = self._peers.get(server) or self._add_peer(server)
        session = peer.session
        arguments = dict(args) if args else {}
        if not at_most_once:
            request = Request(method, arguments, (self._id, session.number()), 0, None)
            return OutgoingCall(peer, request, payload).run(policy or self._policy)
        seq, ack = session.begin()
        try:
            # The epoch is unknown before the first hello; until then any number stands in for it.
            request = Request(method, arguments, (self._id, seq), ack, session.epoch or 0)
            return OutgoingCall(peer, request, payload).run(policy or self._policy)
        finally:
            session.end(seq)

    def close(self) -> None:
        """Close all connections. Calls under way end soon, with ConnectionLost or Unreachable."""
        # lab 1 part D: close the pool of every peer, and of those that are added later
        with self._lock:
            self._closed = True
            peers = list(self._peers.values())
        for peer in peers:
            peer.pool.close()

    def _add_peer(self, name: str) -> Peer:
        # lab 1 part B
        with self._lock:
            peer = self._peers.get(name)
            if peer is None:
                peer = Peer(self._context, name)
                if self._closed:
                    peer.pool.close()
                self._peers[name] = peer
            return peer
