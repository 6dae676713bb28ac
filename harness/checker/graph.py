"""Orders as graphs: contradictions between replicas, real time, and which model includes which.

The only module that touches networkx, which has no complete types; everything it hands out is typed.

- *Agreement*: one node per acknowledged record, one edge from each record to the next on each replica. That
  is the reduction of R total orders, with at most R edges a node. The replicas agree on some order exactly
  when the graph has no cycle (GFS §3.1: all replicas apply mutations in the order the primary chose).
- *Real time*: operation a stands before b when a returned before b was invoked. Chained barriers keep that
  linear: a return leads to the barrier of its moment, each barrier to the next, the latest to whatever is
  invoked after it. At most three edges an operation, however many run at once.

Invariant: a contradiction is explained on the full orders, never on their reduction, where one misplaced
record shows up as a cycle through everything it has jumped over. Two steps along the same replica always
shorten to one, so a shortest cycle takes at most one step on each of the R replicas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple, TypeVar

import networkx as nx

from harness.history import RecordId

Node = TypeVar("Node")
Orders = Mapping[str, Sequence[RecordId]]
"""For each replica, the records it holds in the order of their offsets."""


class Step(NamedTuple):
    """On `replica`, `record` stands before the record of the next step (the last before the first)."""

    record: RecordId
    replica: str


def contradiction(orders: Orders) -> tuple[Step, ...] | None:
    """A smallest cycle of records that the replicas order differently, or None when they agree.

    Exact for up to three replicas; with R replicas never more than R steps.
    """
    graph = agreement_graph(orders)
    knots = [knot for knot in nx.strongly_connected_components(graph) if len(knot) > 1]
    if not knots:
        return None
    pair = _inverted_pair(_within(orders, set[RecordId]().union(*knots)))
    if pair is not None:
        return pair
    knot = min(knots, key=lambda records: (len(records), min(records)))
    return _shortened(_breadth_first_cycle(graph.subgraph(knot)), _within(orders, knot))


def _within(orders: Orders, records: set[RecordId]) -> Orders:
    return {replica: [record for record in order if record in records] for replica, order in orders.items()}


def agreement_graph(orders: Orders) -> nx.DiGraph[RecordId]:
    """The union of the replicas' orders; an edge's `replica` is one that has it."""
    graph: nx.DiGraph[RecordId] = nx.DiGraph()
    for replica, order in orders.items():
        graph.add_nodes_from(order)
        graph.add_edges_from(pairwise(order), replica=replica)
    return graph


def _inverted_pair(orders: Orders) -> tuple[Step, ...] | None:
    """Two records that two replicas hold in opposite orders: no contradiction is smaller."""
    for one, other in combinations(orders, 2):
        place = {record: number for number, record in enumerate(orders[other])}
        common = [record for record in orders[one] if record in place]
        for first, second in pairwise(common):
            if place[second] < place[first]:
                return Step(first, one), Step(second, other)
    return None


def _breadth_first_cycle(knot: nx.DiGraph[RecordId]) -> list[Step]:
    """A shortest cycle through one record of a strongly connected component."""
    start = min(knot)
    paths: Mapping[RecordId, list[RecordId]] = nx.single_source_shortest_path(knot, start)
    back = min(knot.predecessors(start), key=lambda record: (len(paths[record]), record))
    cycle = paths[back]
    return [Step(one, knot.edges[one, two]["replica"]) for one, two in pairwise([*cycle, start])]


def _shortened(cycle: list[Step], orders: Orders) -> tuple[Step, ...]:
    """The cycle with a single step on each replica that it uses.

    From the record that stands first on the replica, one step leads to wherever the cycle leaves that
    replica for the last time: all its records between are further on along the same order.
    """
    for replica, order in orders.items():
        place = {record: number for number, record in enumerate(order)}
        starts = [number for number, step in enumerate(cycle) if step.replica == replica]
        if len(starts) < 2:
            continue
        first = min(starts, key=lambda number: place[cycle[number].record])
        cycle = cycle[first:] + cycle[:first]
        last = max(number for number, step in enumerate(cycle) if step.replica == replica)
        cycle = [cycle[0], *cycle[last + 1 :]]
    return tuple(cycle)


def real_time_graph(intervals: Iterable[tuple[str, float, float]]) -> nx.DiGraph[str | float]:
    """The real-time order of operations (name, invoked, returned); barriers are numbers.

    A path leads from a to b exactly when a returned strictly before b was invoked: equal times are
    concurrent. An operation that never returned has an infinite return, and precedes nothing.
    """
    operations = list(intervals)
    # At equal times invocations come first, so that they miss the barrier of that moment.
    moments = [(invoked, 0, name) for name, invoked, _ in operations]
    moments += [(returned, 1, name) for name, _, returned in operations if returned != float("inf")]
    graph: nx.DiGraph[str | float] = nx.DiGraph()
    graph.add_nodes_from(name for name, _, _ in operations)
    barrier: float | None = None
    for time, is_return, name in sorted(moments):
        if is_return:
            if barrier is not None and barrier != time:
                graph.add_edge(barrier, time)
            barrier = time
            graph.add_edge(name, barrier)
        elif barrier is not None:
            graph.add_edge(barrier, name)
    return graph


def inclusions(models: Iterable[frozenset[Node]]) -> list[tuple[frozenset[Node], frozenset[Node]]]:
    """The lattice of models, each a set of demands, as edges from a model to its next weaker ones."""
    graph: nx.DiGraph[frozenset[Node]] = nx.DiGraph()
    nodes = list(models)
    graph.add_nodes_from(nodes)
    graph.add_edges_from((strong, weak) for strong in nodes for weak in nodes if weak < strong)
    # Only a handful of models: the reduction that would be ruinous on a history is free here.
    return list(nx.transitive_reduction(graph).edges)
