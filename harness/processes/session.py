"""The harness's end of a zygote, and of every node it forks.

A Session owns one zygote and one temporary directory; closing it, or dying, takes everything down. A NodeProcess
is one life of one node: it ends when the process does, and a restart makes a new one.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from harness.failures import HarnessFault
from harness.patience import Deadline
from harness.processes.control import ControlClosed, ControlSocket
from harness.processes.node import NodeSpec
from harness.processes.quiet import Threads
from labkit import codec

KIT = Path(__file__).resolve().parents[2]

_LENGTH = struct.Struct(">I")
_START = "import sys; sys.path.insert(0, {kit!r}); from harness.processes import zygote; zygote.main({fd}, {session!r}, {kit!r})"


class Session:
    """A zygote and its directory. Thread-safe. `start_patience`: seconds of patience for the start of a node."""

    def __init__(self) -> None:
        self.start_patience = 10.0
        self.directory = Path(tempfile.mkdtemp(prefix="labkit-"))
        self.bytecode = self.directory / "bytecode"
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        self._sock = ours
        code = _START.format(kit=str(KIT), fd=theirs.fileno(), session=str(self.directory))
        # -I: neither the environment nor a current directory has a say in what the zygote imports.
        command = [sys.executable, "-I", "-c", code]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], start_new_session=True, stdin=subprocess.DEVNULL
        )
        theirs.close()

    def spawn(self, spec: NodeSpec, on_event: Callable[[dict[str, Any]], None]) -> NodeProcess:
        """Fork a node; returns at once, before its program has started."""
        ours, theirs = socket.socketpair()
        try:
            answer = self._ask({"op": "spawn", "spec": spec.to_wire()}, [theirs.fileno()])
        finally:
            theirs.close()
        return NodeProcess(self, spec.name, int(answer["pid"]), ControlSocket(ours), on_event)

    def status(self, pid: int) -> int:
        """Exit code of a node that has ended; negative: the signal."""
        return int(self._ask({"op": "status", "pid": pid})["status"])

    def close(self) -> None:
        """Kill all nodes, remove the directory. Takes a few milliseconds."""
        self._sock.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _ask(self, request: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
        data = codec.pack(request)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with self._lock:
            try:
                self._sock.sendmsg([_LENGTH.pack(len(data))], rights)
                self._sock.sendall(data)
                (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
                return cast(dict[str, Any], codec.unpack(self._exactly(length)))
            except (OSError, ValueError, ControlClosed) as error:
                raise HarnessFault(f"the process that starts nodes is gone ({error})") from error

    def _exactly(self, count: int) -> bytes:
        data = self._sock.recv(count, socket.MSG_WAITALL)
        if len(data) < count:
            raise ControlClosed("end of stream")
        return data


class Pending:
    """The answer to a command, some time."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.message: dict[str, Any] | None = None
        self._done = threading.Event()

    def settle(self, message: dict[str, Any] | None) -> None:
        self.message = message
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has come, after at most so many seconds of patience."""
        return Deadline(seconds).wait(self._done)

    @property
    def done(self) -> bool:
        return self._done.is_set()


class NodeProcess:
    """One running process of a node. `exited` is set once it is gone and its sockets are closed."""

    def __init__(
        self,
        session: Session,
        name: str,
        pid: int,
        control: ControlSocket,
        on_event: Callable[[dict[str, Any]], None],
    ) -> None:
        self.name = name
        self.pid = pid
        self.exited = threading.Event()
        self.gone = False
        self.threads = Threads(pid)
        self._session = session
        self._control = control
        self._on_event = on_event
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # dead and reaped already
            self._pidfd, self.gone = -1, True
        self._numbers = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name=f"control of {name}", daemon=True)
        self._reader.start()

    def send(self, command: str, args: Mapping[str, Any] | None = None) -> Pending:
        """Give a command; the answer's `message` stays None when the process dies first."""
        pending = Pending(command)
        number = next(self._numbers)
        with self._lock:
            self._pending[number] = pending
        try:
            self._control.send({"id": number, "command": command, "args": dict(args or {})})
        except ControlClosed:
            pending.settle(None)
        if self.exited.is_set():
            pending.settle(pending.message)
        return pending

    def wake(self) -> None:
        with contextlib.suppress(ControlClosed):
            self._control.send({"command": "harness.wake"})

    def signal(self, number: int) -> None:
        if not self.gone:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """SIGKILL to the node and its process group; returns when it is gone and its sockets are closed."""
        if not self.gone:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self.signal(signal.SIGKILL)
            self.wait_gone(10.0)

    def wait_gone(self, seconds: float) -> bool:
        """Wait for the process to end; whether it has in time."""
        if not self.gone:
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            self.gone = bool(poller.poll(int(seconds * 1000)))
        return self.gone

    def exit_code(self) -> int:
        """Of a process that has gone; negative: the signal that killed it."""
        return self._session.status(self.pid)

    def __del__(self) -> None:
        # Not earlier: a closed descriptor's number may already mean something else.
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self.threads.close()

    def _read(self) -> None:
        try:
            while True:
                message = self._control.receive()
                number = message.get("id")
                if isinstance(number, int):
                    with self._lock:
                        pending = self._pending.pop(number, None)
                    if pending is not None:
                        pending.settle(message)
                else:
                    self._on_event(message)
        except ControlClosed:
            pass  # the node is gone, or as good as gone
        self._end()

    def _end(self) -> None:
        deadline = time.monotonic() + 10
        while not self.wait_gone(0.2) and time.monotonic() < deadline:
            self.signal(signal.SIGKILL)  # it closed its control socket: it is of no use any more
        self._control.close()
        self.exited.set()
        with self._lock:
            orphaned, self._pending = list(self._pending.values()), {}
        for pending in orphaned:
            pending.settle(None)
        self._on_event({"event": "exited"})
