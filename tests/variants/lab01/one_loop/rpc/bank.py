"""Every transfer is a line of JSON behind its checksum, in a file of such lines."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Mapping
from typing import Any

from rpc.client import Client
from rpc.server import Server

from labkit import Context
from labkit.errors import BadArguments, CallFailed, ConnectionLost, OutOfOrder

FILE = "bank.log"


class Bank:
    def __init__(self, context: Context, opening: Mapping[str, int]) -> None:
        self._money = dict(opening)
        self._answers: dict[int, tuple[int, bool]] = {}
        self._lock = threading.Lock()
        self._file = context.disk.open(FILE, create=True)
        self._recover()
        self._server = Server(context, {"transfer": self._transfer, "balances": self._balances})

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def _recover(self) -> None:
        data = self._file.pread(0, self._file.size())
        good = 0
        for line in data.splitlines(keepends=True):
            check, _, text = line.partition(b" ")
            if not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(text):
                break
            self._apply(*json.loads(text))
            good += len(line)
        self._good = good  # up to here the file is lines that count
        if good < len(data):
            self._file.truncate(good)
        self._file.sync()

    def _apply(self, client: int, number: int, source: str, target: str, amount: int, done: bool) -> None:
        if done:
            self._money[source] -= amount
            self._money[target] += amount
        self._answers[client] = number, done

    def _transfer(self, request: list[int], source: str, target: str, amount: int) -> dict[str, Any]:
        if not isinstance(request, list) or len(request) != 2:
            raise BadArguments("who asks?")
        client, number = request
        if (
            {source, target} - set(self._money)
            or source == target
            or not isinstance(amount, int)
            or amount < 1
        ):
            raise BadArguments(f"{amount} from {source} to {target}?")
        with self._lock:
            last, done = self._answers.get(client, (0, False))
            if number < last:
                raise OutOfOrder(f"{last} was answered meanwhile", definite=False)
            if number > last:
                done = self._money[source] >= amount
                entry = [client, number, source, target, amount, done]
                text = json.dumps(entry).encode() + b"\n"
                line = b"%08x " % zlib.crc32(text) + text
                if self._file.size() > self._good:  # left by a write that failed
                    self._file.truncate(self._good)
                self._file.append(line)
                self._file.sync()
                self._good += len(line)
                self._apply(client, number, source, target, amount, done)
            return {"done": done}

    def _balances(self) -> dict[str, Any]:
        with self._lock:
            return dict(self._money)


class BankClient:
    def __init__(self, context: Context, server: str) -> None:
        self._client = Client(context)
        self._server = server
        self._name = context.rng.getrandbits(60)
        self._count = 0
        self._lock = threading.Lock()
        self._closed = False

    def transfer(self, source: str, target: str, amount: int) -> bool:
        with self._lock:
            self._count += 1
            args = {
                "amount": amount,
                "source": source,
                "target": target,
                "request": [self._name, self._count],
            }
            while not self._closed:
                try:
                    return self._client.call(self._server, "transfer", args, at_most_once=False).value["done"]
                except CallFailed:
                    pass
            raise ConnectionLost("closed")

    def balances(self) -> dict[str, int]:
        return self._client.call(self._server, "balances", at_most_once=False).value

    def close(self) -> None:
        self._closed = True
        self._client.close()
