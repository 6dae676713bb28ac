"""The least that other libraries need for a null call: `serve` in a child, and a `call` of no consequence.

Each connects once and keeps its connection, as the reference does. A library that is not installed is absent: the
`bench` extra brings them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.children import Serve

Call = Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """`module` has to be installed; `target` is what reference calls a second / this one's has to be at least."""

    name: str
    module: str
    serve: Serve
    connect: Callable[[int], Call]
    target: float
    calls: int  # in one measurement, so that each takes about as long

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


def echo(value: Any) -> Any:
    return value


def echo_bytes(request: bytes, context: object) -> bytes:
    return request


# ---- multiprocessing.connection


def serve_connection(report: Callable[[int], None]) -> None:
    connection: Any = importlib.import_module("multiprocessing.connection")
    with connection.Listener(("127.0.0.1", 0)) as listener:
        report(listener.address[1])
        client = listener.accept()
        while True:
            _, args = client.recv()
            client.send(args["value"])


def connect_connection(port: int) -> Call:
    connection: Any = importlib.import_module("multiprocessing.connection")
    client = connection.Client(("127.0.0.1", port))

    def call() -> object:
        client.send(("echo", {"value": 1}))
        return client.recv()

    return call


# ---- xmlrpc


def serve_xmlrpc(report: Callable[[int], None]) -> None:
    xmlrpc: Any = importlib.import_module("xmlrpc.server")
    handler = type(
        "Handler",
        (xmlrpc.SimpleXMLRPCRequestHandler,),
        {"protocol_version": "HTTP/1.1", "disable_nagle_algorithm": True},
    )
    server = xmlrpc.SimpleXMLRPCServer(("127.0.0.1", 0), requestHandler=handler, logRequests=False)
    server.register_function(echo, "echo")
    report(server.server_address[1])
    server.serve_forever()


def connect_xmlrpc(port: int) -> Call:
    xmlrpc: Any = importlib.import_module("xmlrpc.client")
    proxy = xmlrpc.ServerProxy(f"http://127.0.0.1:{port}")
    return lambda: proxy.echo(1)


# ---- Pyro5, with its msgpack serializer


def serve_pyro(report: Callable[[int], None]) -> None:
    pyro: Any = importlib.import_module("Pyro5.api")

    class Echo:
        @pyro.expose
        def echo(self, value: object) -> object:
            return value

    daemon = pyro.Daemon(host="127.0.0.1", port=0)
    daemon.register(Echo(), "echo")
    report(int(daemon.locationStr.rpartition(":")[2]))
    daemon.requestLoop()


def connect_pyro(port: int) -> Call:
    pyro: Any = importlib.import_module("Pyro5.api")
    pyro.config.SERIALIZER = "msgpack"
    proxy = pyro.Proxy(f"PYRO:echo@127.0.0.1:{port}")
    return lambda: proxy.echo(1)


# ---- rpyc


def serve_rpyc(report: Callable[[int], None]) -> None:
    rpyc: Any = importlib.import_module("rpyc")
    threaded: Any = importlib.import_module("rpyc.utils.server")
    service = type("Echo", (rpyc.Service,), {"exposed_echo": staticmethod(echo)})
    server = threaded.ThreadedServer(service, hostname="127.0.0.1", port=0)
    report(server.port)
    server.start()


def connect_rpyc(port: int) -> Call:
    rpyc: Any = importlib.import_module("rpyc")
    connection = rpyc.connect("127.0.0.1", port)
    echo = connection.root.echo
    return lambda: echo(1)


# ---- grpcio, without generated code: bytes there and back


def serve_grpc(report: Callable[[int], None]) -> None:
    grpc: Any = importlib.import_module("grpc")
    futures: Any = importlib.import_module("concurrent.futures")
    method = grpc.unary_unary_rpc_method_handler(echo_bytes)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench", {"echo": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    report(port)
    server.wait_for_termination()


def connect_grpc(port: int) -> Call:
    grpc: Any = importlib.import_module("grpc")
    echo = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/bench/echo")
    return lambda: echo(b"1")


PEERS = (
    Peer("multiprocessing.connection", "multiprocessing", serve_connection, connect_connection, 1.0, 3000),
    Peer("Pyro5 + msgpack", "Pyro5", serve_pyro, connect_pyro, 2.0, 1500),
    Peer("rpyc", "rpyc", serve_rpyc, connect_rpyc, 2.0, 1500),
    Peer("grpcio", "grpc", serve_grpc, connect_grpc, 10.0, 300),
    Peer("xmlrpc", "xmlrpc", serve_xmlrpc, connect_xmlrpc, 1.0, 300),
)
