"""Orders as graphs, against brute force on small cases."""

from __future__ import annotations

import random
from itertools import combinations, pairwise, permutations, product

import networkx as nx

from harness.checker.graph import (
    Place,
    Step,
    contradiction,
    inclusions,
    knots,
    lightest_cycle,
    order_edges,
)
from harness.history import RecordId

Orders = dict[str, list[RecordId]]


def orders(**replicas: str) -> Orders:
    return {replica: [RecordId(record) for record in order] for replica, order in replicas.items()}


def holds(cycle: tuple[Step, ...], given: Orders) -> bool:
    return all(
        given[one.replica].index(one.record) < given[one.replica].index(two.record)
        for one, two in pairwise((*cycle, cycle[0]))
    )


def smallest_cycle(given: Orders) -> int | None:
    """By trying everything: the full orders as a set of pairs."""
    before = {pair for order in given.values() for pair in combinations(order, 2)}
    records = sorted({record for order in given.values() for record in order})
    for size in range(2, len(records) + 1):
        for cycle in permutations(records, size):
            if all(pair in before for pair in pairwise((*cycle, cycle[0]))):
                return size
    return None


def test_replicas_that_miss_records_agree() -> None:
    assert contradiction(orders(cs1="abc", cs2="ac", cs3="")) is None


def test_one_misplaced_record_is_shown_with_two_not_all_it_jumped_over() -> None:
    given = orders(cs1="abcdefgh", cs2="habcdefg")
    cycle = contradiction(given)
    assert cycle is not None
    assert len(cycle) == 2
    assert holds(cycle, given)


def test_contradiction_agrees_with_brute_force() -> None:
    rng = random.Random(3)
    sizes: set[int | None] = set()
    for _ in range(600):
        letters = "abcdef"[: rng.randrange(3, 7)]
        longest = rng.choice([2, 3, len(letters)])
        given = orders(
            **{f"cs{n}": "".join(rng.sample(letters, longest)) for n in range(rng.randrange(1, 4))}
        )
        cycle, expected = contradiction(given), smallest_cycle(given)
        assert (None if cycle is None else len(cycle)) == expected
        assert cycle is None or holds(cycle, given)
        sizes.add(expected)
    assert sizes == {None, 2, 3}


def test_cycle_takes_at_most_one_step_on_each_of_many_replicas() -> None:
    rng = random.Random(4)
    longest = 0
    for _ in range(300):
        given = orders(**{f"cs{n}": "".join(rng.sample("abcdefghij", 3)) for n in range(5)})
        cycle = contradiction(given)
        if cycle is not None:
            assert holds(cycle, given)
            assert len({step.replica for step in cycle}) == len(cycle)
            longest = max(longest, len(cycle))
    assert longest > 3


def test_order_has_a_path_exactly_where_one_returned_before_the_other_began() -> None:
    rng = random.Random(6)
    for _ in range(100):
        intervals = {
            name: (
                start := float(rng.randrange(8)),
                rng.choice([start, start + rng.randrange(4), float("inf")]),
            )
            for name in range(7)
        }
        edges = list(order_edges("time", ((number, *interval) for number, interval in intervals.items())))
        assert len(edges) <= 3 * len(intervals)
        graph: nx.DiGraph[Place] = nx.DiGraph()
        graph.add_nodes_from(intervals)
        graph.add_weighted_edges_from(edges)
        for one, two in product(intervals, repeat=2):
            ordered = intervals[one][1] < intervals[two][0]
            assert (one != two and nx.has_path(graph, one, two)) == ordered
            # A path weighs as much as it has operations, and the order itself needs but one.
            assert not ordered or nx.dijkstra_path_length(graph, one, two) == 1


def test_knots_are_what_networkx_finds_in_the_whole_graph() -> None:
    rng = random.Random(7)
    sizes: set[int] = set()
    for _ in range(400):
        size = rng.randrange(2, 12)
        edges = [(rng.randrange(size), rng.randrange(size)) for _ in range(rng.randrange(2 * size))]
        edges = [(one, other) for one, other in edges if one != other]
        whole = nx.strongly_connected_components(nx.DiGraph(edges))
        expected = sorted((knot for knot in whole if len(knot) > 1), key=lambda knot: (len(knot), min(knot)))
        assert knots(edges) == expected
        sizes.add(len(expected))
    assert sizes >= {0, 1, 2}


def test_lightest_cycle_is_the_lightest_of_all_simple_cycles() -> None:
    rng = random.Random(9)
    for _ in range(200):
        edges = {(rng.randrange(6), rng.randrange(6)): rng.randrange(3) for _ in range(rng.randrange(2, 14))}
        edges = {(one, other): weight for (one, other), weight in edges.items() if one != other}
        graph = nx.DiGraph(list(edges))
        weights = [
            sum(edges[pair] for pair in pairwise((*cycle, cycle[0]))) for cycle in nx.simple_cycles(graph)
        ]
        found = lightest_cycle(((one, other, weight) for (one, other), weight in edges.items()), range(6))
        assert bool(found) == bool(weights)
        if found:
            assert sum(edges[pair] for pair in pairwise((*found, found[0]))) == min(weights)


def test_inclusions_lead_to_the_next_weaker_models_only() -> None:
    none, one, both = frozenset[str](), frozenset("a"), frozenset("ab")
    assert set(inclusions([none, one, both])) == {(one, none), (both, one)}
