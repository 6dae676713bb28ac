"""The harness's end of a zygote, of its nurseries, and of every node they fork.

A Session owns one zygote and one temporary directory; closing it, or dying, takes everything down. A NodeProcess
is one life of one node: it ends when the process does, and a restart makes a new one.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import resource
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
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from harness.drivers import PROGRAMS
from harness.failures import HarnessFault
from harness.patience import Deadline
from harness.processes import linux
from harness.processes.control import ControlClosed, ControlSocket
from harness.processes.node import NodeSpec
from harness.processes.quiet import Threads
from labkit import codec

NURSERY_PATIENCE = 15.0  # real seconds, longer than it gives itself

KIT = Path(__file__).resolve().parents[2]

_LENGTH = struct.Struct(">I")
_Program = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]  # packages, and where they come from
_START = "import sys; sys.path.insert(0, {kit!r}); from harness.processes import zygote; zygote.main({fd}, {session!r}, {kit!r})"


class Forker:
    """A process that forks nodes, a zygote or a nursery: its end of a socket. Thread-safe."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self._sock = sock
        self._pid = pid
        self._lock = threading.Lock()

    def spawn(self, spec: NodeSpec, on_event: Callable[[dict[str, Any]], None]) -> NodeProcess:
        """Fork a node; returns at once, before its program has started."""
        pid, ours = self.fork({"op": "spawn", "spec": spec.to_wire()})
        return NodeProcess(self, spec.name, pid, ControlSocket(ours), on_event)

    def fork(self, request: dict[str, Any]) -> tuple[int, socket.socket]:
        """Ask for a child with a socket to it: its process id, and our end."""
        ours, theirs = socket.socketpair()
        try:
            pid = int(self._ask(request, [theirs.fileno()])["pid"])
            # A nursery has run a student's code. Whatever that has made of it, only its own children are nodes.
            if linux.parent(pid) not in (self._pid, None):
                raise HarnessFault(f"the process that starts nodes has not started {pid}")
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return pid, ours

    def status(self, pid: int) -> int:
        """Exit code of a node that has ended; negative: the signal."""
        return int(self._ask({"op": "status", "pid": pid}, [])["status"])

    def await_ready(self, seconds: float) -> bool:
        """Whether it says that it is ready, after at most so many real seconds."""
        self._sock.settimeout(seconds)
        try:
            return "ready" in self._answer()
        except (OSError, ValueError, ControlClosed):
            return False
        finally:
            self._sock.settimeout(None)

    def close(self) -> None:
        """It ends, and so do all that it has forked."""
        self._sock.close()

    def _ask(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        data = codec.pack(request)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with self._lock:
            try:
                self._sock.sendmsg([_LENGTH.pack(len(data))], rights)
                self._sock.sendall(data)
                return self._answer()
            except (OSError, ValueError, ControlClosed) as error:
                raise HarnessFault(f"the process that starts nodes is gone ({error})") from error

    def _answer(self) -> dict[str, Any]:
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return cast(dict[str, Any], codec.unpack(self._exactly(length)))

    def _exactly(self, count: int) -> bytes:
        data = self._sock.recv(count, socket.MSG_WAITALL)
        if len(data) < count:
            raise ControlClosed("end of stream")
        return data


class Session:
    """A zygote, its nurseries, and their directory. Thread-safe.

    `start_patience` and `rest_patience`: seconds of patience for a node to start, and for all to have nothing left to do;
    `most_effort`: seconds of the processor that a node may need meanwhile; `effort_share`: of the patience for an answer, how
    much of it. Whoever has waited in vain makes them less: an endless loop shall not cost as much in every test.
    """

    def __init__(self) -> None:
        linux.take_all(resource.RLIMIT_NOFILE)  # a cluster's nodes have a hundred threads
        self.start_patience = 10.0
        self.rest_patience = 10.0
        self.most_effort = 2.0  # the reference needs a fortieth of it, in any graded test
        self.effort_share = 0.25  # the reference needs a sixteenth of it
        self.directory = Path(tempfile.mkdtemp(prefix="labkit-"))
        self.bytecode = self.directory / "bytecode"
        self._lock = threading.Lock()
        self._spawned: Counter[_Program] = Counter()
        self._nurseries: dict[_Program, Forker | None] = {}  # None: this program needs none, or can have none
        ours, theirs = socket.socketpair()
        code = _START.format(kit=str(KIT), fd=theirs.fileno(), session=str(self.directory))
        # -I: neither the environment nor a current directory has a say in what the zygote imports.
        command = [sys.executable, "-I", "-c", code]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], start_new_session=True, stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._zygote = Forker(ours, self._process.pid)

    def spawn(self, spec: NodeSpec, on_event: Callable[[dict[str, Any]], None]) -> NodeProcess:
        """Fork a node; returns at once, before its program has started."""
        return self._forker(spec).spawn(spec, on_event)

    @property
    def nurseries(self) -> list[Forker]:
        """Those that there are."""
        return [nursery for nursery in self._nurseries.values() if nursery is not None]

    def close(self) -> None:
        """Kill all nodes, remove the directory. Takes a few milliseconds."""
        for nursery in self.nurseries:
            nursery.close()
        self._zygote.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _forker(self, spec: NodeSpec) -> Forker:
        """Who is to fork this node: the nursery of its program, from the second of its kind on."""
        packages = PROGRAMS[spec.program].packages
        program = packages, tuple(spec.roots.items())
        with self._lock:
            self._spawned[program] += 1
            if packages and self._spawned[program] > 1 and program not in self._nurseries:
                self._nurseries[program] = self._make_nursery(spec, packages)
            return self._nurseries.get(program) or self._zygote

    def _make_nursery(self, spec: NodeSpec, packages: tuple[str, ...]) -> Forker | None:
        request = {"op": "nursery", "packages": packages, "roots": spec.roots, "bytecode": spec.bytecode}
        pid, ours = self._zygote.fork(request)
        nursery = Forker(ours, pid)
        if nursery.await_ready(NURSERY_PATIENCE):
            return nursery
        nursery.close()
        return None


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

    @property
    def said(self) -> str:
        """What came of it, as a person reads it: what was returned or raised; empty while nothing was."""
        message = self.message
        if message is None:
            return ""
        error: Any = message.get("error")
        if isinstance(error, dict):
            raised = cast(dict[str, Any], error)
            return f"it raised {raised.get('type')}: {raised.get('message')}"
        return f"it returned {message.get('value')!r}"


class NodeProcess:
    """One running process of a node. `exited` is set once it is gone and its sockets are closed."""

    def __init__(
        self,
        forker: Forker,
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
        self._forker = forker
        self._control = control
        self._on_event = on_event
        try:
            self._pidfd = linux.pidfd_open(pid)
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
                linux.pidfd_send_signal(self._pidfd, number)

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
        return self._forker.status(self.pid)

    def __del__(self) -> None:
        # Not earlier: a closed descriptor's number may already mean something else.
        if self._pidfd >= 0:
            os.close(self._pidfd)

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
        self.threads.close()
        self.exited.set()
        with self._lock:
            orphaned, self._pending = list(self._pending.values()), {}
        for pending in orphaned:
            pending.settle(None)
        self._on_event({"event": "exited"})
