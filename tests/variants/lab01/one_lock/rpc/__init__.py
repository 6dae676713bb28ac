"""At most once, under one lock."""

from rpc import wire
from rpc.client import Client
from rpc.retry import RetryPolicy
from rpc.server import Handler, Server
from rpc.wire import Reply

__all__ = ["Client", "Handler", "Reply", "RetryPolicy", "Server", "wire"]
