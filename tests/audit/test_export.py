"""Exports of the audit trail: what they show, and that no change of one goes unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from exporter.audit.anchors import Anchor, note_anchor
from exporter.audit.checkpoint import SigningKey
from exporter.audit.erasure import erase
from exporter.audit.export import ExportRow, Selection, export_rows
from exporter.audit.export_files import FileFormat, read_rows, write_rows
from exporter.audit.export_verification import ExportVerification, verify_export
from exporter.audit.record import Entry
from exporter.audit.segments import prune
from exporter.errors import AuditError
from exporter.storage.schema import audit_records
from tests.support.trail import sign, trail, write

KEY = SigningKey("test", bytes(32))
NOW = 1000.0
FRAUD = Selection("fraud", "3")


def entry(model: str, version: str = "3", kind: str = "summary", reason: str = "") -> Entry:
    return Entry(kind, "monitor", model, version, data={"reason": reason})  # type: ignore[arg-type]


RECORDS = [
    (10.0, Entry("started", "system")),
    (20.0, entry("fraud")),
    (30.0, entry("churn")),
    (40.0, entry("fraud", "2")),
    (50.0, entry("fraud", "")),
    (60.0, entry("churn")),
    (70.0, entry("fraud", reason="=1+1;")),
]


@contextmanager
def signed_trail() -> Iterator[sa.Connection]:
    """Seven records, the key as the eighth, a checkpoint, and two records after it."""
    with trail(*RECORDS) as connection:
        sign(connection, KEY, 80.0)
        write(connection, [(90.0, entry("fraud")), (95.0, entry("churn"))])
        yield connection


def rows_of(selection: Selection = FRAUD) -> list[ExportRow]:
    with signed_trail() as connection:
        return list(export_rows(connection, selection, NOW))


def shape(rows: list[ExportRow]) -> str:
    """Types of the records by their first letter."""
    return "".join(row.type[0] for row in rows if row.type not in ("export", "checkpoint"))


@pytest.mark.parametrize(
    ("selection", "records"),
    [
        (Selection(), "rrrrrrrrrr"),
        (Selection("fraud"), "rrorrorrro"),
        (FRAUD, "rroororrro"),
        (Selection("churn"), "roroororor"),
        (Selection("fraud", start=20.0, end=45.0), "roroooo"),
    ],
)
def test_others_are_shown_by_their_digests(selection: Selection, records: str) -> None:
    assert shape(rows_of(selection)) == records


def test_a_period_goes_on_to_the_next_checkpoint() -> None:
    rows = rows_of(Selection("fraud", start=20.0, end=45.0))
    header = orjson.loads(rows[0].body or b"")
    assert (header["first"], header["last"]) == (2, 8)
    assert [row.seq for row in rows if row.type == "checkpoint"] == [8]
    assert verify_export(rows).chain.signed == ((2, 8),)


def test_a_period_without_records_is_refused() -> None:
    with signed_trail() as connection, pytest.raises(AuditError, match="no records of this period"):
        list(export_rows(connection, Selection(start=96.0), NOW))


def test_records_that_are_missing_are_no_export() -> None:
    with signed_trail() as connection:
        connection.execute(sa.delete(audit_records).where(audit_records.c.seq == 4))
        with pytest.raises(AuditError, match="records are missing"):
            list(export_rows(connection, FRAUD, NOW))


def test_an_export_after_pruning_begins_with_what_is_left() -> None:
    with signed_trail() as connection:
        assert prune(connection, 35.0 + 2 * 86400, 2 * 86400 + 100.0) is not None
        connection.commit()
        rows = list(export_rows(connection, Selection(), NOW))
    found = verify_export(rows)
    assert found.intact
    assert found.chain.first_seq > 1


# -- verification -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_export_is_verified_without_the_store(tmp_path: Path, form: FileFormat) -> None:
    path = tmp_path / "export"
    with path.open("wb") as file:
        write_rows(iter(rows_of()), form, file)
    found = verify_export(read_rows(path))
    assert found.intact
    assert (found.chain.records, found.chain.without_body, found.checkpoints) == (10, 4, 1)
    assert found.chain.signed == ((1, 8),)
    assert found.chain.anchored == ()
    assert found.keys == (KEY.vkey,)
    assert not found.trusted


def test_witnesses_anchor_an_export() -> None:
    with signed_trail() as connection:
        note = sign(connection, KEY, 99.0)
        rows = list(export_rows(connection, FRAUD, NOW))
    witness = note_anchor(note, "a file", [KEY.vkey])
    found = verify_export(rows, [witness, Anchor(99, bytes(32), "elsewhere")], [KEY.vkey])
    assert found.intact
    assert found.trusted
    assert found.chain.anchored == ((1, 10),)
    assert [anchor.source for anchor in found.chain.unused] == ["elsewhere"]


def test_an_erased_record_leaves_the_export_intact() -> None:
    with signed_trail() as connection:
        erase(connection, 7, "ada", "a name", 99.0)
        connection.commit()
        rows = list(export_rows(connection, FRAUD, NOW))
    assert shape(rows)[6] == "e"
    assert verify_export(rows).intact


def body_of(row: ExportRow, **changes: object) -> ExportRow:
    return replace(row, body=orjson.dumps(orjson.loads(row.body or b"") | changes))


def at(seq: int, change: Callable[[ExportRow], ExportRow]) -> Callable[[list[ExportRow]], list[ExportRow]]:
    """Change of the record with a number."""
    return lambda rows: [
        change(row) if row.seq == seq and row.type not in ("export", "checkpoint") else row for row in rows
    ]


def header(**changes: object) -> Callable[[list[ExportRow]], list[ExportRow]]:
    return lambda rows: [body_of(rows[0], **changes), *rows[1:]]


OTHER_KEY = SigningKey("test", bytes([1] * 32))


@pytest.mark.parametrize(
    ("change", "seq", "problem"),
    [
        (at(7, lambda row: body_of(row, actor="grace")), 7, "its content is not the one that was recorded"),
        (at(7, lambda row: replace(row, digest=bytes(32))), 7, "its digest is not the one that was recorded"),
        (at(3, lambda row: replace(row, body_digest=bytes(32))), 2, "the second does not follow"),
        (lambda rows: rows[:5] + rows[6:], 4, "missing"),
        (lambda rows: [*rows[:5], rows[6], rows[5], *rows[7:]], 4, "missing"),
        (lambda rows: rows[:8], 7, "missing: the export ends before them"),
        (header(last=9), 10, "the header does not know them"),
        (header(previous="11" * 32), 1, "it does not follow from what is before it"),
        (header(keys=[]), 8, "no key is known"),
        (header(keys=[OTHER_KEY.vkey]), 8, "not signed by a known key"),
        (lambda rows: [rows[0], replace(rows[1], seq=7), *rows[2:]], 7, "is of another record"),
        (lambda rows: [rows[0], replace(rows[1], body=b"{}"), *rows[2:]], 8, "cannot be read"),
        (lambda rows: [*rows[:5], rows[1], *rows[5:]], 8, "a row of the type 'checkpoint'"),
    ],
)
def test_a_change_is_found_and_named(
    change: Callable[[list[ExportRow]], list[ExportRow]], seq: int, problem: str
) -> None:
    found = verify_export(change(rows_of()))
    assert not found.intact
    assert [fault for fault in found.faults if fault.seq == seq and problem in fault.problem], found.faults


def rebuilt() -> list[ExportRow]:
    """The export of a trail that says something else, signed by the same key."""
    with trail(*RECORDS[:6], (70.0, entry("fraud", reason="nothing happened"))) as connection:
        sign(connection, KEY, 80.0)
        return list(export_rows(connection, FRAUD, NOW))


def test_a_rebuilt_trail_is_found_by_a_witness_only() -> None:
    with signed_trail() as connection:
        (checkpoint,) = [row for row in export_rows(connection, FRAUD, NOW) if row.type == "checkpoint"]
    kept = note_anchor(orjson.loads(checkpoint.body or b"")["note"], "a file")
    assert verify_export(rebuilt()).intact
    found = verify_export(rebuilt(), [kept])
    assert [str(fault) for fault in found.faults] == [
        "records 1 to 8: a file remembers another record 8: the chain was rewritten"
    ]


def test_a_damaged_row_is_a_fault_after_the_last_good_one() -> None:
    def damaged() -> Iterator[ExportRow]:
        yield from rows_of()[:5]
        raise AuditError("line 6: it is cut off")

    found: ExportVerification = verify_export(damaged())
    assert str(found.faults[0]) == "record 4: it cannot be read: line 6: it is cut off"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [ExportRow("record", 1, b"{}", bytes(32), bytes(32))],
        [ExportRow("export", 1, b"{}")],
        [ExportRow("export", 1, b"[]")],
        [ExportRow("export", 1, b'{"format":"mlflow-exporter audit export 2"}')],
    ],
)
def test_what_is_no_export_is_refused(rows: list[ExportRow]) -> None:
    with pytest.raises(AuditError, match="it is no export of the audit trail"):
        verify_export(rows)


# -- damage -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[FileFormat, bytes]:
    """An export in every format."""
    found: dict[FileFormat, bytes] = {}
    for form in ("jsonl", "csv", "parquet"):
        path = tmp_path_factory.mktemp("exports") / form
        with path.open("wb") as file:
            write_rows(iter(rows_of()), form, file)
        found[form] = path.read_bytes()
    return found


def outcome(path: Path) -> bool:
    """Return whether an export is found to be intact; one that cannot be read is not."""
    try:
        return verify_export(read_rows(path)).intact
    except AuditError:
        return False


def check_damage(whole: bytes, damaged: bytes, path: Path) -> None:
    """Assert that damage is found, unless records and notes are the same all the same."""
    path.write_bytes(damaged)
    if outcome(path):
        found = proven(path)
        path.write_bytes(whole)
        assert found == proven(path)


def proven(path: Path) -> list[object]:
    """Records, and notes of checkpoints; the header and times of checkpoints are not signed."""
    return [
        orjson.loads(row.body or b"")["note"] if row.type == "checkpoint" else row
        for row in read_rows(path)
        if row.type != "export"
    ]


PIECES = [b"{", b"[", b'"', b"null", b"-1", b"\n"]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@given(data=st.data())
def test_no_damage_goes_unnoticed_or_ends_the_verification(
    exports: dict[FileFormat, bytes], tmp_path: Path, form: FileFormat, data: st.DataObject
) -> None:
    whole = exports[form]
    start = data.draw(st.integers(0, len(whole) - 1))
    length = data.draw(st.integers(0, 40))
    inserted = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from(PIECES)))
    check_damage(whole, whole[:start] + inserted + whole[start + length :], tmp_path / "damaged")


@pytest.mark.parametrize("share", [0.001, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_damage_of_parquet_is_found(exports: dict[FileFormat, bytes], tmp_path: Path, share: float) -> None:
    whole = exports["parquet"]
    place = int(share * len(whole))
    check_damage(whole, whole[:place] + b"\xff\x00\xff\x7f" + whole[place + 4 :], tmp_path / "damaged")
    check_damage(whole, whole[:place], tmp_path / "damaged")
