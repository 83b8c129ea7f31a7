"""Files of reports as they are sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import exporter.reports.stored_files
from exporter.errors import SendingError
from exporter.reports.stored_files import read_stored_file
from exporter.storage.schema import report_files
from exporter.storage.store import Store
from tests.support.done_reports import add_done_report


@pytest.fixture
def embedded(open_store: Callable[[str], Store], tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'exporter.db'}")


def read(store: Store, content: bytes | None = None) -> bytes:
    """The HTML of a report, whose stored bytes are replaced if others are given."""
    report = add_done_report(store, files={"html": b"<h1>report</h1>" * 100})
    with store.writing() as connection:
        if content is not None:
            connection.execute(report_files.update().values(content=content))
        return read_stored_file(connection, report, "html")


def test_a_file_is_decompressed(embedded: Store) -> None:
    assert read(embedded) == b"<h1>report</h1>" * 100


def test_a_file_that_is_gone_is_named(embedded: Store) -> None:
    report = add_done_report(embedded, files={})
    with (
        embedded.reading() as connection,
        pytest.raises(SendingError, match="the file json of the report is gone"),
    ):
        read_stored_file(connection, report, "json")


def test_a_damaged_file_is_named(embedded: Store) -> None:
    with pytest.raises(SendingError, match="the file html of the report is damaged"):
        read(embedded, b"no gzip")


def test_a_file_that_explodes_is_not_unpacked(embedded: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.reports.stored_files, "MAX_BYTES", 1000)
    with pytest.raises(SendingError, match="the file html has more than"):
        read(embedded)
