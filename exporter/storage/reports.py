"""Stored reports: a row each, with its state, and the files of those that are done.

A report is claimed, and its result stored, by an update that names the state and the attempt that it was read
in, so that of two claims one succeeds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import sqlalchemy as sa

from exporter.errors import decoding
from exporter.storage.schema import report_files, reports, versions

Trigger = Literal["request", "action", "verdict", "schedule"]  # the first are made first
TRIGGERS: tuple[Trigger, ...] = ("request", "action", "verdict", "schedule")
FileName = Literal["html", "json", "snapshot"]


class ReportState(StrEnum):
    """State of a report."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


OPEN = (ReportState.WAITING, ReportState.RUNNING)
ENDED = (ReportState.DONE, ReportState.FAILED)


@dataclass(frozen=True)
class StoredReport:
    """A report on a version's live rows from `start` to `end`; times are in seconds since the epoch.

    Attributes:
        id: 32 hexadecimal digits.
        version_id: of the version in the store.
        model: name of the model.
        model_version: number of the version.
        window: length of the period, such as `24h`.
        start: of the period.
        end: of the period, exclusive.
        trigger: what it was asked for by.
        created_at: when it was asked for.
        actor: who asked for it.
        reason: for people.
        action_id: of the remediation that it belongs to; empty for none.
        verdicts: bad ones at that time: measure, column or metric, window, segment.
        state: see `ReportState`.
        attempt: how often it was begun.
        finished_at: when it was done or failed; None before.
        problem: why it failed or waits; empty if it is done.
        notes: remarks on its contents, for people.
        reference_digest: of the reference that it compares with.
        rows: of the sample in it.
        counted: rows of the period, of which they are a sample.
        mlflow_state: `waiting`, `sent`, `off` or `given_up`; empty before it is done.
        mlflow_run_id: run that it was logged to.
        evidently_state: as `mlflow_state`, for Evidently's own UI.
        evidently_run_id: run there.
        send_attempts: refusals by either.
        send_after: when it is tried again; None for at once.
        send_problem: why it is not sent yet; empty if it is.
    """

    id: str
    version_id: int
    model: str
    model_version: str
    window: str
    start: float
    end: float
    trigger: Trigger
    created_at: float
    actor: str = ""
    reason: str = ""
    action_id: str = ""
    verdicts: tuple[tuple[str, ...], ...] = ()
    state: ReportState = ReportState.WAITING
    attempt: int = 0
    finished_at: float | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()
    reference_digest: str = ""
    rows: int = 0
    counted: int = 0
    mlflow_state: str = ""
    mlflow_run_id: str = ""
    evidently_state: str = ""
    evidently_run_id: str = ""
    send_attempts: int = 0
    send_after: float | None = None
    send_problem: str = ""

    @property
    def names(self) -> tuple[str, str]:
        """Model and version."""
        return self.model, self.model_version


_SELECT = sa.select(*(column for column in reports.c if column.name != "values"))
_PRIORITY = sa.case({name: n for n, name in enumerate(TRIGGERS)}, value=reports.c.trigger)


# -- writing ------------------------------------------------------------------------------------------------


def add_report(connection: sa.Connection, report: StoredReport) -> None:
    """Store a new report."""
    connection.execute(reports.insert(), {**_encode(report), "values": "[]"})


def change_report(
    connection: sa.Connection,
    before: StoredReport,
    after: StoredReport,
    values: Sequence[Mapping[str, Any]] | None = None,
    files: Mapping[FileName, bytes] | None = None,
) -> bool:
    """Store a report's next state, with its values and files (gzip) if there are any.

    Returns:
        False if the report is not in the state and attempt of `before` any more; nothing is stored then.
    """
    changed = _encode(after) if values is None else {**_encode(after), "values": json.dumps(list(values))}
    same = (
        reports.c.id == before.id,
        reports.c.state == before.state,
        reports.c.attempt == before.attempt,
    )
    if connection.execute(sa.update(reports).where(*same).values(changed)).rowcount != 1:
        return False
    rows = [
        {"report_id": after.id, "name": name, "content": content} for name, content in (files or {}).items()
    ]
    if rows:
        connection.execute(report_files.insert(), rows)
    return True


def claim_report(connection: sa.Connection, report: StoredReport) -> StoredReport | None:
    """Begin a report that waits; return it as it is then, None if it does not wait any more."""
    claimed = replace(report, state=ReportState.RUNNING, attempt=report.attempt + 1)
    waits = report.state is ReportState.WAITING
    return claimed if waits and change_report(connection, report, claimed) else None


