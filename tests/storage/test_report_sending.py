"""Stored reports that wait to be sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from exporter.storage.report_sending import DESTINATIONS, count_unsent, find_unsent
from exporter.storage.store import Store
from tests.support.done_reports import add_done_report


def test_those_that_wait_are_found_and_counted_by_indexes(
    open_store: Callable[[str], Store], tmp_path: Path
) -> None:
    """A scan would read the values of all reports, several times a minute."""
    store = open_store(f"sqlite:///{tmp_path / 'exporter.db'}")
    add_done_report(store, "aa", mlflow_state="sent")
    add_done_report(store, "bb", evidently_state="off", send_after=50.0)
    add_done_report(store, "cc", mlflow_state="sent", evidently_state="off")
    statements: list[tuple[str, Any]] = []
    with store.reading() as connection:

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            statements.append((statement, parameters))

        sa.event.listen(connection, "before_cursor_execute", note)
        found = find_unsent(connection, DESTINATIONS, 100.0, 10)
        counts = count_unsent(connection)
        sa.event.remove(connection, "before_cursor_execute", note)
        plans = [
            row.detail
            for statement, parameters in statements
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert [report.id for report in found] == ["aa", "bb"]
    assert counts == {"mlflow": 1, "evidently": 1}
    assert any("SEARCH reports" in plan for plan in plans)
    assert not [plan for plan in plans if "SCAN reports" in plan]
