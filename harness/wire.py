"""What the wire showed of replicas: to whom a chunk's lease was offered, and which server had which record, durably.

Frames carry names of data, not records; which record a name stands for is read off the first bytes that were pushed
under it. Invariant: only what is certain is told. A mutation whose data nobody was seen to push, or that is no single
record, or whose answer the wire did not show, is left out; so is whatever a server had before its replica was made anew.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from harness import records
from harness.history import Grant, Handle, Held, RecordId
from harness.network.frame import REQUEST, Frame

ANEW = ("create_chunk", "clone_chunk")


def replicas_seen(journal: Sequence[Frame]) -> list[Grant | Held]:
    """Leases offered, then records held, each in the order of frames. `journal` has every frame of the run."""
    return [*_grants(journal), *_held(journal)]


def _grants(journal: Sequence[Frame]) -> Iterator[Grant]:
    offered: set[tuple[object, ...]] = set()
    for frame in _requests(journal, "grant_lease"):
        match frame.header.get("args"):
            case {"handle": int(handle), "version": int(version), "secondaries": [*names]}:
                grant = Grant(frame.time, Handle(handle), version, frame.receiver, tuple(map(str, names)))
            case _:
                continue
        if (offer := (handle, version, grant.primary, grant.secondaries)) not in offered:
            offered.add(offer)
            yield grant


def _held(journal: Sequence[Frame]) -> Iterator[Held]:
    pushed = _pushed(journal)
    asked: dict[tuple[int, Hashable], Frame] = {}
    held: dict[tuple[object, ...], Held] = {}
    for frame in journal:
        if frame.method in ANEW and frame.kind == REQUEST:
            match frame.header.get("args"):
                case {"handle": int(handle)}:
                    held = {key: one for key, one in held.items() if key[:2] != (frame.receiver, handle)}
                case _:
                    pass
        if frame.method != "apply":
            continue
        if frame.kind == REQUEST:
            asked[frame.connection, frame.xid] = frame
            continue
        request = asked.get((frame.connection, frame.xid))
        if request is None or frame.failed:
            continue
        match request.header.get("args"):
            case {
                "handle": int(handle),
                "version": int(version),
                "offset": int(offset),
                "data_id": str(data_id),
                "overwrite": False,
            } if (record := pushed.get(data_id)) is not None:
                key = (frame.sender, handle, version, offset, record)
                one = Held(frame.time, Handle(handle), version, frame.sender, offset, record)
                held.setdefault(key, one)
            case _:
                pass
    yield from held.values()


def _pushed(journal: Sequence[Frame]) -> dict[str, RecordId | None]:
    """The record that each name of data stands for; None when it is no record, or not the same one each time."""
    pushed: dict[str, RecordId | None] = {}
    for frame in _requests(journal, "push"):
        match frame.header.get("args"):
            case {"data_id": str(data_id), "offset": 0, "total": int(total)}:
                begun = records.begun(frame.glimpse)
                record = begun[0] if begun is not None and begun[1] == total else None
                if pushed.setdefault(data_id, record) != record:
                    pushed[data_id] = None
            case _:
                pass
    return pushed


def _requests(journal: Sequence[Frame], method: str) -> Iterator[Frame]:
    return (frame for frame in journal if frame.method == method and frame.kind == REQUEST)
