"""A trail that was changed, shortened or rebuilt is found, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import sqlalchemy as sa

from exporter.audit.anchors import Anchor, note_anchor
from exporter.audit.checkpoint import Checkpoint, make_checkpoint
from exporter.audit.erasure import erase
from exporter.audit.record import Columns, format_time
from exporter.audit.segments import DAY_SECONDS, PrunedSegment, prune, segments
from exporter.audit.trail import digest_before
from exporter.audit.verification import StoreVerification, verify_store
from exporter.storage import schema
from exporter.storage.store import Store
from tests.support.trail import KEY, OTHER_KEY, append_entries, rebuild, resign, trail

RECORDS, HEADS, SEGMENTS = schema.audit_records, schema.audit_head, schema.audit_segments
ROWS = 12  # of which a checkpoint signs the first ten

POSTGRES = pytest.param("postgresql", marks=pytest.mark.needs("initdb", "pg_ctl"))


class UndoError(Exception):
    """Ends a transaction."""


@pytest.fixture(scope="module", params=["sqlite", POSTGRES])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "postgresql":
        uri = request.getfixturevalue("postgres_server").create("verification")
    else:
        uri = f"sqlite:///{tmp_path_factory.mktemp('verification')}/exporter.db"
    store = Store(uri)
    yield store
    store.close()


@pytest.fixture
def connection(store: Store) -> Iterator[sa.Connection]:
    """A transaction in an empty trail, rolled back after the test."""
    with suppress(UndoError), store.writing() as connection:
        yield connection
        raise UndoError


@pytest.fixture
def signed(connection: sa.Connection) -> Checkpoint:
    """The checkpoint of a trail of twelve records, of which the tenth is about its key."""
    append_entries(connection, 9)
    found = make_checkpoint(connection, KEY, 2000.0)
    append_entries(connection, 2, at=3000.0)
    return found


@contextmanager
def trying(connection: sa.Connection) -> Iterator[None]:
    """Context whose changes are undone at its end."""
    with connection.begin_nested() as savepoint:
        yield
        savepoint.rollback()


def verify(connection: sa.Connection, *witnesses: Anchor, vkeys: Sequence[str] = ()) -> StoreVerification:
    return verify_store(connection, witnesses, vkeys)


def faults(found: StoreVerification) -> list[tuple[int, int]]:
    return [(fault.seq, fault.last_seq) for fault in found.faults]


def change(connection: sa.Connection, number: int, **values: Any) -> None:
    connection.execute(sa.update(RECORDS).where(RECORDS.c.seq == number).values(values))


def witness(found: Checkpoint) -> Anchor:
    return Anchor(found.seq, found.digest, "a witness")


def test_an_intact_trail_is_anchored_up_to_the_witness(connection: sa.Connection, signed: Checkpoint) -> None:
    found = verify(connection, witness(signed), vkeys=[KEY.vkey])
    assert found.intact, found.faults
    assert (found.chain.records, found.chain.first_seq, found.chain.last.seq) == (ROWS, 1, ROWS)
    assert (found.chain.anchored, found.chain.unanchored, found.chain.signed) == (
        ((1, 10),),
        ((11, 12),),
        ((1, 10),),
    )
    assert (found.checkpoints, found.trusted) == (1, True)


def test_an_empty_trail_is_intact(connection: sa.Connection) -> None:
    found = verify(connection)
    assert found.intact
    assert (found.chain.records, found.chain.unanchored) == (0, ())


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
def test_a_changed_field_is_found_at_its_record(
    connection: sa.Connection, signed: Checkpoint, values: dict[str, Any], problem: str
) -> None:
    for seq in (1, 5, ROWS):
        with trying(connection):
            change(connection, seq, **values)
            found = verify(connection, witness(signed))
        assert {(fault.seq <= seq <= fault.last_seq) for fault in found.faults} == {True}
        assert seq != 5 or found.faults[0] == (seq, seq, problem)


def test_a_number_that_was_changed_is_found(connection: sa.Connection, signed: Checkpoint) -> None:
    change(connection, 12, seq=13)
    assert faults(verify(connection, witness(signed)))[0] == (12, 12)


def test_records_of_a_store_with_two_swapped_are_named(connection: sa.Connection, signed: Checkpoint) -> None:
    change(connection, 3, seq=100)
    change(connection, 7, seq=3)
    change(connection, 100, seq=7)
    found = faults(verify(connection, witness(signed)))
    assert (3, 3) in found
    assert (7, 7) in found


@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 4), (5, 5), (5, 8)])
def test_deleted_records_are_missing(
    connection: sa.Connection, signed: Checkpoint, first: int, last: int
) -> None:
    connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq.between(first, last)))
    found = verify(connection, witness(signed))
    assert (first, last, "missing") in found.faults


def test_a_gap_that_was_closed_is_found(connection: sa.Connection, signed: Checkpoint) -> None:
    connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq == 5))
    for seq in range(6, ROWS + 1):
        connection.execute(sa.update(RECORDS).where(RECORDS.c.seq == seq).values(seq=seq - 1))
    assert verify(connection, witness(signed)).faults[0] == (5, 5, "its number differs from its content")


@pytest.mark.parametrize("moved", [False, True], ids=["with the head left", "with the head moved"])
def test_a_trail_without_its_end_is_found(connection: sa.Connection, signed: Checkpoint, moved: bool) -> None:
    connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq > 8))
    if moved:
        connection.execute(sa.update(HEADS).values(seq=8, digest=digest_before(connection, 9)))
    found = verify(connection, witness(signed))
    assert (9, 10) in faults(found)
    assert "a witness remembers record 10" in str(found.faults)
    assert found.chain.unanchored == ((1, 8),)
    alone = verify(connection, vkeys=[KEY.vkey])
    assert (9, 10) in faults(alone), "the store's own checkpoint remembers it as well"


def test_an_end_that_no_checkpoint_signs_yet_can_go_unnoticed(
    connection: sa.Connection, signed: Checkpoint
) -> None:
    connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq > 11))
    connection.execute(sa.update(HEADS).values(seq=11, digest=digest_before(connection, 12)))
    found = verify(connection, witness(signed))
    assert found.intact
    assert found.chain.unanchored == ((11, 11),)


def test_a_record_that_was_added_behind_the_end_is_found(
    connection: sa.Connection, signed: Checkpoint
) -> None:
    row = connection.execute(sa.select(RECORDS).where(RECORDS.c.seq == 12)).one()
    connection.execute(RECORDS.insert(), {**row._mapping, "seq": 13})
    assert (13, 13) in faults(verify(connection, witness(signed)))


def forge(connection: sa.Connection, seq: int) -> None:
    """Add a record that the chain does not lead to, which searches and reports would show."""
    row = connection.execute(sa.select(RECORDS).where(RECORDS.c.seq == ROWS)).one()
    connection.execute(RECORDS.insert(), {**row._mapping, "seq": seq})


@pytest.mark.parametrize("seq", [-5, 0, 2**62 + 1, 2**63 - 1])
def test_a_record_that_no_chain_leads_to_is_found(
    connection: sa.Connection, signed: Checkpoint, seq: int
) -> None:
    forge(connection, seq)
    assert (seq, seq) in faults(verify(connection, witness(signed)))


def test_a_time_as_text_is_found(connection: sa.Connection, signed: Checkpoint) -> None:
    if connection.dialect.name != "sqlite":
        pytest.skip("a column has one type")
    erased(connection, 4)
    for seq in (4, 5):  # equal to what is said, but after all times: no period has it
        at = format_time(1000.0 + seq - 1)
        connection.execute(
            sa.text("UPDATE audit_records SET at = :at WHERE seq = :seq"), {"at": at, "seq": seq}
        )
    assert faults(verify(connection, witness(signed))) == [(4, 4), (5, 5)]


@pytest.mark.parametrize("key", [None, OTHER_KEY, KEY], ids=["unsigned", "own key", "stolen key"])
def test_a_chain_that_was_rebuilt_is_found_by_its_witness(
    connection: sa.Connection, signed: Checkpoint, key: Any
) -> None:
    rebuild(connection, 5, {"actor": "ada"}, digest_before(connection, 5) or b"")
    if key is not None:
        resign(connection, key, [10])
    kept = note_anchor(signed.note, "checkpoint.txt", [KEY.vkey])
    found = verify(connection, kept, vkeys=[KEY.vkey])
    assert (1, 10) in faults(found)
    assert "checkpoint.txt remembers another record 10: the chain was rewritten" in str(found.faults)
    assert (found.chain.anchored, found.chain.unanchored) == ((), ((1, ROWS),))
    alone = verify(connection, vkeys=[KEY.vkey])
    assert alone.intact is (key is KEY), "a stolen key deceives the checkpoints within, not the witness"


def test_witnesses_narrow_down_what_was_rebuilt(connection: sa.Connection) -> None:
    kept = []
    for _ in range(4):
        append_entries(connection, 5)
        kept.append(witness(make_checkpoint(connection, KEY, 2000.0)))
    rebuild(connection, 13, {"actor": "ada"}, digest_before(connection, 13) or b"")
    append_entries(connection, 5)
    later = witness(make_checkpoint(connection, KEY, 2000.0))
    found = verify(connection, *kept, later)
    assert [anchor.seq for anchor in kept] == [6, 11, 16, 21]
    assert (12, 16) in faults(found)
    assert found.faults[0].seq == 12
    assert found.chain.anchored == ((1, 11), (22, 26)), "what was appended after the change is anchored again"


def test_a_checkpoint_of_another_record_or_none_is_found(
    connection: sa.Connection, signed: Checkpoint
) -> None:
    notes = schema.audit_checkpoints
    connection.execute(notes.insert(), {"seq": 4, "at": 0.0, "note": signed.note})
    connection.execute(notes.insert(), {"seq": 6, "at": 0.0, "note": "signed by hand"})
    found = verify(connection)
    assert faults(found) == [(4, 4), (6, 6)]
    assert "that of record 10" in found.faults[0].problem


def test_a_key_that_the_caller_does_not_know_is_found(connection: sa.Connection, signed: Checkpoint) -> None:
    make_checkpoint(connection, OTHER_KEY, 2000.0)
    found = verify(connection, vkeys=[KEY.vkey])
    assert "not signed by a known key" in found.faults[0].problem
    both = verify(connection)
    assert both.intact
    assert both.keys == (KEY.vkey, OTHER_KEY.vkey), "the chain says which keys there were"
    assert not both.trusted


# -- erased and pruned --------------------------------------------------------------------------------------


def erased(connection: sa.Connection, seq: int) -> None:
    erase(connection, seq, "ada", "asked for it", 4000.0)


def test_an_erased_record_keeps_the_chain(connection: sa.Connection, signed: Checkpoint) -> None:
    erased(connection, 5)
    found = verify(connection, witness(signed), vkeys=[KEY.vkey])
    assert found.intact, found.faults
    assert (found.chain.without_body, found.chain.anchored) == (1, ((1, 10),))


@pytest.mark.parametrize("values", [{"kind": "summary"}, {"at": 1.0}, {"model": "churn"}, {"actor": "x"}])
def test_what_is_left_of_an_erased_record_cannot_be_changed(
    connection: sa.Connection, signed: Checkpoint, values: dict[str, Any]
) -> None:
    erased(connection, 5)
    change(connection, 5, **values)
    assert faults(verify(connection)) == [(5, 5)]


def test_the_digest_of_an_erased_record_cannot_be_changed(
    connection: sa.Connection, signed: Checkpoint
) -> None:
    erased(connection, 5)
    change(connection, 5, body_digest=bytes(32))
    assert verify(connection).faults[0].seq in (4, 5)


def fill_days(connection: sa.Connection) -> Checkpoint:
    """Write ten days with a checkpoint each, and prune the first five in two segments."""
    for day in range(10):
        append_entries(connection, 3, at=day * DAY_SECONDS)
        found = make_checkpoint(connection, KEY, day * DAY_SECONDS + 100)
    for before in (2, 5):
        assert prune(connection, before * DAY_SECONDS, 10 * DAY_SECONDS)
    return found


@pytest.fixture
def pruned(connection: sa.Connection) -> Checkpoint:
    """The last checkpoint of `fill_days`."""
    return fill_days(connection)


def test_a_pruned_trail_is_intact(connection: sa.Connection, pruned: Checkpoint) -> None:
    found = verify(connection, witness(pruned), vkeys=[KEY.vkey])
    assert found.intact, found.faults
    assert (found.pruned, found.segments) == (16, 2)
    assert (found.chain.first_seq, found.chain.anchored) == (17, ((17, 31),))


def test_a_witness_proves_the_header_that_its_checkpoint_ends(
    connection: sa.Connection, pruned: Checkpoint
) -> None:
    ends = {segment.last_seq: segment.last_digest for segment in segments(connection)}
    assert sorted(ends) == [7, 16]
    right, wrong = Anchor(7, ends[7], "a witness"), Anchor(7, bytes(32), "a witness")
    assert verify(connection, right).intact
    assert "the header was rewritten" in str(verify(connection, wrong).faults)
    assert "the chain was rewritten" in str(verify(connection, Anchor(16, bytes(32), "a witness")).faults)
    assert verify(connection, Anchor(3, bytes(32), "a witness")).chain.unused, (
        "nothing is left to compare it with"
    )


def test_a_trail_of_which_no_witness_knows_a_record_is_not_proven(
    connection: sa.Connection, pruned: Checkpoint
) -> None:
    old = Anchor(3, bytes(32), "a witness")
    forged = verify(connection, old)
    assert forged.intact
    assert not forged.proven
    assert verify(connection, old, witness(pruned)).proven
    assert verify(connection).proven, "no witness was asked"
    assert forged.pruned_until == 4 * DAY_SECONDS + 2


def test_a_changed_header_is_found(connection: sa.Connection, pruned: Checkpoint) -> None:
    for column in (each.name for each in SEGMENTS.c):
        value = b"\x01" * 32 if column.endswith("digest") else 2
        for first in (1, 8):
            with trying(connection):
                chosen = SEGMENTS.c.first_seq == first
                connection.execute(sa.update(SEGMENTS).where(chosen).values({column: value}))
                assert not verify(connection).intact, column


def test_a_header_that_was_deleted_is_found(connection: sa.Connection, pruned: Checkpoint) -> None:
    for seq in (8, 1):
        connection.execute(sa.delete(SEGMENTS).where(SEGMENTS.c.first_seq == seq))
        assert not verify(connection).intact


def test_a_record_in_the_place_of_a_pruned_one_is_found(
    connection: sa.Connection, pruned: Checkpoint
) -> None:
    row = connection.execute(sa.select(RECORDS).where(RECORDS.c.seq == 20)).one()
    for seq in (3, 16):
        connection.execute(RECORDS.insert(), {**row._mapping, "seq": seq})
    assert faults(verify(connection, witness(pruned))) == [(3, 16)]


def test_records_that_were_deleted_as_if_pruned_are_found(
    connection: sa.Connection, pruned: Checkpoint
) -> None:
    connection.execute(sa.delete(RECORDS).where(RECORDS.c.seq <= 19))
    last = {"last_seq": 19, "last_digest": digest_before(connection, 20) or bytes(32)}
    connection.execute(sa.update(SEGMENTS).where(SEGMENTS.c.first_seq == 8).values(last))
    assert "are not those that record" in str(verify(connection).faults)


# -- values of other types, which SQLite keeps in any column ------------------------------------------------

VALUES = ("'{}'", "1000000000000", "1e300", "x'ff'")
KEPT, ERASED = 18, 20  # numbers of records
PLACES = [
    *(f"audit_records SET {name} = {{}} WHERE seq = {KEPT}" for name in ("body", *Columns._fields)),
    *(f"audit_records SET {name} = {{}} WHERE seq = {ERASED}" for name in Columns._fields),
    *(f"audit_records SET {name} = {{}} WHERE seq = {KEPT}" for name in ("body_digest", "digest")),
    *(f"audit_segments SET {name} = {{}}" for name in ("last_seq", *PrunedSegment._fields[2:])),
    "audit_head SET seq = {}",
    "audit_head SET digest = {}",
    "audit_checkpoints SET note = {} WHERE seq = 31",
]


def test_a_value_of_another_type_is_a_fault() -> None:
    with trail() as connection:
        fill_days(connection)
        erase(connection, ERASED, "ada", "asked for it", 11 * DAY_SECONDS)
        assert verify(connection).intact
        for place in PLACES:
            for value in VALUES:
                with trying(connection):
                    assert connection.exec_driver_sql(f"UPDATE {place.format(value)}").rowcount >= 1
                    assert not verify(connection).intact, (place, value)
