"""All that the bank knows is one small map. It is written whole, to two files by turns: one of them is always good."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Mapping
from typing import Any

from rpc.client import Client
from rpc.retry import RetryPolicy
from rpc.server import Server

from labkit import Context, codec
from labkit.errors import BadArguments, CallFailed, ConnectionLost, OutOfOrder

START = struct.Struct(">QII")  # which writing this is, length, checksum


class Bank:
    def __init__(self, context: Context, opening: Mapping[str, int]) -> None:
        self._lock = threading.RLock()
        self._files = [context.disk.open(name, create=True) for name in ("state-even", "state-odd")]
        self._state: dict[str, Any] = {"money": dict(opening), "last": {}}
        self._writing = 0
        for file in self._files:
            file.sync()
            data = file.pread(0, file.size())
            if len(data) >= START.size:
                writing, length, check = START.unpack_from(data)
                body = data[START.size : START.size + length]
                if len(body) == length and zlib.crc32(body) == check and writing > self._writing:
                    self._writing, self._state = writing, codec.unpack(body)
        self._server = Server(context, {"balances": self._balances, "transfer": self._transfer})
        self.start, self.stop = self._server.start, self._server.stop

    def _transfer(self, request: Any, source: Any, target: Any, amount: Any) -> dict[str, Any]:
        match request:
            case [int(client), int(number)]:
                key = str(client)
            case _:
                raise BadArguments("request is [client, number]")
        with self._lock:
            money, last = self._state["money"], self._state["last"]
            if source not in money or target not in money or source == target:
                raise BadArguments("which accounts?")
            if type(amount) is not int or amount < 1:
                raise BadArguments("how much?")
            known = last.get(key)
            if known is not None and known[0] > number:
                raise OutOfOrder("that was long ago", definite=False)
            if known is None or known[0] < number:
                done = money[source] >= amount
                after = dict(money)
                if done:
                    after[source] -= amount
                    after[target] += amount
                self._write({"money": after, "last": {**last, key: [number, done]}})
            return {"done": self._state["last"][key][1]}

    def _write(self, state: dict[str, Any]) -> None:
        body = codec.pack(state)
        writing = self._writing + 1
        file = self._files[writing % 2]
        file.pwrite(0, START.pack(writing, len(body), zlib.crc32(body)) + body)
        file.sync()
        self._writing, self._state = writing, state

    def _balances(self) -> dict[str, int]:
        with self._lock:
            return dict(self._state["money"])


class BankClient:
    def __init__(self, context: Context, server: str) -> None:
        self._client = Client(context, RetryPolicy(attempts=1))
        self._pauses = context
        self._server = server
        self._request = [context.rng.getrandbits(62), 0]
        self._turn = threading.Lock()
        self._closed = False

    def transfer(self, source: str, target: str, amount: int) -> bool:
        with self._turn:
            self._request = [self._request[0], self._request[1] + 1]
            args = {"request": self._request, "source": source, "target": target, "amount": amount}
            while not self._closed:
                try:
                    reply = self._client.call(self._server, "transfer", args, at_most_once=False)
                except CallFailed:
                    self._pauses.clock.sleep(self._pauses.rng.uniform(0.5, 1.5))
                    continue
                return reply.value["done"]
            raise ConnectionLost("this client is closed")

    def balances(self) -> dict[str, int]:
        return self._client.call(self._server, "balances", at_most_once=False).value

    def close(self) -> None:
        self._closed = True
        self._client.close()
