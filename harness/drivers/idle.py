"""A node without student code: it listens and echoes raw bytes. For the harness's own tests and benchmarks."""

from __future__ import annotations

import socket
import threading
from typing import Any

from harness.drivers.program import Commands, Packages
from labkit import Context


def start(context: Context, packages: Packages) -> Commands:
    listener = context.network.listen()
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    files: dict[str, Any] = {}

    def append(name: str, data: bytes, sync: bool = True) -> int:
        file = files.setdefault(name, context.disk.open(name, create=True))
        offset: int = file.append(data)
        if sync:
            file.sync()
        return offset

    def read(name: str) -> bytes:
        file = context.disk.open(name)
        return file.pread(0, file.size())

    def exchange(peer: str, data: bytes, count: int) -> bytes:
        with context.network.connect(peer, 5.0) as sock:
            sock.sendall(data)
            got = bytearray()
            while len(got) < count:
                part = sock.recv(count - len(got))
                if not part:
                    break
                got += part
        return bytes(got)

    def show(text: str) -> None:
        print(text)

    def annotate(count: int) -> None:
        for number in range(count):
            context.annotate("counted", number=number)

    def die_in_thread(text: str) -> None:
        def die() -> None:
            raise RuntimeError(text)

        threading.Thread(target=die, daemon=True).start()

    return {
        "annotate": annotate,
        "die_in_thread": die_in_thread,
        "now": context.clock.now,
        "sleep": context.clock.sleep,
        "append": append,
        "read": read,
        "exchange": exchange,
        "print": show,
    }


def _accept(listener: socket.socket) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_echo, args=(sock,), daemon=True).start()


def _echo(sock: socket.socket) -> None:
    with sock:
        try:
            while data := sock.recv(1 << 16):
                sock.sendall(data)
        except OSError:
            pass  # the peer was killed: so be it
