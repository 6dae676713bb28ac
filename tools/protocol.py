"""Generates docs/protocol.md from the catalogue in labkit/protocol.py and the errors in labkit/errors.py.

    python -m tools.protocol --check
    python -m tools.protocol --write

The prose is in tools/protocol_intro.md; every number and every byte in it is computed here.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from labkit import codec, errors, protocol
from labkit.checksum import crc32c
from labkit.errors import LabError, NoSuchFile, RemoteError
from labkit.protocol import FRAME, METHODS, RECORD, RECORD_MAGIC, Method, Role

KIT = Path(__file__).resolve().parent.parent
TARGET = "docs/protocol.md"
INTRO = Path(__file__).with_name("protocol_intro.md")

# What the RPC layer of any server may answer, whatever the method; no method of the catalogue lists these.
ANY_CALL = ("unknown_method", "bad_arguments", "handler_failed", "session_lost", "forgotten")

_XID = [7, 1]


def render() -> str:
    """The whole document."""
    return "\n".join([_intro().rstrip(), *_methods(), *_errors()]) + "\n"


def remote_errors() -> dict[str, type[RemoteError]]:
    """Every error of labkit.errors that travels, by code, in the order it is written there."""
    found = [kind for kind in _classes(RemoteError) if kind is not RemoteError]
    return {kind.code: kind for kind in found}


def main(arguments: Sequence[str], kit: Path = KIT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.protocol", description=f"Generate {TARGET}.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="generate")
    action.add_argument("--check", action="store_true", help="compare, and change nothing")
    options = parser.parse_args(arguments)
    target = kit / TARGET
    if options.write:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(), encoding="utf-8")
        return 0
    if target.is_file() and target.read_text(encoding="utf-8") == render():
        return 0
    print(f"{TARGET} is not what labkit says: python -m tools.protocol --write", file=sys.stderr)
    return 1


def _intro() -> str:
    request = {"method": "create", "args": {"path": "/log"}, "xid": _XID, "ack": 0, "epoch": 42}
    error = NoSuchFile("/log").to_wire()
    body = b"hello"
    identity = RECORD.pack(b"", 0, 0, 7, 1)[12:]
    record = RECORD.pack(RECORD_MAGIC, len(body), crc32c(identity + body), 7, 1) + body
    return Template(INTRO.read_text(encoding="utf-8")).substitute(
        method_list=", ".join(f"[{role.value}](#{_anchor(role.value)})" for role in Role),
        max_header=protocol.MAX_HEADER,
        max_header_nice=_mebibytes(protocol.MAX_HEADER),
        max_payload=protocol.MAX_PAYLOAD,
        max_payload_nice=_mebibytes(protocol.MAX_PAYLOAD),
        max_depth=codec.MAX_DEPTH,
        request_example=_frame_example(request),
        reply_example=_frame_example({"xid": _XID, "result": {}}),
        error_example=_literal({"xid": _XID, "error": error}),
        hello=protocol.HELLO,
        hello_anchor=_anchor(protocol.HELLO),
        magic=RECORD_MAGIC.hex(" "),
        record_example=_dump(record),
    )


def _frame_example(header: Mapping[str, Any]) -> str:
    packed = codec.pack(header)
    return "\n".join([_literal(header), _dump(FRAME.pack(len(packed), 0) + packed)])


def _literal(value: object) -> str:
    """A header as a reader expects it: JSON, which has all that the examples need."""
    return json.dumps(value)


def _dump(data: bytes) -> str:
    """Bytes as hexadecimal, 16 to a line, with what is readable beside them."""
    lines: list[str] = []
    for start in range(0, len(data), 16):
        piece = data[start : start + 16]
        readable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"  {start:04x}  {piece.hex(' '):<47}  {readable}")
    return "\n".join(lines)


def _methods() -> Iterator[str]:
    yield "\n## Methods\n"
    yield (
        "Types: `int` and `float` are numbers, `bool` true or false, `str` text, `[T]` an array of T, `[a: T, b: U]` "
        "an array of exactly these, `{str: T}` a map, `T?` T or nil. *Once* says whether the call is made at most "
        "once (with an `epoch`) or best effort. Any call may also be answered with "
        + ", ".join(f"`{code}`" for code in ANY_CALL)
        + "."
    )
    for role in Role:
        yield f"\n### {role.value[0].upper()}{role.value[1:]}\n"
        yield "| method | asked by | arguments | reply | errors | once | source |"
        yield "|---|---|---|---|---|---|---|"
        methods = [method for method in METHODS if method.role is role]
        yield from map(_row, methods)
        for method in methods:
            yield f"\n#### `{method.name}`\n"
            yield method.does
            if method.payload:
                yield f"\nThe request's payload is {method.payload}."
            if method.reply_payload:
                yield f"\nThe reply's payload is {method.reply_payload}."


def _row(method: Method) -> str:
    cells = [
        f"[`{method.name}`](#{_anchor(method.name)})",
        method.caller,
        _fields(method.args, method.payload),
        _fields(method.reply, method.reply_payload),
        ", ".join(f"`{code}`" for code in method.errors),
        "at most once" if method.at_most_once else "best effort",
        method.source,
    ]
    return _table_row(cells)


def _fields(fields: Mapping[str, str], payload: str) -> str:
    named = [f"`{name}: {kind}`" for name, kind in fields.items()]
    return "<br>".join([*named, "*payload*"] if payload else named)


def _errors() -> Iterator[str]:
    remote = remote_errors()
    answered_by = {code: [method.name for method in METHODS if code in method.errors] for code in remote}
    yield "\n## Errors\n"
    yield "Errors that a server answers with. *Definite* is what the code means unless the answer says otherwise.\n"
    yield "| code | class | definite | meaning | answered by |"
    yield "|---|---|---|---|---|"
    for code, kind in remote.items():
        methods = "any method" if code in ANY_CALL else ", ".join(f"`{name}`" for name in answered_by[code])
        yield _table_row([f"`{code}`", f"`{kind.__name__}`", _yes(kind.definite), _meaning(kind), methods])
    yield "\nErrors that a client tells its caller when there is no answer; they do not travel.\n"
    yield "| class | definite | meaning |"
    yield "|---|---|---|"
    for kind in _classes(LabError):
        if not issubclass(kind, RemoteError) and not kind.__subclasses__():
            yield _table_row([f"`{kind.__name__}`", _yes(kind.definite), _meaning(kind)])


def _classes(base: type[LabError]) -> list[type[Any]]:
    """Subclasses in labkit.errors alone: a program that imports us may have more of its own."""
    return [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, base) and kind.__module__ == errors.__name__
    ]


def _meaning(kind: type[Any]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _table_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _mebibytes(size: int) -> str:
    return f"{size // 2**20} MiB"


def _anchor(heading: str) -> str:
    """As GitHub makes it: lower case, spaces to hyphens, most punctuation dropped."""
    kept = "".join(char for char in heading.lower() if char.isalnum() or char in " -_")
    return kept.replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
