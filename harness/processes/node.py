"""What runs in a node's process, between the fork and the student's code.

The order matters: first the process is fenced in (own session, dies with its parent, output to its log, no
current directory, no kit on the path), then its Context is built, then its program is started. From then on a
control thread answers the harness. Everything that goes wrong is told to the harness in one event with the
place in the student's code, so that a test can fail with a sentence instead of a timeout.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.drivers import PROGRAMS, Commands
from harness.processes import imports, linux
from harness.processes.control import ControlClosed, ControlSocket, as_map
from harness.processes.crash_disk import CrashAt, CrashDisk
from harness.processes.output import BoundedOutput
from harness.processes.places import busiest, describe, standing
from harness.processes.proxied_network import ProxiedNetwork
from harness.processes.virtual_time import TimePage, VirtualClock
from labkit import Context, Limits

LARGEST_FILE = 1 << 30  # bytes one file of a node may have
THREAD_STACK = 512 * 1024  # a thousand threads must fit
MOST_LOGGED = 50  # different errors that a node logs and the harness hears of


@dataclass(frozen=True)
class NodeSpec:
    """Everything a node is started with; plain values, since it travels to the zygote."""

    name: str
    program: str
    config: Mapping[str, Any]
    limits: Mapping[str, Any]
    roots: Mapping[str, str]
    bytecode: str
    time_page: str
    slot: int
    proxy_port: int
    token: bytes
    disk: str
    disk_capacity: int
    scratch: str
    log: str
    seed: int
    crash_operation: int = 0
    crash_when: str = ""

    def to_wire(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Node:
    """The harness's side of a node's process; `_run` is its main thread."""

    def __init__(self, spec: NodeSpec, control: ControlSocket) -> None:
        self._spec = spec
        self._control = control
        self._clock = VirtualClock(TimePage(Path(spec.time_page)), spec.slot)
        crash_at = CrashAt(spec.crash_operation, spec.crash_when) if spec.crash_operation else None
        self._disk = CrashDisk(Path(spec.disk), spec.disk_capacity, crash_at)
        self._commands: Commands = {}

    def run(self) -> None:
        threading.excepthook = self._thread_ended
        logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
        logging.getLogger().addHandler(_ErrorsLogged(self._error_logged))
        threading.Thread(target=self._serve, name="harness control", daemon=True).start()
        spec = self._spec
        context = Context(
            name=spec.name,
            config=spec.config,
            clock=self._clock,
            disk=self._disk,
            network=ProxiedNetwork(spec.proxy_port, spec.token, self._clock, self._announce),
            rng=random.Random(spec.seed),
            limits=Limits.from_config(spec.limits),
            annotate=self._annotate,
        )
        phase = "import"
        try:
            program = PROGRAMS[spec.program]
            packages = {name: imports.import_package(name, spec.roots) for name in program.packages}
            phase = "start"
            self._commands = program.start(context, packages)
        except BaseException as error:  # SystemExit too: whatever it is, the harness hears of it
            self._tell({"event": "failed", "phase": phase, "error": describe(error, spec.roots)})
            os._exit(1)
        self._tell({"event": "ready"})
        while True:
            signal.pause()

    def _announce(self, port: int) -> None:
        self._tell({"event": "listening", "port": port})

    def _annotate(self, event: str, /, **facts: Any) -> None:
        self._tell({"event": "note", "what": event, "facts": facts, "time": self._clock.now()})

    def _thread_ended(self, ended: threading.ExceptHookArgs) -> None:
        """A thread of the student's has died of an exception: into the log, and to whoever wonders why nothing happens."""
        threading.__excepthook__(ended)
        if ended.exc_value is not None:
            self._tell({"event": "thread ended", "error": describe(ended.exc_value, self._spec.roots)})

    def _error_logged(self, error: BaseException) -> None:
        self._tell({"event": "error logged", "error": describe(error, self._spec.roots)})

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self._control.send(message)
        except ControlClosed:
            os._exit(1)  # the harness is gone

    def _serve(self) -> None:
        while True:
            try:
                request = self._control.receive()
            except ControlClosed:
                os._exit(0)
            match request:
                case {"command": "harness.wake"}:
                    self._clock.wake()
                case {"command": "harness.operations", "id": int(number)}:
                    listed = [dataclasses.asdict(one) for one in list(self._disk.operations)]
                    self._tell({"id": number, "value": listed})
                case {"command": "harness.crash_at", "id": int(number), "args": args}:
                    operation, when = int(as_map(args)["operation"]), str(as_map(args)["when"])
                    self._tell({"id": number, "value": self._disk.die_at(operation, when)})
                case {"command": "harness.busiest", "id": int(number)}:
                    self._tell({"id": number, "value": busiest(self._spec.roots)})
                case {"command": "harness.standing", "id": int(number)}:
                    self._tell({"id": number, "value": standing(self._spec.roots)})
                case {"command": "harness.leave_room", "id": int(number), "args": args}:
                    self._disk.leave_room(int(as_map(args)["free"]))
                    self._tell({"id": number, "value": None})
                case {"command": "harness.lose", "id": int(number), "args": args}:
                    self._disk.lose(str(as_map(args)["name"]))
                    self._tell({"id": number, "value": None})
                case {"command": str(name), "id": int(number), "args": args}:
                    arguments = as_map(args)
                    threading.Thread(
                        target=self._answer, args=(number, name, arguments), name=name, daemon=True
                    ).start()
                case _:
                    os._exit(1)

    def _answer(self, number: int, name: str, args: dict[str, Any]) -> None:
        command: Callable[..., Any] | None = self._commands.get(name)
        try:
            if command is None:
                raise LookupError(f"the program {self._spec.program} has no command {name}")
            answer: dict[str, Any] = {"id": number, "value": command(**args)}
            self._control.send(answer)
        except ControlClosed:
            os._exit(1)
        except BaseException as error:  # the student's: a SystemExit in a call fails that call
            self._tell({"id": number, "error": describe(error, self._spec.roots)})


class _ErrorsLogged(logging.Handler):
    """Tells of exceptions that the program has caught and logged; of each place in it once."""

    def __init__(self, tell: Callable[[BaseException], None]) -> None:
        super().__init__(logging.WARNING)
        self._report = tell
        self._known: set[tuple[type[BaseException], int]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return
        lines = [line for _, line in traceback.walk_tb(error.__traceback__)]
        known = (type(error), hash(tuple(lines)))
        if known not in self._known and len(self._known) < MOST_LOGGED:
            self._known.add(known)
            self._report(error)


def main(spec: NodeSpec, control: socket.socket, parent: int, prepared: bool) -> None:
    """Runs in the forked child and never returns. `prepared`: the program is imported already."""
    os.setsid()
    linux.die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGPIPE else signal.SIG_DFL)
    _redirect_output(spec.log)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    linux.bound(resource.RLIMIT_FSIZE, LARGEST_FILE)
    linux.take_all(resource.RLIMIT_NOFILE)  # a thousand connections must fit too
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    threading.stack_size(THREAD_STACK)
    os.chdir(spec.scratch)
    os.environ.clear()
    os.environ.update({"HOME": spec.scratch, "TMPDIR": spec.scratch, "PATH": os.defpath, "LANG": "C.UTF-8"})
    if not prepared:
        imports.restrict(spec.roots, spec.bytecode)
    random.seed(spec.seed)
    gc.enable()
    Node(spec, ControlSocket(control)).run()


def _redirect_output(log: str) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    if not isinstance(sys.stdout, BoundedOutput):
        sys.stdout = sys.stderr = cast(Any, BoundedOutput(2))
