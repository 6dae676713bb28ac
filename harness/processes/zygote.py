"""A warm, single-threaded process that forks nodes: about 2 ms a node instead of 60 ms for a fresh interpreter.

It holds what every node needs imported and nothing a node may change. Requests come over one socket, a node's
control socket with each spawn. It is the parent of every node and, as subreaper, of whatever a node leaves
behind, so that nothing outlives it: at the end of its socket (a clean close, or the harness was killed) it kills
all descendants and removes the session's directory.

Importing a program takes ten times as long as forking it. A nursery is a child of the zygote that has imported one, and
forks its nodes from then on, if the import is the same wherever it is done (see purity.py); if not, it ends at once,
and every node imports for itself.

Requests, msgpack maps, to either:
    {"op": "spawn", "spec": {…}} + one fd -> {"pid"}
    {"op": "status", "pid"} -> {"status"}
    {"op": "nursery", "packages", "roots", "bytecode"} + one fd -> {"pid"}; the nursery says {"ready"} itself, or ends
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, cast

from harness.processes import imports, linux, node
from harness.processes.output import BoundedOutput
from harness.processes.places import describe
from harness.processes.purity import watch_import
from labkit import codec

LONGEST_IMPORT = 5  # real seconds; what takes longer is no program for a nursery

# What programs are likely to import, so that no node has to. Of the standard library, so it is nobody's to change.
LIKELY = [
    "bisect",
    "concurrent.futures.thread",
    "hashlib",
    "heapq",
    "labkit.protocol",
    "logging",
    "queue",
    "secrets",
    "selectors",
    "string",
    "tempfile",
    "uuid",
]

# Bytes of memory a node may have of its own; none needs a tenth of it, and one that takes all there is would take the machine along.
MOST_MEMORY = 4 << 30

_LENGTH = struct.Struct(">I")


class _Children:
    """Every node ever forked: those that live, and how the others ended. Reaps on SIGCHLD."""

    def __init__(self) -> None:
        self.living: set[int] = set()
        self.statuses: dict[int, int] = {}
        signal.signal(signal.SIGCHLD, lambda number, frame: self.reap())

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid in self.living:
                    self.living.discard(pid)
                    self.statuses[pid] = os.waitstatus_to_exitcode(status)
        for orphan in set(linux.children()) - self.living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)  # a node is gone, but not what it had started

    def status(self, pid: int) -> int:
        while pid in self.living:
            signal.sigtimedwait([], 0.001)  # SIGCHLD is handled meanwhile
        return self.statuses[pid]


def main(socket_fd: int, session: str, kit: str) -> None:
    linux.adopt_orphans()
    # Not `die_with_parent`: a kill at once would leave the directory, and the end of the socket comes as surely.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    assert threading.active_count() == 1, "a zygote with threads cannot fork safely"
    sock = socket.socket(fileno=socket_fd)
    # What is mapped and written to counts, not what is only reserved: of that each thread has plenty.
    linux.bound(resource.RLIMIT_DATA, MOST_MEMORY)
    imports.hide_kit(kit)
    for module in LIKELY:
        import_module(module)
    # Some of what that needs Python imports only now, and a node may be out of files then.
    describe(OSError(), {})
    try:
        _serve(sock, prepared=False)
    finally:
        _kill_everything()
        shutil.rmtree(session, ignore_errors=True)


def _serve(sock: socket.socket, prepared: bool) -> None:
    """Fork what is asked for, until the socket ends. `prepared`: the program of all nodes is imported already."""
    gc.disable()
    gc.collect()
    gc.freeze()
    children = _Children()
    me = os.getpid()
    while request := _receive(sock):
        message, fds = request
        match message["op"]:
            case "spawn":
                spec = node.NodeSpec(**message["spec"])
                run = partial(node.main, spec, parent=me, prepared=prepared)
                _send(sock, {"pid": _fork(sock, children, run, fds[0])})
            case "nursery":
                run = partial(_nursery, message, parent=me)
                _send(sock, {"pid": _fork(sock, children, run, fds[0])})
            case _:
                _send(sock, {"status": children.status(message["pid"])})


def _nursery(message: dict[str, Any], sock: socket.socket, parent: int) -> None:
    """Runs in a forked child."""
    os.setsid()
    linux.die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    linux.adopt_orphans()
    sys.stdout = sys.stderr = cast(
        Any, BoundedOutput(2)
    )  # a module may keep it: a node puts its log behind it
    imports.restrict(message["roots"], message["bytecode"])
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LONGEST_IMPORT)
    for package in message["packages"]:  # each node looks by itself where it came from
        watch_import(partial(import_module, package), lambda what: os._exit(0))
    signal.alarm(0)
    _send(sock, {"ready": True})
    try:
        _serve(sock, prepared=True)
    finally:
        _kill_everything()


def _fork(sock: socket.socket, children: _Children, run: Callable[[socket.socket], None], end: int) -> int:
    """Run `run` in a child with its end of a socket; its process id."""
    # Until the new child is known to be one, a reap would take it for an orphan.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    pid = os.fork()
    if pid:
        children.living.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.close(end)
        return pid
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        sock.close()
        run(socket.socket(fileno=end))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


def _kill_everything() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while left := linux.children():
        for pid in left:
            _kill(pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    fds = array.array("i")
    data, ancillary, _, _ = sock.recvmsg(_LENGTH.size, socket.CMSG_SPACE(fds.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    if len(data) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(data)
    body = sock.recv(length, socket.MSG_WAITALL)
    return cast(dict[str, Any], codec.unpack(body)), list(fds)


def _send(sock: socket.socket, message: dict[str, Any]) -> None:
    data = codec.pack(message)
    sock.sendall(_LENGTH.pack(len(data)) + data)
