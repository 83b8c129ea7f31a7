"""Reports that are done, in a store, without Evidently."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from exporter.storage.reports import (
    ReportState,
    StoredReport,
    add_report,
    change_report,
    claim_report,
    find_report,
)
from exporter.storage.store import Store

MADE_AT = 1_700_000_000.0
FILES = {"html": b"<h1>report</h1>", "json": b'{"metrics": []}', "snapshot": b'{"tags": []}'}


def add_done_report(
    store: Store,
    report_id: str = "4f2a",
    *,
    values: Sequence[Mapping[str, Any]] = (),
    files: Mapping[Any, bytes] = FILES,
    **fields: Any,
) -> StoredReport:
    """Store a report on version 1 of `fraud`, unless named otherwise, that waits to be sent to both."""
    given: dict[str, Any] = {
        "model": "fraud",
        "model_version": "1",
        "window": "24h",
        "start": MADE_AT - 86400,
        "end": MADE_AT,
        "trigger": "verdict",
        "created_at": MADE_AT,
        "mlflow_state": "waiting",
        "evidently_state": "waiting",
        "finished_at": MADE_AT + 5,
        **fields,
    }
    key = store.ensure_version(given["model"], given["model_version"], 0).key
    report = StoredReport(id=report_id, version_id=key, **given)
    waiting = replace(report, mlflow_state="", evidently_state="", finished_at=None)
    with store.writing() as connection:
        add_report(connection, waiting)
        claimed = claim_report(connection, waiting)
        assert claimed is not None
        done = replace(report, state=ReportState.DONE, attempt=1)
        zipped = {name: gzip.compress(content) for name, content in files.items()}
        assert change_report(connection, claimed, done, values, zipped)
    return done


def read_report(store: Store, report_id: str = "4f2a") -> StoredReport:
    with store.reading() as connection:
        found = find_report(connection, report_id)
    assert found is not None
    return found
