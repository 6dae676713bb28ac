"""The wire: how frames are laid out, and the catalogue of every RPC between the nodes.

docs/protocol.md is generated from this module (`python -m tools.protocol --write`), so that anybody can
write a node in any language. Types in the catalogue are written as a reader expects them: `int`, `str`,
`[int]` (a list), `{str: int}` (a map), `X?` (X or null).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

# A frame is: u32 header length, u32 payload length (big-endian), header, payload.
FRAME = struct.Struct(">II")
MAX_HEADER = 1024 * 1024
MAX_PAYLOAD = 64 * 1024 * 1024

# A record of §2.7.2 as lab 4 stores it: magic, body length, crc32c of (client + sequence + body), client id,
# sequence number; then the body. Client and sequence identify the record: equal pairs are duplicates.
RECORD = struct.Struct(">4sIIQQ")
RECORD_MAGIC = b"\xf5REC"

HELLO = "rpc.hello"


class Role(str, Enum):
    RPC = "every server"
    MASTER = "master"
    CHUNKSERVER = "chunkserver"


@dataclass(frozen=True)
class Method:
    """One RPC. `args` and `reply` map names to types; `errors` are codes of labkit.errors."""

    name: str
    role: Role
    caller: str
    does: str
    source: str
    args: Mapping[str, str] = field(default_factory=dict[str, str])
    reply: Mapping[str, str] = field(default_factory=dict[str, str])
    payload: str = ""
    reply_payload: str = ""
    errors: tuple[str, ...] = ()
    at_most_once: bool = True


_WHERE = {"handle": "int", "version": "int", "replicas": "[str]"}
_STORED = "[[handle: int, version: int]]"
_NO_MUTATION = ("no_such_chunk", "not_primary", "stale_version", "unknown_data", "replica_failed", "corrupt")

METHODS: tuple[Method, ...] = (
    Method(
        HELLO,
        Role.RPC,
        "client",
        "Tells the server's epoch, a number drawn anew at every start. At-most-once requests carry it, so that a "
        "server that restarted and forgot can refuse them. Answered by the RPC layer itself.",
        "lab 1 part C",
        reply={"epoch": "int"},
        at_most_once=False,
    ),
    # ---- master, asked by clients
    Method(
        "create",
        Role.MASTER,
        "client",
        "Make an empty file. [Paths](#paths) are absolute, `/a/b`; the parent directory must exist, and `/` always does.",
        "GFS §2.6.1, §4.1",
        args={"path": "str"},
        errors=("file_exists", "invalid_path", "no_such_file"),
    ),
    Method(
        "mkdir",
        Role.MASTER,
        "client",
        "Make an empty directory.",
        "GFS §4.1",
        args={"path": "str"},
        errors=("file_exists", "invalid_path", "no_such_file"),
    ),
    Method(
        "delete",
        Role.MASTER,
        "client",
        "Give a file, or a directory with all below it, a hidden name of the master's choosing, which no `list` of "
        "another directory shows. Until `garbage_delay` has passed it can be read under that name, and `rename` brings it "
        "back. Deleting it under the hidden name takes it away for good, with all below it; then `hidden` is nil.",
        "GFS §4.4.1",
        args={"path": "str"},
        reply={"hidden": "str?"},
        errors=("invalid_path", "no_such_file"),
    ),
    Method(
        "rename",
        Role.MASTER,
        "client",
        "Give a file, or a directory with all below it, another name, whose parent must exist and which nothing has yet. "
        "A directory cannot move below itself. From a hidden name, this undoes a `delete`.",
        "GFS §4.1, §4.4.1",
        args={"source": "str", "target": "str"},
        errors=("file_exists", "invalid_path", "no_such_file"),
    ),
    Method(
        "snapshot",
        Role.MASTER,
        "client",
        "Make `target` a copy of the file, or of the directory with all below it, at `source`: what was acknowledged "
        "before is in it, what comes after the answer is not. Both share their chunks; leases on these are revoked first. "
        "While this waits for that, whoever wants to change something at `source` or below waits too.",
        "GFS §3.4, §4.1",
        args={"source": "str", "target": "str"},
        errors=("file_exists", "invalid_path", "no_such_file", "no_replica"),
    ),
    Method(
        "stat",
        Role.MASTER,
        "client",
        "What the master knows of a file.",
        "GFS §2.6.1",
        args={"path": "str"},
        reply={"chunks": "int"},
        errors=("no_such_file", "invalid_path"),
        at_most_once=False,
    ),
    Method(
        "list",
        Role.MASTER,
        "client",
        "All full path names of files and directories below a directory, at any depth, sorted. `too_large` when a header "
        "cannot hold them.",
        "GFS §4.1",
        args={"path": "str"},
        reply={"paths": "[str]"},
        errors=("invalid_path", "no_such_file", "too_large"),
        at_most_once=False,
    ),
    Method(
        "lookup",
        Role.MASTER,
        "client",
        "Handle, version and up-to-date replicas of the chunk at an index. Replicas the master has not heard of, "
        "thinks dead, or knows to be stale are left out; the list may be empty.",
        "GFS §2.4, §4.5",
        args={"path": "str", "index": "int"},
        reply=_WHERE,
        errors=("no_such_file", "no_such_chunk", "invalid_path"),
        at_most_once=False,
    ),
    Method(
        "allocate",
        Role.MASTER,
        "client",
        "The chunk at an index, made first if the index is the number of chunks the file has. An index behind "
        "that is a gap and refused. Asking twice gives the same chunk. One that was in a snapshot is copied first, and the "
        "file has the copy from then on: this is how a client gets a chunk that it may mutate.",
        "GFS §2.4, §4.2",
        args={"path": "str", "index": "int"},
        reply=_WHERE,
        errors=("no_such_file", "no_such_chunk", "no_replica", "invalid_path"),
    ),
    Method(
        "lease",
        Role.MASTER,
        "client",
        "Who is primary of a chunk. When nobody holds a lease, grants one: the version goes up, is logged, and is "
        "recorded by every reachable up-to-date replica before anyone hears of it. A chunk that was in a snapshot gets no "
        "lease any more: `shared_chunk`.",
        "GFS §3.1, §3.4, §4.5",
        args={"handle": "int"},
        reply={"primary": "str", "secondaries": "[str]", "version": "int"},
        errors=("no_such_chunk", "no_replica", "shared_chunk"),
    ),
    # ---- master, asked by chunkservers
    Method(
        "register",
        Role.MASTER,
        "chunkserver",
        "A chunkserver has started (or was told to report again): what it stores, without what it has found "
        "damaged. `sent` is its own clock when it sent this. Chunks it should drop (orphaned or stale) come back in "
        "`delete`. It serves what is on its disk from the start, whether the master has answered yet or not.",
        "GFS §2.6.2, §4.5",
        args={"name": "str", "sent": "float", "chunks": _STORED, "used": "int", "rack": "str"},
        reply={"delete": "[int]"},
        at_most_once=False,
    ),
    Method(
        "heartbeat",
        Role.MASTER,
        "chunkserver",
        "I am alive; what I store; replicas I found damaged; leases I hold and want to keep, by version. "
        "`leases` in the reply: until when, on the *chunkserver's* clock, each lease now holds (`sent` plus the "
        "lease time); one that is missing was not renewed. `register` true: the master does not know this "
        "server, register again. The answer is about the versions that were reported: what is at another by now is "
        "neither deleted nor renewed. `used`: the bytes of all replicas it has.",
        "GFS §2.1, §3.1, §4.5",
        args={
            "name": "str",
            "sent": "float",
            "chunks": _STORED,
            "damaged": "[int]",
            "leases": "[[handle: int, version: int]]",
            "used": "int",
        },
        reply={"leases": "[[handle: int, until: float]]", "delete": "[int]", "register": "bool"},
        at_most_once=False,
    ),
    Method(
        "follow",
        Role.MASTER,
        "shadow master",
        "Durable bytes that come after the first `position` of `file`, empty at the beginning, in the master's operation "
        "log or checkpoint; perhaps none, perhaps not all there are. The reply says where they stand: at the "
        "place asked for, or at the beginning of what follows, or of what has taken its place. What names and bytes mean is "
        "between a master and its shadow: the layout of the log is the master's own.",
        "GFS §5.1.3",
        args={"file": "str", "position": "int"},
        reply={"file": "str", "position": "int"},
        reply_payload="bytes of the log",
        at_most_once=False,
    ),
    # ---- chunkserver, asked by the master
    Method(
        "create_chunk",
        Role.CHUNKSERVER,
        "master",
        "Store an empty replica at version. Durable before the answer. Doing it again is no error.",
        "GFS §4.2",
        args={"handle": "int", "version": "int"},
        errors=("stale_version",),
        at_most_once=False,
    ),
    Method(
        "advance_version",
        Role.CHUNKSERVER,
        "master",
        "Record that the replica's version is now `version`, because a lease is about to be granted. Refused unless "
        "the replica is at `previous`, at `version`, or between. Durable before the answer. A lease of an older "
        "version ends here at once, and no mutation of an older version starts after the answer.",
        "GFS §4.5",
        args={"handle": "int", "previous": "int", "version": "int"},
        errors=("no_such_chunk", "stale_version"),
        at_most_once=False,
    ),
    Method(
        "grant_lease",
        Role.CHUNKSERVER,
        "master",
        "Be primary of a chunk at `version` until your own clock shows `until`: the `sent` of the last heartbeat "
        "the master had from you plus the lease time, so that a grant that comes late is no longer than "
        "one that comes at once. Whatever `until` says, the grant holds no longer than the lease time from when it came: "
        "it may be meant for the clock of a life before. `secondaries` are all other replicas of this version.",
        "GFS §3.1",
        args={"handle": "int", "version": "int", "until": "float", "secondaries": "[str]"},
        errors=("no_such_chunk", "stale_version"),
        at_most_once=False,
    ),
    Method(
        "revoke_lease",
        Role.CHUNKSERVER,
        "master",
        "Stop being primary of a chunk now. After the answer no mutation of that lease starts.",
        "GFS §3.1, §3.4",
        args={"handle": "int", "version": "int"},
        errors=("no_such_chunk",),
        at_most_once=False,
    ),
    Method(
        "clone_chunk",
        Role.CHUNKSERVER,
        "master",
        "Make a replica by copying from the server `source` every block that is not here already with the checksum it "
        "has there, verified on both sides. Asked with `final` false, perhaps while mutations go on, this only "
        "prepares: what is stored is no replica yet, is not reported and not served. With `final` true no mutation "
        "is under way: the result is a replica at `version`, durable before the answer. An older or damaged "
        "replica gives way to it. Doing it again is no error.",
        "GFS §4.3",
        args={"handle": "int", "version": "int", "source": "str", "final": "bool"},
        errors=("replica_failed", "stale_version"),
        at_most_once=False,
    ),
    Method(
        "copy_chunk",
        Role.CHUNKSERVER,
        "master",
        "Make, from the local replica of `handle` at `version`, a replica of the new chunk `copy` at version 1, without "
        "anything crossing the network. Durable before the answer. Doing it again is no error.",
        "GFS §3.4",
        args={"handle": "int", "version": "int", "copy": "int"},
        errors=("no_such_chunk", "stale_version", "corrupt"),
        at_most_once=False,
    ),
    # ---- chunkserver, asked by clients and other chunkservers
    Method(
        "push",
        Role.CHUNKSERVER,
        "client or chunkserver",
        "Keep the payload, a piece of the data `data_id`: the bytes from `offset` on, of `total` in all. Pass it on to "
        "the first of `chain`, which passes it on to the rest. The answer means that all of them have this piece. "
        "Pieces may come in any order and several at a time: a client cuts large data, so that its first bytes are at "
        "the end of the chain while the last still arrive at the beginning. Small data is one piece. Pushing a piece "
        "again does no harm. Data is unknown to mutations until all of it is here.",
        "GFS §3.2",
        args={"data_id": "str", "offset": "int", "total": "int", "chain": "[str]"},
        payload="the piece",
        errors=("too_large", "replica_failed"),
        at_most_once=False,
    ),
    Method(
        "append",
        Role.CHUNKSERVER,
        "client",
        "To the primary: append the pushed data as one record, at an offset of the primary's choosing, on all "
        "replicas. The answer means all of them have it, durably, at that offset in the chunk.",
        "GFS §3.1, §3.3",
        args={"handle": "int", "version": "int", "data_id": "str"},
        reply={"offset": "int"},
        errors=(*_NO_MUTATION, "chunk_full", "too_large"),
    ),
    Method(
        "write",
        Role.CHUNKSERVER,
        "client",
        "To the primary: write the pushed data at `offset` of the chunk, on all replicas, over what is there. A gap "
        "between the end and `offset` reads as zeros. The answer means that all replicas have it, durably.",
        "GFS §3.1",
        args={"handle": "int", "version": "int", "offset": "int", "data_id": "str"},
        errors=_NO_MUTATION,
    ),
    Method(
        "apply",
        Role.CHUNKSERVER,
        "primary",
        "To a secondary: do the mutation with this serial number of this lease. Serial numbers start at 1 with "
        "each version. With `data_id`, write the pushed data at `offset`: with `overwrite`, as `write` wants it, what lies "
        "behind it stays; without, as `append` wants it, the data is the end of the replica. Without `data_id`, pad "
        "with zeros from `offset` to the end of the chunk. Durable before the answer.",
        "GFS §3.1, §3.3",
        args={
            "handle": "int",
            "version": "int",
            "serial": "int",
            "offset": "int",
            "data_id": "str?",
            "overwrite": "bool",
        },
        errors=("no_such_chunk", "stale_version", "unknown_data", "out_of_order", "corrupt"),
    ),
    Method(
        "read",
        Role.CHUNKSERVER,
        "client",
        "Up to `length` bytes at `offset` of the chunk, verified; fewer only at the end of the replica. `length` "
        "in the reply is the replica's length, the payload the bytes.",
        "GFS §2.4, §5.2",
        args={"handle": "int", "offset": "int", "length": "int"},
        reply={"version": "int", "length": "int"},
        reply_payload="the bytes",
        errors=("no_such_chunk", "corrupt", "too_large"),
        at_most_once=False,
    ),
    Method(
        "leased_read",
        Role.CHUNKSERVER,
        "client",
        "As `read`, but only from the primary while its lease lasts, and only what is on all replicas: what is in doubt "
        "is brought to all of them first. Lab 4 part E; an ordinary chunkserver does not have it.",
        "our extension; compare GFS §2.7.1",
        args={"handle": "int", "offset": "int", "length": "int"},
        reply={"version": "int", "length": "int"},
        reply_payload="the bytes",
        errors=("no_such_chunk", "not_primary", "stale_version", "replica_failed", "corrupt", "too_large"),
        at_most_once=False,
    ),
    Method(
        "checksums",
        Role.CHUNKSERVER,
        "chunkserver",
        "The CRC32C of every block of a replica as stored; the last block's covers only what the replica has of it.",
        "GFS §5.2",
        args={"handle": "int"},
        reply={"version": "int", "length": "int", "blocks": "[int]"},
        errors=("no_such_chunk", "corrupt"),
        at_most_once=False,
    ),
    Method(
        "inventory",
        Role.CHUNKSERVER,
        "anyone",
        "What this server stores. A replica that it has found damaged is none: it is not listed.",
        "GFS §4.5",
        reply={"chunks": "[[handle: int, version: int, length: int]]"},
        at_most_once=False,
    ),
)

CATALOGUE: Mapping[str, Method] = {method.name: method for method in METHODS}
