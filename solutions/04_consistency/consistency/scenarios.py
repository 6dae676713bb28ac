"""Sequences of events that make a correct GFS do what GFS allows (§2.7).

A scenario is data: a list of steps, carried out one after the other on the reference cluster with one file `/log`
that already holds one record. Each step is a list, a word and what it needs:

    ["append", client]                                begin an append; the next step does not wait for it
    ["scan", client, "fresh"]                         begin a scan; "cached": with what the client remembers of places
    ["write", client, offset, size]                   begin a plain write to a second file
    ["wait"]                                          until everything that was begun is done
    ["lose", kind, method, sender, receiver, count]   lose the next such messages; kind is "request" or "reply"
    ["hold", kind, method, sender, receiver, count]   keep the next such messages back, ["release"]: let all go
    ["partition", [node, ...], [node, ...]]           nothing passes between the two groups; what is cut off already stays so
    ["heal"]                                          no message is lost any more, no partition lasts
    ["pass", seconds]                                 let virtual time pass, at most 600 s
    ["crash", node]    ["restart", node]              the disk survives

Nodes are "c1", "c2", "master", and "primary", "secondary1", "secondary2": whoever they are when the scenario
begins; in "lose" and "hold" also "any" for either end of a message. Chunks have 4,096 bytes. At the end the harness heals,
releases and restarts whatever the steps left broken, and then the checker looks.

A scenario has at most 100 steps. A client begins one operation between two ["wait"]. Offsets and sizes of writes are
multiples of 16, at most 10,000; counts are at most 10,000 too.
"""

from __future__ import annotations

from typing import Any

Step = list[Any]


def duplicate_record() -> list[Step]:
    """Steps after which a record is in the file twice, each copy on all replicas."""
    # lab 4 part D: which message has to get lost so that everything was done, and nobody knows?
    return [
        ["lose", "reply", "append", "primary", "c1", 40],
        ["append", "c1"],
        ["pass", 40.0],
        ["heal"],
        ["wait"],
    ]


def inconsistent_region() -> list[Step]:
    """Steps after which replicas differ in some region of the file."""
    # lab 4 part D: a mutation that some replicas do and one never hears of
    return [
        ["lose", "request", "apply", "primary", "secondary1", 40],
        ["append", "c1"],
        ["pass", 12.0],
        ["heal"],
        ["wait"],
    ]


def undefined_region() -> list[Step]:
    """Steps after which all replicas agree on a mixture of two writes, which neither client wrote."""
    # lab 4 part D: a write over a boundary is two mutations; keep one client between them while the other writes
    return [
        ["hold", "reply", "write", "any", "c1", 40],
        ["write", "c1", 4000, 192],
        ["pass", 0.3],
        ["write", "c2", 4000, 192],
        ["pass", 0.3],
        ["release"],
        ["wait"],
    ]


def stale_read() -> list[Step]:
    """Steps after which a scan with cached places has missed a record acknowledged before it began."""
    # lab 4 part D: who is left behind, does not know it, and is still read by somebody?
    return [
        ["scan", "c1", "fresh"],
        ["wait"],
        ["partition", ["secondary1"], ["master", "primary", "secondary2", "c2"]],
        ["partition", ["c1"], ["primary", "secondary2"]],
        ["append", "c2"],
        ["wait"],
        ["scan", "c1", "cached"],
        ["wait"],
    ]


def contradicting_orders() -> list[Step]:
    """Steps after which two readers have read two records, each for the first time, in different orders."""
    # lab 4 part D: one replica lacks the first attempt of a record whose second attempt stands behind another record
    return [
        ["lose", "request", "apply", "primary", "secondary1", 3],
        ["hold", "reply", "append", "primary", "c1", 40],
        ["append", "c1"],
        ["pass", 8.0],
        ["append", "c2"],
        ["pass", 4.0],
        ["release"],
        ["wait"],
        ["partition", ["c1"], ["secondary1", "secondary2"]],
        ["partition", ["c2"], ["primary", "secondary2"]],
        ["scan", "c1", "fresh"],
        ["scan", "c2", "fresh"],
        ["wait"],
    ]
