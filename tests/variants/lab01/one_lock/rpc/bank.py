"""One file of JSON that holds everything; a new one takes its place with every transfer."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from labkit import Context
from labkit.errors import BadArguments, CallFailed, ConnectionLost, OutOfOrder
from rpc.client import Client
from rpc.server import Server

BOOK, DRAFT = "book.json", "book.json.draft"


class Bank:
    def __init__(self, context: Context, opening: Mapping[str, int]) -> None:
        self._disk = context.disk
        self._lock = threading.Lock()
        self._book: dict[str, Any] = {"accounts": dict(opening), "requests": {}}
        if self._disk.exists(BOOK):
            file = self._disk.open(BOOK)
            self._book = json.loads(file.pread(0, file.size()))
            file.close()
        self._server = Server(context, {"transfer": self._transfer, "balances": self._balances})

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def _transfer(self, request: list[int], source: str, target: str, amount: int) -> dict[str, Any]:
        if [type(part) for part in request] != [int, int]:
            raise BadArguments
        client, number = request
        with self._lock:
            accounts, requests = dict(self._book["accounts"]), dict(self._book["requests"])
            last = requests.get(f"{client}", {"number": 0})
            if number < last["number"]:
                raise OutOfOrder(definite=False)
            if number == last["number"]:
                return {"done": last["done"]}
            if not (source in accounts and target in accounts and source != target):
                raise BadArguments
            if not isinstance(amount, int) or amount < 1:
                raise BadArguments
            done = accounts[source] >= amount
            if done:
                accounts[source], accounts[target] = accounts[source] - amount, accounts[target] + amount
            requests[f"{client}"] = {"number": number, "done": done}
            self._replace({"accounts": accounts, "requests": requests})
            return {"done": done}

    def _replace(self, book: dict[str, Any]) -> None:
        file = self._disk.open(DRAFT, create=True)
        try:
            file.truncate(0)
            file.pwrite(0, json.dumps(book).encode())
            file.sync()
        finally:
            file.close()
        self._disk.replace(DRAFT, BOOK)
        self._book = book

    def _balances(self) -> dict[str, Any]:
        return self._book["accounts"]


class BankClient:
    def __init__(self, context: Context, server: str) -> None:
        self._client = Client(context)
        self._server = server
        self._id, self._number = context.rng.getrandbits(53), 0
        self._lock = threading.Lock()
        self._open = True

    def transfer(self, source: str, target: str, amount: int) -> bool:
        with self._lock:
            self._number += 1
            while self._open:
                args = {
                    "source": source,
                    "target": target,
                    "amount": amount,
                    "request": [self._id, self._number],
                }
                try:
                    return self._client.call(self._server, "transfer", args, at_most_once=False).value["done"]
                except CallFailed:
                    continue
            raise ConnectionLost

    def balances(self) -> dict[str, int]:
        return self._client.call(self._server, "balances", at_most_once=False).value

    def close(self) -> None:
        self._open = False
        self._client.close()
