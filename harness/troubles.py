"""What is known of the nodes of a test that failed, and may well be the reason.

A test sees that an answer does not come, or that a promise is broken. Why is often known elsewhere: a node has died, a thread
has ended, a handler has raised, a message was not what docs/protocol.md says, a part is still to be written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

from harness.cluster import Cluster
from harness.drivers.bank import TORN
from harness.failures import BROKEN, NOT_IMPLEMENTED, LabFailure
from harness.network.frame import REPLY, Frame
from harness.node import Node
from harness.patience import Deadline
from harness.processes import linux
from harness.processes.places import MOST_THREADS
from harness.shapes import oddity
from labkit.errors import HandlerFailed
from labkit.protocol import CATALOGUE

HARD_AT_WORK = 10.0  # seconds of the processor; no node needs as much in a graded test
LAST = "lab 9 part Z"
_BANK = ("transfer", "balances")  # of lab 1: its other methods are the harness's, and may raise on purpose
_HANGS = re.compile(
    r"no progress within|sent no whole frame|gave no answer|did not (?:come|happen|start)\b"
    r"|to crash but did not|CallTimeout"
)
_ANSWER = 0.9  # seconds of patience for the nodes to say where their threads are
_TO_WRITE = re.compile(r"lab \d part [A-Z]\b.*", re.DOTALL)


def blame(cluster: Cluster, failure: LabFailure, part: str = LAST) -> None:
    """Add to a failure of a test of `part` what is known of the cluster."""
    if failure.kind == NOT_IMPLEMENTED:
        return
    cluster.await_news()
    if text := to_do(cluster, part):
        failure.message, failure.kind = text, NOT_IMPLEMENTED
        return
    if failure.witness is None:
        failure.witness = "\n".join(troubles(cluster)) or None
        failure.kind = BROKEN if failure.witness else failure.kind
    # Whoever has called another package is in the middle of something; where the others wait matters if nothing ends.
    hangs = _HANGS.search(f"{failure.message} {failure.seen}")
    lines = [line for line in standing(cluster) if " > " in line or hangs]
    failure.stands = "\n".join(lines) or failure.stands


def troubles(cluster: Cluster) -> list[str]:
    """In words, one each; what explains most comes first."""
    return [*_of_nodes(cluster), *_on_the_wire(cluster)]


def to_do(cluster: Cluster, part: str) -> str:
    """What nodes came to that is still to be written, if it belongs to `part`, as "lab 3 part C", or to an earlier one.

    What is missing of a later part is a trouble among others: it must not hide what is wrong in this one.
    """
    answered = [to_write(_said(frame)) for frame in cluster.network.journal if _raised(frame)]
    texts = cluster.unwritten() + [text for text in answered if text]
    return next((text for text in texts if to_write(text)[: len(part)] <= part), "")


def first_oddity(cluster: Cluster) -> str:
    """The first message of a node that is not what the protocol says, in words; or empty."""
    frames = (frame for frame in cluster.network.journal if frame.sender in cluster.nodes)
    return next((odd for frame in frames if (odd := oddity(frame))), "")


def handler_failed(cluster: Cluster) -> tuple[str, str]:
    """The last handler that raised what it should not have; and the calls that led there, if that was logged. Or empty."""
    frames = [frame for frame in cluster.network.journal if frame.sender in cluster.nodes]
    raised = [
        frame
        for frame in frames
        if (frame.method in CATALOGUE or frame.method in _BANK)
        and _raised(frame)
        and TORN not in _said(frame)
    ]
    if not raised:
        return "", ""
    last = raised[-1]
    said = f"{last.sender} answered {last.method} with {HandlerFailed.code}: {_said(last)}"
    logged = [error for error in list(cluster.nodes[last.sender].logged) if str(error.get("type")) in said]
    return said, str(logged[-1].get("traceback")) if logged else ""


def to_write(text: str) -> str:
    """The end of an error's text that begins with the part which is not written yet; or empty."""
    found = _TO_WRITE.search(text)
    return found[0] if found else ""


def standing(cluster: Cluster) -> list[str]:
    """Where the threads of the living nodes are in the code under test, a line each; what leads through most packages first:
    who waits for another has called more than who waits for something to do."""
    asked = {
        node.name: node.process.send("harness.standing")
        for node in cluster.nodes.values()
        if node.process is not None and node.alive
    }
    at: dict[str, list[str]] = {}
    deadline = Deadline(_ANSWER)
    for name, pending in asked.items():
        pending.wait(max(0.0, deadline.left))
        told: Any = (pending.message or {}).get("value")
        for place in cast(list[Any], told)[:MOST_THREADS] if isinstance(told, list) else []:
            at.setdefault(str(place)[:500], []).append(name)
    lines = sorted(at.items(), key=lambda line: -line[0].count(" > "))
    return [f"{_names(names)}: {place}" for place, names in lines]


def while_waiting(cluster: Cluster) -> list[str]:
    """What the nodes do when a wait has ended in vain on a machine too busy to tell why: facts, and no proof."""
    living = [node for node in cluster.nodes.values() if node.alive]
    facts = [
        f"{node.name} itself has used the processor for {used:.0f} s: is it in an endless loop?"
        for node in living
        if (used := _used(node)) > HARD_AT_WORK
    ]
    if living and not facts and cluster.asleep():
        names = ", ".join(node.name for node in living)
        facts.append(f"all threads of {names} slept when it ended: do they wait for each other?")
    return facts


def _of_nodes(cluster: Cluster) -> Iterator[str]:
    for node in cluster.nodes.values():
        if node.process is not None and not node.alive and not node.expected_to_die:
            death = node.death("although nobody had killed it")
            yield "\n".join(filter(None, [death.message, death.witness]))
    for node in cluster.nodes.values():
        if node.ended_threads:
            yield f"a thread of {node.name} died of this:\n{node.ended_threads[-1].get('traceback')}"


def _on_the_wire(cluster: Cluster) -> Iterator[str]:
    if any(raised := handler_failed(cluster)):
        yield "\n".join(filter(None, raised))
    if odd := first_oddity(cluster):
        yield f"{odd} (docs/protocol.md)"


def _raised(frame: Frame) -> bool:
    return frame.kind == REPLY and _error(frame).get("code") == HandlerFailed.code


def _said(frame: Frame) -> str:
    return f"{_error(frame).get('message')!s:.300}"


def _error(frame: Frame) -> dict[str, Any]:
    error = frame.header.get("error")
    return cast(dict[str, Any], error) if isinstance(error, dict) else {}


def _names(names: list[str]) -> str:
    """ "cs1, cs2 (3 times)"."""
    return ", ".join(
        name if count == 1 else f"{name} ({count} times)" for name, count in Counter(names).items()
    )


def _used(node: Node) -> float:
    return linux.processor_seconds(node.process.pid) if node.process is not None else 0.0
