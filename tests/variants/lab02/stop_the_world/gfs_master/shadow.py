"""A shadow: it asks for the file of the master's state, from where it is."""

from __future__ import annotations

import threading
from typing import Any

from gfs_master.generations import Builder, whole
from rpc import Client, RetryPolicy, Server

from labkit import Context
from labkit.errors import LabError

ONCE = RetryPolicy(first_timeout=2.0, factor=1.0, longest=2.0, attempts=1, jitter=0.0)


class Shadow:
    def __init__(self, context: Context) -> None:
        self._context, self._client = context, Client(context)
        self._changed = threading.Condition()
        self._shown = Builder()
        self._building = self._shown
        self._file, self._position = "", 0
        self._stopped = False
        self._server = Server(context, {"list": self.list, "stat": self.stat})

    def start(self) -> None:
        self._server.start()
        threading.Thread(target=self._follow, daemon=True).start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._client.close()
        self._server.stop()

    def stat(self, path: str) -> dict[str, Any]:
        with self._changed:
            return {"chunks": len(self._shown.state.namespace.file(path).chunks)}

    def list(self, path: str) -> dict[str, Any]:
        with self._changed:
            return {"paths": self._shown.state.namespace.list(path)}

    def catch_up(self) -> bool:
        args = {"file": self._file, "position": self._position}
        master = str(self._context.config["master"])
        reply = self._client.call(master, "follow", args, at_most_once=False, policy=ONCE)
        with self._changed:
            if reply.value["file"] != self._file or reply.value["position"] != self._position:
                self._file, self._position = reply.value["file"], 0
                self._building = Builder()
            moved = 0
            for record, moved in whole(bytes(reply.payload)):  # noqa: B007
                self._building.take(record)
            self._position += moved
            if self._building.whole:
                self._shown = self._building
        return moved > 0

    def _follow(self) -> None:
        while not self._stopped:
            try:
                if self.catch_up():
                    continue
            except LabError:
                pass
            with self._changed:
                self._context.clock.wait_for(
                    self._changed, lambda: self._stopped, self._context.limits.heartbeat / 2
                )


def start_shadow(context: Context) -> Shadow:
    shadow = Shadow(context)
    shadow.start()
    return shadow
