"""A warm, single-threaded process that forks nodes: about 2 ms a node instead of 60 ms for a fresh interpreter.

It holds what every node needs imported and nothing a node may change. Requests come over one socket, a node's
control socket with each spawn. It is the parent of every node and, as subreaper, of whatever a node leaves
behind, so that nothing outlives it: at the end of its socket (a clean close, or the harness was killed) it kills
all descendants and removes the session's directory.

Requests, msgpack maps:  {"op": "spawn", "spec": {…}} + one fd -> {"pid"}    {"op": "status", "pid"} -> {"status"}
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import shutil
import signal
import socket
import struct
import threading
import traceback
from typing import Any, cast

from harness.processes import imports, linux, node
from labkit import codec

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
    imports.hide_kit(kit)
    gc.disable()
    gc.collect()
    gc.freeze()
    children = _Children()
    try:
        while request := _receive(sock):
            message, fds = request
            if message["op"] == "spawn":
                _send(sock, {"pid": _spawn(sock, message["spec"], fds[0], children)})
            else:
                _send(sock, {"status": children.status(message["pid"])})
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _kill_everything()
        shutil.rmtree(session, ignore_errors=True)


def _spawn(sock: socket.socket, spec: dict[str, Any], control_fd: int, children: _Children) -> int:
    zygote = os.getpid()
    # Until the new node is known to be one, a reap would take it for an orphan.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    pid = os.fork()
    if pid:
        children.living.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.close(control_fd)
        return pid
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        sock.close()
        node.main(node.NodeSpec(**spec), socket.socket(fileno=control_fd), zygote)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


def _kill_everything() -> None:
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
