"""Remote procedure calls that run at most once, over plain sockets.

Read in this order: `wire` and `stream` (part A: frames), `messages`, `retry`, `connections`, `client`,
`server` (part B: calls), `sessions` and `duplicates` (part C: at most once). Part D is `server` again, when
everything happens at once, `bounded_queue` and `fan_out`; part E `journal`, `ledger` and `bank`. The later labs use
only the names exported here.
"""

from rpc import wire
from rpc.client import Client
from rpc.messages import Reply
from rpc.retry import RetryPolicy
from rpc.server import Handler, Server

__all__ = ["Client", "Handler", "Reply", "RetryPolicy", "Server", "wire"]
