"""The master's calls to chunkservers, to several at once, and what their answers allow us to believe.

The methods may run more than once without harm, so they are best effort, and sent again soon. A call that
fails without a definite answer is UNKNOWN, and whoever made it has to live with both possibilities.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rpc import Client, RetryPolicy

from labkit import Context
from labkit.errors import CallFailed, NoSuchChunk, RemoteError

# About 7 s. A lease may take three such calls, and its client should still be waiting for the answer.
POLICY = RetryPolicy(first_timeout=1.0, factor=2.0, longest=4.0, attempts=3)

# Copying a chunk takes its time, and asking twice would not make it faster.
COPYING = RetryPolicy(first_timeout=60.0, longest=60.0, attempts=1)


class Answer(Enum):
    CONFIRMED = "it happened"
    REFUSED = "it surely did not happen"
    NO_REPLICA = "it did not happen, because the server has no replica of the chunk"
    UNKNOWN = "nobody knows"


@dataclass(frozen=True)
class Answers:
    """The answer of every server that was asked."""

    by_server: Mapping[str, Answer]

    def who(self, answer: Answer) -> set[str]:
        return {server for server, given in self.by_server.items() if given is answer}

    def and_of(self, server: str, answer: Answer) -> Answers:
        """These, and the answer of one more server."""
        return Answers({**self.by_server, server: answer})


class Chunkservers:
    """Methods of the catalogue (labkit/protocol.py), role CHUNKSERVER. Never call them with a lock held."""

    def __init__(self, context: Context) -> None:
        self._client = Client(context, POLICY)

    def create_chunk(self, servers: Collection[str], handle: int, version: int) -> Answers:
        return self._ask_all(servers, "create_chunk", {"handle": handle, "version": version})

    def advance_version(self, servers: Collection[str], handle: int, previous: int, version: int) -> Answers:
        args = {"handle": handle, "previous": previous, "version": version}
        return self._ask_all(servers, "advance_version", args)

    def grant_lease(
        self, server: str, handle: int, version: int, until: float, secondaries: Collection[str]
    ) -> Answer:
        args = {"handle": handle, "version": version, "until": until, "secondaries": sorted(secondaries)}
        return self._ask(server, "grant_lease", args)

    def revoke_lease(self, server: str, handle: int, version: int) -> Answer:
        return self._ask(server, "revoke_lease", {"handle": handle, "version": version})

    def clone_chunk(self, server: str, handle: int, version: int, source: str, *, final: bool) -> Answer:
        args = {"handle": handle, "version": version, "source": source, "final": final}
        return self._ask(server, "clone_chunk", args, COPYING)

    def copy_chunk(self, versions: Mapping[str, int], handle: int, copy: int) -> Answers:
        """`versions`: of the replica of `handle` on each server."""
        args = {
            server: {"handle": handle, "version": version, "copy": copy}
            for server, version in versions.items()
        }
        return self._ask_each("copy_chunk", args, COPYING)

    def close(self) -> None:
        self._client.close()

    def _ask_all(self, servers: Collection[str], method: str, args: Mapping[str, Any]) -> Answers:
        return self._ask_each(method, dict.fromkeys(servers, args), POLICY)

    def _ask_each(self, method: str, args: Mapping[str, Mapping[str, Any]], policy: RetryPolicy) -> Answers:
        answers = dict.fromkeys(sorted(args), Answer.UNKNOWN)

        def ask(server: str) -> None:
            answers[server] = self._ask(server, method, args[server], policy)

        in_parallel([lambda server=server: ask(server) for server in list(answers)])
        return Answers(answers)

    def _ask(self, server: str, method: str, args: Mapping[str, Any], policy: RetryPolicy = POLICY) -> Answer:
        try:
            self._client.call(server, method, args, at_most_once=False, policy=policy)
        except NoSuchChunk:
            return Answer.NO_REPLICA
        except (RemoteError, CallFailed) as error:
            return Answer.REFUSED if error.definite else Answer.UNKNOWN
        return Answer.CONFIRMED


def in_parallel(tasks: Collection[Callable[[], None]]) -> None:
    """Run all, each in a thread of its own, and return when all have ended."""
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
