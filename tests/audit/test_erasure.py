"""The content of a record can be erased; what proves the chain cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from exporter.audit.checkpoint import make_checkpoint
from exporter.audit.erasure import erase
from exporter.audit.record import format_time
from exporter.audit.trail import append, read
from exporter.audit.verification import verify_store
from exporter.errors import AuditError
from exporter.storage.store import Store
from tests.support.trail import KEY, append_entries, make_entry, trail


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    with trail() as connection:
        append_entries(connection, 5)
        yield connection


def test_an_erased_record_has_digests_and_no_content(connection: sa.Connection) -> None:
    before = list(read(connection))
    assert erase(connection, 3, "ada", "asked for it", 4000.0) == 6
    *_, third, _, _, about = read(connection)
    assert (third.body, third.digest, third.body_digest) == (None, before[2].digest, before[2].body_digest)
    assert third.columns == (1002.0, "verdict_changed", "", "", "fraud", "3")
    assert about.body is not None
    for text in ("ada", "asked for it", '"seq":3', format_time(1002.0), before[2].body_digest.hex()):
        assert text in about.body.decode()
    assert verify_store(connection).intact


@pytest.mark.parametrize(
    ("seq", "message"),
    [
        (0, "there is no record 0"),
        (99, "there is no record 99"),
        (3, "record 3 is erased already"),
        (6, r"record 6 \(erased\) is part of the proof"),
        (7, r"record 7 \(checkpoint_key\) is part of the proof"),
    ],
)
def test_what_cannot_be_erased_is_refused(connection: sa.Connection, seq: int, message: str) -> None:
    erase(connection, 3, "ada", "asked for it", 4000.0)
    make_checkpoint(connection, KEY, 4000.0)
    before = list(read(connection))
    with pytest.raises(AuditError, match=message):
        erase(connection, seq, "ada", "asked for it", 4000.0)
    assert list(read(connection)) == before


def test_what_was_erased_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "exporter.db"
    store = Store(f"sqlite:///{path}")
    with store.writing() as connection:
        append(connection, [make_entry(actor="ada.lovelace@example.test", data={"text": "x" * 9000})], 1000.0)
    with store.writing() as connection:
        erase(connection, 1, "grace", "asked for it", 4000.0)
    store.close()
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"ada.lovelace" not in path.read_bytes()
