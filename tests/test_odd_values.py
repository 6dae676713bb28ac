"""Code that answers, asks or returns something of another kind than it should fails tests in words; a test that stumbles over
it would call it a fault of the harness. Each case is one such mistake, made to the reference."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutants.mutant import LONGEST, Graded, grade, reference

AT_ONCE = 2

ANSWERS = """

def _odd(handlers):
    def named(name, handler):
        def answer(**args):
            reply = handler(**args)
            return {value} if name == {method!r} else reply
        return answer
    return {{name: named(name, handler) for name, handler in handlers.items()}}

_Server = Server
class Server(_Server):
    def __init__(self, context, handlers, *rest, **named):
        super().__init__(context, _odd(handlers), *rest, **named)
"""
ASKS = """

_call = Client.call
def _odd(self, server, method, args=None, *rest, **named):
    if method == {method!r}:
        args = {{name: {value} for name in args}}
    return _call(self, server, method, args, *rest, **named)
Client.call = _odd
"""
RETURNS = """

_real = {method}
def _odd(*args, **named):
    _real(*args, **named)
    return {value}
{method} = _odd
"""
SERVER, CLIENT = "01_rpc/rpc/server.py", "01_rpc/rpc/client.py"


@dataclass(frozen=True)
class Case:
    """`code` is put at the end of a file, below solutions/; the test that then fails."""

    lab: str
    test: str
    says: str
    code: str
    file: str
    method: str
    value: str


CASES = [
    Case("lab01", "test_one_client_asks_many_servers", "ask_all() returned None", RETURNS, "01_rpc/rpc/fan_out.py", "ask_all", "None"),
    Case("lab02", "test_chunks_are_placed", "master answered allocate without handle", ANSWERS, SERVER, "allocate", "{}"),
    Case("lab02", "test_directories", "master answered list with a paths that is no [str]", ANSWERS, SERVER, "list", "{'paths': None}"),
    Case("lab02", "test_chunks_are_placed", "create_chunk with a handle that is no int", ASKS, CLIENT, "create_chunk", "None"),
    Case("lab02", "test_lost_replicas_are_replaced", "clone_chunk with a handle that is no int", ASKS, CLIENT, "clone_chunk", "'x'"),
    Case("lab03", "test_records_survive_lost_mutations", "", ASKS, CLIENT, "apply", "None"),
    Case("lab03", "test_heartbeats_keep_the_lease", "heartbeat with a name that is no str", ASKS, CLIENT, "heartbeat", "[[None]]"),
    Case("lab04", "test_write_across_chunks", "answered read with a version that is no int", ANSWERS, SERVER, "read", "{name: None for name in ('version', 'length')}"),
    Case("lab04", "test_read_across_chunks", "read() returned None, not bytes", RETURNS, "04_consistency/consistency/client.py", "Client.read", "None"),
]  # fmt: skip


def graded(case: Case, directory: Path) -> Graded:
    solutions = reference(directory)
    with (solutions / case.file).open("a", encoding="utf-8") as file:
        file.write(case.code.format(method=case.method, value=case.value))
    return grade(case.lab, solutions, [case.test], directory / "results.json", jobs=1)


@pytest.fixture(scope="module")
def gradings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Case, Future[Graded]]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(graded, case, tmp_path_factory.mktemp("odd")) for case in CASES}


@pytest.mark.timeout(LONGEST)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method}-{case.value}")
def test_an_odd_value_is_the_students_failure(case: Case, gradings: dict[Case, Future[Graded]]) -> None:
    run = gradings[case].result()
    result = run.tests[case.test]
    assert result["status"] == "failed", run.printed
    assert case.says in result["message"], run.printed
