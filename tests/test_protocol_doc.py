"""docs/protocol.md is what labkit says, and its worked examples are real bytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labkit import codec, protocol
from labkit.checksum import crc32c
from labkit.errors import RemoteError
from tools.protocol import ANY_CALL, TARGET, main, remote_errors, render

KIT = Path(__file__).resolve().parent.parent
NAMED = {code for method in protocol.METHODS for code in method.errors}


def test_document_is_up_to_date() -> None:
    assert main(["--check"], KIT) == 0, "python -m tools.protocol --write"


def test_check_notices_any_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], tmp_path) == 1
    assert main(["--write"], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    target = tmp_path / TARGET
    target.write_text(target.read_text(encoding="utf-8").replace("`append`", "`amend`", 1), encoding="utf-8")
    assert main(["--check"], tmp_path) == 1
    assert "python -m tools.protocol --write" in capsys.readouterr().err


def test_every_code_of_the_catalogue_is_an_error() -> None:
    assert NAMED - remote_errors().keys() == set()


def test_every_error_is_answered_by_somebody() -> None:
    """An error of the domain is in the catalogue; one of the RPC layer, which any call may meet, is not."""
    codes = set(remote_errors())
    assert set(ANY_CALL) <= codes
    assert codes - set(ANY_CALL) == NAMED


def test_every_error_has_a_meaning_and_comes_back_as_itself() -> None:
    for code, kind in remote_errors().items():
        assert kind.__doc__, f"{kind.__name__} needs a docstring: docs/protocol.md shows it"
        assert type(RemoteError.from_wire(kind("why").to_wire())) is kind
        assert kind.code == code


def test_names_in_the_catalogue_are_unique() -> None:
    names = [method.name for method in protocol.METHODS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("method", protocol.METHODS, ids=lambda method: method.name)
def test_types_in_the_catalogue_are_in_the_words_the_document_explains(method: protocol.Method) -> None:
    word = r"(int|float|bool|str|\[|\]|\{str: |\}|\?|, |\w+: )"
    for kind in [*method.args.values(), *method.reply.values()]:
        assert re.fullmatch(f"{word}+", kind), kind
        assert (kind.count("["), kind.count("{")) == (kind.count("]"), kind.count("}")), kind


def test_worked_examples_are_real_bytes() -> None:
    """Decoded from the document's text, as somebody without our code would."""
    request, reply, record = (_bytes(dump) for dump in _dumps(render()))
    header = _header(request)
    assert header.keys() == {"method", "args", "xid", "ack", "epoch"}
    assert header["args"].keys() == protocol.CATALOGUE[header["method"]].args.keys()
    assert _header(reply) == {"xid": header["xid"], "result": {}}

    magic, length, checksum, client, sequence = protocol.RECORD.unpack_from(record)
    assert magic == protocol.RECORD_MAGIC
    assert record[protocol.RECORD.size :] == b"hello"
    assert length == 5
    assert (client, sequence) == (7, 1)
    assert checksum == crc32c(record[12:])


def test_crc32c_is_the_one_the_world_knows() -> None:
    """The check value of the CRC-32C (Castagnoli) parameters, so that other languages agree with us."""
    assert crc32c(b"123456789") == 0xE3069283


def _header(frame: bytes) -> dict[str, object]:
    header_length, payload_length = protocol.FRAME.unpack_from(frame)
    assert payload_length == 0
    assert len(frame) == 8 + header_length
    return codec.unpack(frame[8:])


def _dumps(document: str) -> list[list[str]]:
    """Runs of lines such as `  0010  a6 63  .c`, without their offsets."""
    dumps: list[list[str]] = []
    for offset, data in re.findall(r"^  ([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+) ", document, re.MULTILINE):
        if offset == "0000":
            dumps.append([])
        dumps[-1].append(data)
    return dumps


def _bytes(dump: list[str]) -> bytes:
    return bytes.fromhex(" ".join(dump))
