"""A trail that was changed, shortened or rebuilt is found, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from exporter.audit.anchors import Anchor, note_anchor
from exporter.audit.checkpoint import Checkpoint
from exporter.audit.erasure import erase
from exporter.audit.read_only import reading
from exporter.audit.segments import DAY_SECONDS, prune
from exporter.audit.trail import digest_before
from exporter.audit.verification import Verification, verify_store
from exporter.storage import schema
from exporter.storage.store import Store
from tests.support.trail import KEY, OTHER_KEY, append_entries, checkpoint, make_entry, rebuild, resign

RECORDS, HEADS = schema.audit_records, schema.audit_head
ROWS = 12  # of which a checkpoint signs the first ten


@pytest.fixture
def signed(store: Store) -> Checkpoint:
    """The checkpoint of a trail of twelve records, of which the tenth is about its key."""
    append_entries(store, 9)
    found = checkpoint(store)
    append_entries(store, 2, at=3000.0)
    return found


def verify(store: Store, *witnesses: Anchor, vkeys: Sequence[str] = ()) -> Verification:
    with store.reading() as connection:
        return verify_store(connection, witnesses, vkeys)


def faults(found: Verification) -> list[tuple[int, int]]:
    return [(fault.seq, fault.last_seq) for fault in found.faults]


def change(store: Store, number: int, **values: Any) -> None:
    with store.writing() as connection:
        connection.execute(sa.update(RECORDS).where(RECORDS.c.seq == number).values(values))


def witness(found: Checkpoint) -> Anchor:
    return Anchor(found.seq, found.digest, "a witness")


def test_an_intact_trail_is_anchored_up_to_the_witness(store: Store, signed: Checkpoint) -> None:
    found = verify(store, witness(signed), vkeys=[KEY.vkey])
    assert found.intact, found.faults
    assert (found.chain.records, found.chain.first_seq, found.chain.last.seq) == (ROWS, 1, ROWS)
    assert (found.anchored, found.unanchored, found.chain.signed) == (((1, 10),), ((11, 12),), ((1, 10),))
    assert (found.checkpoints, found.trusted) == (1, True)


def test_an_empty_trail_is_intact(store: Store) -> None:
    found = verify(store)
    assert found.intact
    assert (found.chain.records, found.unanchored) == (0, ())


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"body": b'{"seq":5}'}, "its content is not the one that was recorded"),
        ({"body_digest": bytes(32)}, "its content is not the one that was recorded"),
        ({"digest": bytes(32)}, "its digest is not the one that was recorded"),
        ({"body": None}, "its content is missing, and no record says that it was erased"),
        ({"at": 999.0}, "its time differs from its content"),
        ({"kind": "summary"}, "its kind differs from its content"),
        ({"actor": "ada"}, "its actor differs from its content"),
        ({"action_id": "7"}, "its action_id differs from its content"),
        ({"model": "churn"}, "its model differs from its content"),
        ({"model_version": "4"}, "its model_version differs from its content"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("seq", [1, 5, ROWS])
def test_a_changed_field_is_found_at_its_record(
    store: Store, signed: Checkpoint, seq: int, values: dict[str, Any], problem: str
) -> None:
    change(store, seq, **values)
    found = verify(store, witness(signed))
    assert {(fault.seq <= seq <= fault.last_seq) for fault in found.faults} == {True}
    if seq == 5:
        assert problem in [fault.problem for fault in found.faults]
        assert found.faults[0].seq == seq


def test_a_number_that_was_changed_is_found(store: Store, signed: Checkpoint) -> None:
    change(store, 12, seq=13)
    assert faults(verify(store, witness(signed)))[0] == (12, 12)


def test_records_of_a_store_with_two_swapped_are_named(store: Store, signed: Checkpoint) -> None:
    change(store, 3, seq=100)
    change(store, 7, seq=3)
    change(store, 100, seq=7)
    found = faults(verify(store, witness(signed)))
    assert (3, 3) in found
    assert (7, 7) in found


@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 4), (5, 5), (5, 8)])
def test_deleted_records_are_missing(store: Store, signed: Checkpoint, first: int, last: int) -> None:
    with store.writing() as connection:
        connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq.between(first, last)))
    found = verify(store, witness(signed))
    assert (first, last, "missing") in found.faults


def test_a_gap_that_was_closed_is_found(store: Store, signed: Checkpoint) -> None:
    with store.writing() as connection:
        connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq == 5))
        for seq in range(6, ROWS + 1):
            connection.execute(sa.update(RECORDS).where(RECORDS.c.seq == seq).values(seq=seq - 1))
    assert verify(store, witness(signed)).faults[0].seq == 4


@pytest.mark.parametrize("moved", [False, True], ids=["with the head left", "with the head moved"])
def test_a_trail_without_its_end_is_found(store: Store, signed: Checkpoint, moved: bool) -> None:
    with store.writing() as connection:
        connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq > 8))
        if moved:
            connection.execute(sa.update(HEADS).values(seq=8, digest=digest_before(connection, 9)))
    found = verify(store, witness(signed))
    assert (9, 10) in faults(found)
    assert "a witness remembers record 10" in str(found.faults)
    assert found.unanchored == ((1, 8),)
    assert verify(store).intact is False, "the store's own checkpoint remembers it as well"


def test_an_end_that_no_checkpoint_signs_yet_can_go_unnoticed(store: Store, signed: Checkpoint) -> None:
    with store.writing() as connection:
        connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq > 11))
        connection.execute(sa.update(HEADS).values(seq=11, digest=digest_before(connection, 12)))
    found = verify(store, witness(signed))
    assert found.intact
    assert found.unanchored == ((11, 11),)


def test_a_record_that_was_added_behind_the_end_is_found(store: Store, signed: Checkpoint) -> None:
    with store.writing() as connection:
        row = connection.execute(sa.select(RECORDS).where(RECORDS.c.seq == 12)).one()
        connection.execute(RECORDS.insert(), {**row._mapping, "seq": 13})
    assert (13, 13) in faults(verify(store, witness(signed)))


@pytest.mark.parametrize("key", [None, OTHER_KEY, KEY], ids=["unsigned", "own key", "stolen key"])
def test_a_chain_that_was_rebuilt_is_found_by_its_witness(
    store: Store, signed: Checkpoint, key: Any
) -> None:
    with store.writing() as connection:
        rebuild(connection, 5, {"actor": "ada"}, digest_before(connection, 5) or b"")
        if key is not None:
            resign(connection, key, [10])
    kept = note_anchor(signed.note, "checkpoint.txt", [KEY.vkey])
    found = verify(store, kept, vkeys=[KEY.vkey])
    assert (1, 10) in faults(found)
    assert "checkpoint.txt remembers another record 10: the chain was rewritten" in str(found.faults)
    assert (found.anchored, found.unanchored) == ((), ((1, ROWS),))
    alone = verify(store, vkeys=[KEY.vkey])
    assert alone.intact is (key is KEY), "a stolen key deceives the checkpoints within, not the witness"


def test_witnesses_narrow_down_what_was_rebuilt(store: Store) -> None:
    kept = []
    for _ in range(4):
        append_entries(store, 5)
        kept.append(witness(checkpoint(store)))
    with store.writing() as connection:
        rebuild(connection, 13, {"actor": "ada"}, digest_before(connection, 13) or b"")
    append_entries(store, 5)
    later = witness(checkpoint(store))
    found = verify(store, *kept, later)
    assert [anchor.seq for anchor in kept] == [6, 11, 16, 21]
    assert (12, 16) in faults(found)
    assert found.faults[0].seq == 12
    assert found.anchored == ((1, 11), (22, 26)), "what was appended after the change is anchored again"


def test_a_checkpoint_of_another_record_or_none_is_found(store: Store, signed: Checkpoint) -> None:
    notes = schema.audit_checkpoints
    with store.writing() as connection:
        connection.execute(notes.insert(), {"seq": 4, "at": 0.0, "note": signed.note})
        connection.execute(notes.insert(), {"seq": 6, "at": 0.0, "note": "signed by hand"})
    found = verify(store)
    assert faults(found) == [(4, 4), (6, 6)]
    assert "that of record 10" in found.faults[0].problem


def test_a_key_that_the_caller_does_not_know_is_found(store: Store, signed: Checkpoint) -> None:
    checkpoint(store, key=OTHER_KEY)
    found = verify(store, vkeys=[KEY.vkey])
    assert "not signed by a known key" in found.faults[0].problem
    both = verify(store)
    assert both.intact
    assert both.keys == (KEY.vkey, OTHER_KEY.vkey), "the chain says which keys there were"
    assert not both.trusted


# -- erased and pruned --------------------------------------------------------------------------------------


def erased(store: Store, seq: int) -> None:
    with store.writing() as connection:
        erase(connection, seq, "ada", "asked for it", 4000.0)


def test_an_erased_record_keeps_the_chain(store: Store, signed: Checkpoint) -> None:
    erased(store, 5)
    found = verify(store, witness(signed), vkeys=[KEY.vkey])
    assert found.intact, found.faults
    assert (found.erased, found.anchored) == (1, ((1, 10),))


@pytest.mark.parametrize("values", [{"kind": "summary"}, {"at": 1.0}, {"model": "churn"}, {"actor": "x"}])
def test_what_is_left_of_an_erased_record_cannot_be_changed(
    store: Store, signed: Checkpoint, values: dict[str, Any]
) -> None:
    erased(store, 5)
    change(store, 5, **values)
    assert faults(verify(store)) == [(5, 5)]


def test_the_digest_of_an_erased_record_cannot_be_changed(store: Store, signed: Checkpoint) -> None:
    erased(store, 5)
    change(store, 5, body_digest=bytes(32))
    assert verify(store).faults[0].seq in (4, 5)


@pytest.fixture
def pruned(store: Store) -> Checkpoint:
    """The last checkpoint of ten days, of which the first five are pruned in two segments."""
    for day in range(10):
        append_entries(store, 3, at=day * DAY_SECONDS)
        found = checkpoint(store, day * DAY_SECONDS + 100)
    for before in (2, 5):
        with store.writing() as connection:
            assert prune(connection, before * DAY_SECONDS, 10 * DAY_SECONDS)
    return found


def test_a_pruned_trail_is_intact(store: Store, pruned: Checkpoint) -> None:
    found = verify(store, witness(pruned), vkeys=[KEY.vkey])
    assert found.intact, found.faults
    assert (found.pruned, found.segments) == (16, 2)
    assert (found.chain.first_seq, found.anchored) == (17, ((17, 31),))


def test_a_witness_proves_the_header_that_its_checkpoint_ends(store: Store, pruned: Checkpoint) -> None:
    segments = schema.audit_segments
    with store.reading() as connection:
        ends = {seq: bytes(end) for seq, end in map(tuple, connection.execute(
            sa.select(segments.c.last_seq, segments.c.last_digest)))}  # fmt: skip
    assert sorted(ends) == [7, 16]
    right, wrong = Anchor(7, ends[7], "a witness"), Anchor(7, bytes(32), "a witness")
    assert verify(store, right).intact
    assert "the header was rewritten" in str(verify(store, wrong).faults)
    assert "the chain was rewritten" in str(verify(store, Anchor(16, bytes(32), "a witness")).faults)
    assert verify(store, Anchor(3, bytes(32), "a witness")).chain.unused, "nothing is left to compare it with"


@pytest.mark.parametrize("column", schema.audit_segments.c.keys())
@pytest.mark.parametrize("first", [True, False], ids=["first header", "last header"])
def test_a_changed_header_is_found(store: Store, pruned: Checkpoint, column: str, first: bool) -> None:
    segments = schema.audit_segments
    value = b"\x01" * 32 if column.endswith("digest") else 2
    with store.writing() as connection:
        chosen = segments.c.first_seq == (1 if first else 8)
        connection.execute(sa.update(segments).where(chosen).values({column: value}))
    assert not verify(store).intact


def test_a_header_that_was_deleted_is_found(store: Store, pruned: Checkpoint) -> None:
    for seq in (8, 1):
        with store.writing() as connection:
            connection.execute(sa.delete(schema.audit_segments).where(schema.audit_segments.c.first_seq == seq))
        assert not verify(store).intact


def test_records_that_were_deleted_as_if_pruned_are_found(store: Store, pruned: Checkpoint) -> None:
    segments = schema.audit_segments
    with store.writing() as connection:
        connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq <= 19))
        last = {"last_seq": 19, "last_digest": digest_before(connection, 20) or bytes(32)}
        connection.execute(sa.update(segments).where(segments.c.first_seq == 8).values(last))
    assert "are not those that record" in str(verify(store).faults)


def test_a_trail_is_read_beside_the_exporter_that_writes_it(
    store_uri: str, store: Store, signed: Checkpoint
) -> None:
    with reading(store_uri) as connection:
        append_entries(store, 1)
        assert verify_store(connection, [witness(signed)]).chain.records == ROWS
        with pytest.raises(Exception, match="read.?only"):
            connection.execute(RECORDS.insert(), {"seq": 99, **make_entry().__dict__})
