"""Orders as graphs: contradictions between replicas, real time, and which model includes which.

The only module that touches networkx, which has no complete types; everything it hands out is typed.

- *Agreement*: one node per acknowledged record, one edge from each record to the next on each replica. That
  is the reduction of R total orders, with at most R edges a node. The replicas agree on some order exactly
  when the graph has no cycle (GFS §3.1: all replicas apply mutations in the order the primary chose).
- *Lines*: operation a stands before b when a was over before b began, be it in the real time of one client or
  in the positions of a log. Chained barriers keep that linear: an end leads to the barrier of its moment, each
  barrier to the next, the latest to whatever begins after it. At most three edges an operation, however many
  run at once.

Invariant: a contradiction is explained on the full orders, never on their reduction, where one misplaced
record shows up as a cycle through everything it has jumped over. Two steps along the same replica always
shorten to one, so a shortest cycle takes at most one step on each of the R replicas.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple, TypeVar, cast

import networkx as nx

from harness.history import RecordId

Node = TypeVar("Node")
Place = int | tuple[str, float]
"""An operation by its number, or a barrier: a place on a line."""
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


def order_edges(
    name: str, intervals: Iterable[tuple[int, float, float]]
) -> Iterator[tuple[Place, Place, int]]:
    """The order of operations (number, begun, over) on a line: one is before another that began when it was over.

    A path leads from a to b exactly when a was over strictly before b began: equal times are concurrent, and an
    infinite end precedes nothing. Barriers, places on the line `name`, stand between; so the edges out of an
    operation weigh 1 and all others 0, and a path weighs as much as it has operations.
    """
    # At equal times beginnings come first, so that they miss the barrier of that moment.
    moments: list[tuple[float, int, int]] = []
    for number, begun, over in intervals:
        moments.append((begun, 0, number))
        if over != math.inf:
            moments.append((over, 1, number))
    moments.sort()
    barrier: float | None = None
    for time, is_end, number in moments:
        if is_end:
            if barrier is not None and barrier != time:
                yield (name, barrier), (name, time), 0
            barrier = time
            yield number, (name, time), 1
        elif barrier is not None:
            yield (name, barrier), number, 0


def knots(edges: Sequence[tuple[int, int]]) -> list[set[int]]:
    """The strongly connected components of more than one node, the smallest first.

    What has no predecessor, or no successor, is on no cycle: it is peeled off until nothing of the kind is left,
    which is usually nothing at all. Only the rest becomes a graph object, for those are slow to build.
    """
    left = _peeled(_peeled(edges, 0, 1), 1, 0)
    graph: nx.DiGraph[int] = nx.DiGraph(left)
    found = [knot for knot in nx.strongly_connected_components(graph) if len(knot) > 1]
    return sorted(found, key=lambda knot: (len(knot), min(knot)))


def _peeled(edges: Sequence[tuple[int, int]], tail: int, head: int) -> Sequence[tuple[int, int]]:
    """The edges left after removing, again and again, the nodes into which no edge leads from `tail` to `head`."""
    following: dict[int, list[int]] = defaultdict(list)
    waiting: Counter[int] = Counter(edge[head] for edge in edges)
    for edge in edges:
        following[edge[tail]].append(edge[head])
    free = [node for node in following if node not in waiting]
    while free:
        for node in following.get(free.pop(), ()):
            waiting[node] -= 1
            if not waiting[node]:
                free.append(node)
    return [edge for edge in edges if waiting[edge[tail]]]


def lightest_cycle(edges: Iterable[tuple[Place, Place, int]], starts: Iterable[int]) -> list[Place]:
    """The cycle of least weight through any of `starts`, beginning there; empty when there is none."""
    graph: nx.DiGraph[Place] = nx.DiGraph()
    graph.add_weighted_edges_from(edges)
    best: list[Place] = []
    least = math.inf
    for start in starts:
        if start not in graph:
            continue
        found = cast(
            "tuple[dict[Place, float], dict[Place, list[Place]]]", nx.single_source_dijkstra(graph, start)
        )
        lengths, paths = found
        for before in graph.predecessors(start):
            weight = lengths.get(before, math.inf) + graph.edges[before, start]["weight"]
            if weight < least:
                least, best = weight, paths[before]
    return best


def inclusions(models: Iterable[frozenset[Node]]) -> list[tuple[frozenset[Node], frozenset[Node]]]:
    """The lattice of models, each a set of demands, as edges from a model to its next weaker ones."""
    graph: nx.DiGraph[frozenset[Node]] = nx.DiGraph()
    nodes = list(models)
    graph.add_nodes_from(nodes)
    graph.add_edges_from((strong, weak) for strong in nodes for weak in nodes if weak < strong)
    # Only a handful of models: the reduction that would be ruinous on a history is free here.
    return list(nx.transitive_reduction(graph).edges)


def downwards(
    edges: Iterable[tuple[frozenset[Node], frozenset[Node]]], model: frozenset[Node]
) -> set[frozenset[Node]]:
    """The model and all weaker ones."""
    graph: nx.DiGraph[frozenset[Node]] = nx.DiGraph(edges)
    graph.add_node(model)
    return set(nx.dfs_preorder_nodes(graph, model))
