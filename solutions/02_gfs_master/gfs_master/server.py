"""The master's node: its methods on the wire, its threads, start and stop. Glue: nothing is decided here."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast

from rpc import Reply, Server

from gfs_master.chunkservers import Chunkservers
from gfs_master.creation import Creation
from gfs_master.files import Files
from gfs_master.granting import Granting
from gfs_master.heartbeats import Heartbeats
from gfs_master.locks import PathLocks
from gfs_master.metadata import Metadata
from gfs_master.namespace import check_path
from gfs_master.oplog import LogBroken
from gfs_master.rereplication import Rereplication
from gfs_master.snapshot import Snapshots
from labkit import Context
from labkit.errors import BadArguments

LOOKS_PER_HEARTBEAT = 5


class Master:
    """A running master. Methods named as in the catalogue (labkit/protocol.py) are its handlers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._metadata = Metadata(context)
        self._chunkservers = Chunkservers(context)
        locks = PathLocks()
        self._files = Files(self._metadata, locks)
        self._creation = Creation(context, self._metadata, self._chunkservers, locks)
        self._granting = Granting(context, self._metadata, self._chunkservers)
        self._snapshots = Snapshots(self._metadata, self._granting, locks)
        self._rereplication = Rereplication(context, self._metadata, self._granting, self._chunkservers)
        self._heartbeats = Heartbeats(context, self._metadata, self._granting)
        self._stopped = False
        self._stopping = threading.Condition()
        self._threads: list[threading.Thread] = []
        methods = (
            self.create,
            self.mkdir,
            self.delete,
            self.rename,
            self.snapshot,
            self.stat,
            self.list,
            self.lookup,
            self.allocate,
            self.lease,
            self.register,
            self.heartbeat,
            self.follow,
        )
        self._server = Server(context, {method.__name__: method for method in methods})

    def start(self) -> None:
        """Serve; from part D on, also make checkpoints; from part E on, also look after servers, leases and chunks, now
        and then."""
        # lab 2 part A: start the server; part D: a thread that makes a checkpoint when `log_is_long`; part E: each
        # look-around in a thread of its own, on the clock, until stop()
        self._server.start()
        self._spawn(self._checkpoints)
        pause = self._context.limits.heartbeat / LOOKS_PER_HEARTBEAT
        for action in (
            self._heartbeats.find_dead,
            self._heartbeats.revoke_unwanted,
            self._heartbeats.reclaim,
            self._rereplication.look,
        ):
            self._spawn(lambda action=action: self._every(pause, action))

    def stop(self) -> None:
        """Stop answering, and end all threads."""
        with self._stopping:
            self._stopped = True
            self._stopping.notify_all()
        self._metadata.log_is_long.set()
        self._server.stop()
        self._chunkservers.close()
        for thread in self._threads:
            thread.join(5.0)
        self._rereplication.stop()
        self._metadata.close()

    # ---- asked by clients

    def create(self, path: str) -> dict[str, Any]:
        """Files.create. Durable when it returns, like all below."""
        self._files.create(path)
        return {}

    def mkdir(self, path: str) -> dict[str, Any]:
        """Files.make_directory."""
        self._files.make_directory(path)
        return {}

    def delete(self, path: str) -> dict[str, Any]:
        """Files.delete."""
        return {"hidden": self._files.delete(path)}

    def rename(self, source: str, target: str) -> dict[str, Any]:
        """Files.rename."""
        self._files.rename(source, target)
        return {}

    def snapshot(self, source: str, target: str) -> dict[str, Any]:
        """Snapshots.snapshot."""
        self._snapshots.snapshot(source, target)
        return {}

    def stat(self, path: str) -> dict[str, Any]:
        """Files.chunks."""
        return {"chunks": self._files.chunks(path)}

    def list(self, path: str) -> dict[str, Any]:
        """Files.list."""
        return {"paths": self._files.list(path)}

    def lookup(self, path: str, index: int) -> dict[str, Any]:
        """Where the chunk at an index is. Errors of Namespace.handle_at; BadArguments."""
        # lab 2 part B: Namespace.handle_at, Metadata.location
        with self._metadata.section():
            namespace = self._metadata.state.namespace
            return self._metadata.location(namespace.handle_at(path, _integer(index)))

    def allocate(self, path: str, index: int) -> dict[str, Any]:
        """The same, the chunk made first if it is the next. Errors of Creation.allocate; BadArguments."""
        # lab 2 part B: Creation
        return self._creation.allocate(check_path(path), _integer(index))

    def lease(self, handle: int) -> dict[str, Any]:
        """Who is primary of a chunk. Errors of Granting.lease; BadArguments."""
        # lab 2 part C: Granting
        return self._granting.lease(_integer(handle))

    # ---- asked by chunkservers

    def register(self, name: str, sent: float, chunks: Any, used: int, rack: str) -> dict[str, Any]:
        """Heartbeats.register, once the arguments are known to be what they should be."""
        stored = dict(_pairs(chunks))
        return self._heartbeats.register(_text(name), _moment(sent), stored, _integer(used), _text(rack))

    def heartbeat(
        self, name: str, sent: float, chunks: Any, damaged: Any, leases: Any, used: int
    ) -> dict[str, Any]:
        """Heartbeats.heartbeat, likewise."""
        stored = dict(_pairs(chunks))
        handles = [_integer(handle) for handle in _items(damaged)]
        claims = list(_pairs(leases))
        used = _integer(used)
        return self._heartbeats.heartbeat(_text(name), _moment(sent), stored, handles, claims, used)

    # ---- asked by shadows

    def follow(self, file: str, position: int) -> Reply:
        """What comes next in the durable log, as far as one answer carries it."""
        # lab 2 part F: Metadata.ship
        if _integer(position) < 0:
            raise BadArguments(f"{position} is no position in a log")
        file, position, data = self._metadata.ship(_text(file), position)
        return Reply({"file": file, "position": position}, data)

    # ---- threads

    def _spawn(self, body: Callable[[], None]) -> None:
        # lab 2 part A
        thread = threading.Thread(target=body, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _every(self, seconds: float, action: Callable[[], None]) -> None:
        # lab 2 part E
        while True:
            with self._stopping:
                if self._context.clock.wait_for(self._stopping, lambda: self._stopped, seconds):
                    return
            try:
                action()
            except LogBroken as error:
                self._context.annotate("log_broken", why=str(error))
                return

    def _checkpoints(self) -> None:
        # lab 2 part D
        while True:
            self._metadata.log_is_long.wait()
            if self._stopped:
                return
            try:
                self._metadata.checkpoint()
            except LogBroken as error:
                self._context.annotate("log_broken", why=str(error))
                return
            except OSError as error:
                self._context.annotate("no_checkpoint", why=str(error))


def start(context: Context) -> Master:
    """A master that has recovered what its disk holds and answers calls."""
    master = Master(context)
    master.start()
    return master


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise BadArguments(f"{value!r} should be an integer")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadArguments(f"{value!r} should be a string")
    return value


def _moment(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise BadArguments(f"{value!r} is no time")
    return value


def _items(value: Any) -> Iterable[Any]:
    if not isinstance(value, list):
        raise BadArguments(f"{value!r} should be a list")
    return cast("list[Any]", value)


def _pairs(value: Any) -> Iterable[tuple[int, int]]:
    for item in _items(value):
        match item:
            case [int(handle), int(version)]:
                yield handle, version
            case _:
                raise BadArguments(f"{item!r} should be a pair of integers")
