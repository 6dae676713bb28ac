"""A witness as a graph: as Graphviz text, and small enough to read in a terminal.

Nodes are the operations of the witness, each with its interval in virtual seconds; an edge says that one
operation has to stand before another, and why. A cycle of edges is the contradiction. Where an anomaly is about
what disks hold, each replica of the witness is a node too, with what it shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.checker.anomaly import Anomaly
from harness.checker.evidence import describe
from harness.history import Append, Operation, Scan


def drawn(anomaly: Anomaly) -> Iterator[str]:
    """The contradiction as lines of text: one edge a line, a cycle as a loop that ends where it began."""
    operations, edges = anomaly.witness.operations, anomaly.witness.edges
    for one, other, why in edges:
        yield f"({_short(operations[one])}) --[{why}]--> ({_short(operations[other])})"


def dot(anomalies: Sequence[Anomaly]) -> str:
    """All anomalies as one Graphviz digraph, a cluster for each."""
    lines = ["digraph anomalies {", '  node [shape=box, fontname="monospace"];', "  rankdir=LR;"]
    for number, anomaly in enumerate(anomalies, start=1):
        lines += [
            f"  subgraph cluster_{number} {{",
            f"    label={_quoted(f'{number}. {anomaly.name.value}')};",
        ]
        lines += [f"    {line}" for line in _cluster(number, anomaly)]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _cluster(number: int, anomaly: Anomaly) -> Iterator[str]:
    witness = anomaly.witness
    for at, operation in enumerate(witness.operations):
        label = f"{_short(operation)} by {operation.client}\n{_interval(operation)}"
        yield f"a{number}_{at} [label={_quoted(label)}];"
    for one, other, why in witness.edges:
        yield f"a{number}_{one} -> a{number}_{other} [label={_quoted(why)}];"
    if witness.moments:
        label = "\n".join(f"{time:.3f} {what}" for time, what in witness.moments)
        yield f"a{number}_m [shape=note, label={_quoted(label)}];"
    for at, server in enumerate(witness.replicas):
        label = "\n".join([server, *_shown(anomaly, server)])
        yield f"a{number}_r{at} [shape=note, label={_quoted(label)}];"
        if witness.operations and not witness.edges:
            yield f'a{number}_0 -> a{number}_r{at} [style=dashed, label="stands, or should, on"];'


def _shown(anomaly: Anomaly, server: str) -> Iterator[str]:
    table = anomaly.witness.table
    if table is None or server not in table.servers:
        return
    column = table.servers.index(server)
    for region in table.regions:
        yield f"{table.base + region.start}..{table.base + region.end} {describe(region.columns[column])}"


def _short(operation: Operation) -> str:
    if isinstance(operation, Append):
        return f"append {operation.op} of {operation.record}"
    if isinstance(operation, Scan):
        return f"scan {operation.op}"
    return f"write {operation.op} of {operation.data}"


def _interval(operation: Operation) -> str:
    end = "…" if operation.completed is None else f"{operation.completed:.3f}"
    return f"{operation.invoked:.3f} to {end}, {operation.outcome.value}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
