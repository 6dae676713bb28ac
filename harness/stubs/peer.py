"""A scripted node: it answers methods as a test says, remembers every request, and can ask others.

It lives in the grader's process, speaks the wire with the harness's own codec, and is reached by name through the
proxy, so that its frames are journalled and faults can be aimed at them like anybody's.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.network.raw import RawConnection, RawPeer
from harness.shapes import check_reply, what_is_wrong
from labkit.errors import BadArguments, HandlerFailed, RemoteError, UnknownMethod
from labkit.protocol import CATALOGUE, HELLO

EPOCH = 1

Answer = tuple[Mapping[str, Any], bytes] | Mapping[str, Any]
Handler = Callable[..., Answer]


@dataclass(frozen=True)
class Request:
    """A request as it came: virtual time, method, arguments, payload."""

    time: float
    method: str
    args: Mapping[str, Any]
    payload: bytes


class ScriptedPeer:
    """`handlers` maps methods to functions of the arguments (and `payload` when there is one).

    A handler returns the result, or (result, payload), or raises a RemoteError. `requests` are all that came, in
    order; one that is not what the catalogue says is refused, and the next look at them says so. `ask` calls a method of
    a node the way its catalogue entry says, at most once or best effort.
    """

    def __init__(self, cluster: Cluster, name: str, handlers: Mapping[str, Handler] | None = None) -> None:
        self.name = name
        self.handlers: dict[str, Handler] = dict(handlers or {})
        self.requests: list[Request] = []
        self.malformed: list[str] = []
        self._cluster = cluster
        self._peer = RawPeer(cluster.network, name)
        self._client = cluster.rng.getrandbits(62)
        self._sequences = itertools.count(1)
        self._epochs: dict[str, int] = {}
        self._stopped = False
        self._peer.listen()
        self._actors = cluster.network.actors
        self._actors.start(self._accept, f"stub {name}")

    def got(self, method: str) -> list[Request]:
        """The requests for a method so far."""
        self.check()
        return [request for request in list(self.requests) if request.method == method]

    def check(self) -> None:
        """LabFailure if a request has come that is not what the catalogue says; it was refused."""
        if self.malformed:
            raise LabFailure(
                f"a request to {self.name} is not what docs/protocol.md says", seen=self.malformed[0]
            )

    def ask(
        self, node: str, method: str, args: Mapping[str, Any], payload: bytes = b"", patience: float = 10.0
    ) -> dict[str, Any]:
        """The result of one call, which has what the catalogue says; RemoteError when the node says no, LabFailure when it
        says nothing, or something else."""
        return self.ask_with_payload(node, method, args, payload, patience)[0]

    def ask_with_payload(
        self, node: str, method: str, args: Mapping[str, Any], payload: bytes = b"", patience: float = 10.0
    ) -> tuple[dict[str, Any], bytes]:
        xid = (self._client, next(self._sequences))
        with self._peer.connect(node, patience) as connection:
            epoch = connection.hello(self._client) if CATALOGUE[method].at_most_once else None
            connection.request(method, args, xid=xid, epoch=epoch, payload=payload)
            if in_vain := self._cluster.await_event(connection.readable, patience):
                raise LabFailure(f"{node} gave no answer to {method}{in_vain}")
            header, answer = connection.reply(xid, patience)
        if header.get("error") is not None:
            raise RemoteError.from_wire(header["error"])
        return check_reply(node, method, header.get("result")), answer

    def stop(self) -> None:
        """Be gone: take no more connections and answer nothing more."""
        self._stopped = True
        self._cluster.network.proxy.set_port(self.name, None)

    def _accept(self) -> None:
        while True:
            try:
                connection = self._peer.accept(3600.0)
            except (LabFailure, OSError):
                return
            self._actors.start(partial(self._serve, connection), f"stub {self.name}")

    def _serve(self, connection: RawConnection) -> None:
        with connection, contextlib.suppress(LabFailure):  # the other side has gone
            while True:
                header, payload = connection.receive(3600.0)
                reply, answer = self._answer(header, payload)
                if self._stopped:
                    return
                connection.send_frame({"xid": header.get("xid"), **reply}, answer)

    def _answer(self, header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        method, args = str(header.get("method")), header.get("args")
        if method == HELLO:
            return {"result": {"epoch": EPOCH}}, b""
        arguments: dict[str, Any] = dict(args) if isinstance(args, dict) else {}  # pyright: ignore[reportUnknownArgumentType]
        wrong = what_is_wrong(CATALOGUE[method].args, arguments) if method in CATALOGUE else ""
        if wrong:
            self.malformed.append(f"{method} {wrong}: {arguments!r:.200}")
            return {"error": BadArguments(f"{method} {wrong}").to_wire()}, b""
        self.requests.append(Request(self._cluster.now(), method, arguments, payload))
        handler = self.handlers.get(method)
        try:
            if handler is None:
                raise UnknownMethod(f"{self.name} is a stub without {method}")
            given = {**arguments, "payload": payload} if payload else arguments
            answer = handler(**given)
        except RemoteError as error:
            return {"error": error.to_wire()}, b""
        except TypeError as error:
            return {"error": HandlerFailed(f"{self.name}: {error}").to_wire()}, b""
        result, data = answer if isinstance(answer, tuple) else (answer, b"")
        return {"result": dict(result)}, data
