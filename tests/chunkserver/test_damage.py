"""Lab 3's reference, part A: storage against every flipped bit."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import errors
from tests.chunkserver.world import BLOCK, CHUNK, flipped, replica_with


def test_a_flipped_bit_of_the_data_is_noticed_before_it_is_served(lab: Any) -> None:
    clean = replica_with(lab, b"a" * 10, b"b" * 20, b"c" * 5)
    for bit in range(8 * 35):
        store = lab("store").Store(flipped(clean, "7.data", bit), BLOCK)
        store.recover()
        replica = store.get(7)
        assert replica.length == 35, "a flipped bit must not look like a shorter replica"
        with pytest.raises(errors.Corrupt):
            replica.read(bit // 8, 1)
        assert store.damaged() == [replica]
        assert store.intact() == []
        with pytest.raises(errors.Corrupt):
            replica.write(35, b"x")
        with pytest.raises(errors.Corrupt):
            replica.read((bit // 8 + BLOCK) % 35, 1)


def test_a_flipped_bit_of_the_metadata_is_repaired_or_noticed(lab: Any) -> None:
    clean = replica_with(lab, b"a" * 10, b"b" * 20, b"c" * 5)
    for bit in range(0, 8 * clean.open("7.meta").size(), 3):
        disk = flipped(clean, "7.meta", bit)
        store = lab("store").Store(disk, BLOCK)
        store.recover()
        (replica,) = store.intact()
        assert (replica.version, bytes(replica.read(0, CHUNK)[2])) == (3, b"a" * 10 + b"b" * 20 + b"c" * 5)
        again = lab("metalog").replay(bytes(disk.files["7.meta"].seen), BLOCK)
        assert again.flawless, "recovery left the flipped bit behind"


def test_a_batch_unreadable_in_both_copies_is_damage_unless_it_is_the_last(lab: Any) -> None:
    metalog, blocks = lab("metalog"), lab("blocks")
    batches = [[blocks.SetVersion(3)], [blocks.SetVersion(4)], [blocks.SetVersion(5)]]
    raw = [metalog.encode(number, entries) for number, entries in enumerate(batches)]
    zeros = bytes(len(raw[0]))
    assert metalog.replay(raw[0] + raw[1] + zeros, BLOCK).contents.version == 4
    assert not metalog.replay(raw[0] + raw[1] + zeros, BLOCK).flawless
    for missing in (0, 1):
        with pytest.raises(blocks.Damaged):
            metalog.replay(b"".join(zeros if n == missing else row for n, row in enumerate(raw)), BLOCK)
    with pytest.raises(blocks.Damaged):
        metalog.replay(b"", BLOCK)


def test_a_missing_or_short_data_file_is_damage(lab: Any) -> None:
    for spoil in ("remove", "truncate"):
        for restart in (True, False):
            disk = replica_with(lab, b"a" * 30).survivor()
            store = lab("store").Store(disk, BLOCK)
            store.recover()
            if spoil == "remove":
                del disk.files["7.data"]
            else:
                del disk.files["7.data"].seen[20:]
            if restart:
                store = lab("store").Store(disk, BLOCK)
                store.recover()
            for use in (lambda r: r.read(0, 30), lambda r: r.write(30, b"x")):
                with pytest.raises(errors.Corrupt):
                    use(store.get(7))
            assert [replica.handle for replica in store.damaged()] == [7]


def test_a_damaged_replica_is_not_made_anew_but_can_be_deleted(lab: Any) -> None:
    store = lab("store").Store(flipped(replica_with(lab, b"abc"), "7.data", 0), BLOCK)
    store.recover()
    with pytest.raises(errors.Corrupt):
        store.get(7).read(0, 1)
    with pytest.raises(errors.StaleVersion):
        store.create(7, 3)
    assert store.delete(7, None)
    store.create(7, 3)
    assert store.get(7).length == 0


def test_an_overwrite_verifies_the_block_it_keeps_a_part_of(lab: Any) -> None:
    disk = flipped(replica_with(lab, b"a" * 30), "7.data", 8 * 18)
    store = lab("store").Store(disk, BLOCK)
    store.recover()
    with pytest.raises(errors.Corrupt):
        store.get(7).write(20, b"x")


def test_a_read_beside_an_overwrite_is_not_taken_for_damage(lab: Any) -> None:
    disk = replica_with(lab, b"a" * 5, b"b" * 40)
    store = lab("store").Store(disk, BLOCK)
    store.recover()
    replica = store.get(7)
    disk.before_read = lambda: replica.write(5, b"c" * 30)
    _, length, held = replica.read(0, CHUNK)
    assert (length, bytes(held)) == (35, b"a" * 5 + b"c" * 30)
    assert store.intact() == [replica]