def expire_reports(connection: sa.Connection, before: float, kept: int, kept_bytes: int) -> int:
    """Delete reports that have ended: from before a time, and the oldest beyond what is kept.

    Args:
        connection: within a transaction.
        before: seconds since the epoch.
        kept: reports of each version by request, and as many others.
        kept_bytes: of all reports.

    Returns:
        The number of reports deleted.
    """
    sizes = (
        sa.select(report_files.c.report_id, sa.func.sum(sa.func.length(report_files.c.content)).label("size"))
        .group_by(report_files.c.report_id)
        .subquery()
    )
    query = (
        sa.select(reports.c.id, reports.c.version_id, reports.c.created_at, reports.c.trigger, sizes.c.size)
        .outerjoin(sizes, sizes.c.report_id == reports.c.id)
        .where(reports.c.state.in_(ENDED))
        .order_by(reports.c.created_at.desc())
    )
    # Apart by request, so that requests push no report out that a mail links to.
    numbers: Counter[tuple[int, bool]] = Counter()
    total, expired = 0, []
    for row in connection.execute(query):
        kind = row.version_id, row.trigger == "request"
        numbers[kind] += 1
        total += row.size or 0
        if row.created_at < before or numbers[kind] > kept or total > kept_bytes:
            expired.append({"expired": row.id})
    if expired:
        connection.execute(
            sa.delete(report_files).where(report_files.c.report_id == sa.bindparam("expired")), expired
        )
        connection.execute(sa.delete(reports).where(reports.c.id == sa.bindparam("expired")), expired)
    return len(expired)


# -- reading ------------------------------------------------------------------------------------------------


def find_report(connection: sa.Connection, report_id: str) -> StoredReport | None:
    """The report with an id, None if there is none."""
    row = connection.execute(_SELECT.where(reports.c.id == report_id)).first()
    return None if row is None else _decode(row)


def list_reports(
    connection: sa.Connection, model: str, version: str, limit: int, before: float | None = None
) -> list[StoredReport]:
    """Reports of a version, also of a retired one, newest first.

    Args:
        connection: for reading.
        model: name of the model.
        version: number of the version.
        limit: the most that are returned.
        before: only older ones, in seconds since the epoch.
    """
    # By the number of the version, by which there is an index; a model registered again has another.
    same = sa.select(versions.c.id).where(versions.c.model == model, versions.c.version == version)
    query = _SELECT.where(reports.c.version_id.in_(same))
    if before is not None:
        query = query.where(reports.c.created_at < before)
    return _load(connection, query.order_by(reports.c.created_at.desc(), reports.c.id).limit(limit))


def open_reports(connection: sa.Connection, limit: int) -> list[StoredReport]:
    """Reports that wait or are being made, in the order in which they are made."""
    query = _SELECT.where(reports.c.state.in_(OPEN))
    return _load(connection, query.order_by(_PRIORITY, reports.c.created_at, reports.c.id).limit(limit))


def find_reports(
    connection: sa.Connection, condition: sa.ColumnElement[bool], limit: int
) -> list[StoredReport]:
    """Reports for which a condition holds, oldest first."""
    return _load(
        connection, _SELECT.where(condition).order_by(reports.c.created_at, reports.c.id).limit(limit)
    )


def newest_done(connection: sa.Connection) -> list[StoredReport]:
    """The newest report that is done of each version."""
    return _newest(connection, reports.c.state == ReportState.DONE)


def newest_ended(connection: sa.Connection) -> list[StoredReport]:
    """The newest report of each version that is done or has failed."""
    return _newest(connection, reports.c.state.in_(ENDED))


def last_asked(connection: sa.Connection, trigger: Trigger) -> dict[int, float]:
    """Time at which the newest report by a trigger was asked for, by version's number in the store."""
    columns = reports.c
    query = (
        sa.select(columns.version_id, sa.func.max(columns.created_at))
        .where(columns.trigger == trigger)
        .group_by(columns.version_id)
    )
    return {int(version_id): float(at) for version_id, at in connection.execute(query)}


def load_report_file(connection: sa.Connection, report_id: str, name: FileName) -> bytes | None:
    """A file of a report, compressed by gzip; None if there is none."""
    content = sa.select(report_files.c.content).filter_by(report_id=report_id, name=name)
    found = connection.scalar(content)
    return None if found is None else bytes(found)


def load_report_values(connection: sa.Connection, report_id: str) -> list[dict[str, Any]]:
    """Values of a report's configured metrics, each with the fields of `EvidentlyValue`."""
    text = connection.scalar(sa.select(reports.c["values"]).where(reports.c.id == report_id))
    with decoding("the values of a report"):
        return [dict(value) for value in json.loads(text or "[]")]


def _newest(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[StoredReport]:
    last = (
        sa.select(reports.c.version_id, sa.func.max(reports.c.created_at).label("at"))
        .where(condition)
        .group_by(reports.c.version_id)
        .subquery()
    )
    same = sa.and_(reports.c.version_id == last.c.version_id, reports.c.created_at == last.c.at)
    found = _load(connection, _SELECT.join(last, same).where(condition).order_by(reports.c.id))
    return list({report.version_id: report for report in found}.values())


def _load(connection: sa.Connection, query: sa.Select[Any]) -> list[StoredReport]:
    return [_decode(row) for row in connection.execute(query)]


def _encode(report: StoredReport) -> dict[str, Any]:
    notes, verdicts = json.dumps(report.notes), json.dumps(report.verdicts)
    return asdict(report) | {"state": report.state.value, "notes": notes, "verdicts": verdicts}


def _decode(row: sa.Row[Any]) -> StoredReport:
    with decoding("a report"):
        decoded = {
            "state": ReportState(row.state),
            "notes": tuple(json.loads(row.notes)),
            "verdicts": tuple(map(tuple, json.loads(row.verdicts))),
        }
    return StoredReport(**{**row._mapping, **decoded})
