"""Values of configured metrics of Evidently in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.fleet import MAX_REPORTED_VALUES, Fleet, ReportedValues, Version
from exporter.reports.reported_values import refresh_reported_values, select_values
from exporter.settings import Settings
from exporter.storage.schema import reports
from exporter.storage.store import Store
from tests.support.done_reports import MADE_AT, add_done_report


def value(metric: str, column: str = "", *, named: bool = True, number: float = 1.0) -> dict[str, Any]:
    return {"metric": metric, "column": column, "part": "", "value": number, "named": named}


@pytest.fixture
def embedded(open_store: Callable[[str], Store], tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'exporter.db'}")


def test_a_version_has_the_values_of_its_newest_report_as_long_as_that_is_kept(embedded: Store) -> None:
    fleet = Fleet(Settings())
    fleet.add(Version(embedded.ensure_version("fraud", "1", 0)))
    (version,) = fleet.versions.values()
    add_done_report(embedded, "old", values=[value("RowCount", number=3)])
    add_done_report(embedded, "new", values=[value("RowCount", number=4)], created_at=MADE_AT + 1)
    add_done_report(embedded, "other", values=[value("RowCount")], model_version="2", created_at=MADE_AT + 2)
    refresh_reported_values(embedded, fleet)
    assert version.reported == ReportedValues("new", {("RowCount", "", ""): 4.0})
    with embedded.writing() as connection:
        connection.execute(reports.delete())
    refresh_reported_values(embedded, fleet)
    assert version.reported is None


def test_only_configured_metrics_are_shown_and_not_more_than_the_limit() -> None:
    many = [value("ValueDrift", str(number)) for number in range(MAX_REPORTED_VALUES + 7)]
    found = select_values("4f2a", [value("DriftedColumnsCount", named=False), *many])
    assert len(found.values) == MAX_REPORTED_VALUES
    assert found.left_out == 7
    assert ("DriftedColumnsCount", "", "") not in found.values
    assert ("ValueDrift", "0", "") in found.values


def test_long_texts_are_cut() -> None:
    ((metric, column, _),) = select_values("4f2a", [value("x" * 1000, "y" * 1000)]).values
    assert (len(metric), len(column)) == (256, 256)
