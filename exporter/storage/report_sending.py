"""State of the sending of stored reports: where each still has to be sent, and when.

A report is claimed by an update that names its states and the time at which it was due, so that of several
exporters one sends it. A process that ends while it sends leaves a report that is due again when the claim is
over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

import sqlalchemy as sa

from exporter.storage.reports import StoredReport, find_reports
from exporter.storage.schema import reports

DestinationName = Literal["mlflow", "evidently"]
SendState = Literal["waiting", "sent", "off", "given_up"]
DESTINATIONS: tuple[DestinationName, ...] = get_args(DestinationName)


def is_waiting(report: StoredReport, destination: DestinationName) -> bool:
    """Return true if a report still has to be sent to a destination."""
    return bool(getattr(report, f"{destination}_state") == "waiting")


def find_unsent(
    connection: sa.Connection, destinations: Collection[DestinationName], now: float, limit: int
) -> list[StoredReport]:
    """The oldest reports that have to be sent to one of these destinations and are due."""
    due = sa.or_(reports.c.send_after.is_(None), reports.c.send_after <= now)
    return find_reports(connection, sa.and_(_waits(destinations), due), limit)


def count_unsent(connection: sa.Connection) -> Mapping[DestinationName, int]:
    """Number of reports that wait to be sent, by destination."""
    # Each by its index: a scan would read the values of all reports.
    counts = [
        sa.select(sa.func.count()).select_from(reports).where(_waits([name])).scalar_subquery().label(name)
        for name in DESTINATIONS
    ]
    found = connection.execute(sa.select(*counts)).one()
    return {name: int(found._mapping[name]) for name in DESTINATIONS}


def claim_sending(connection: sa.Connection, report: StoredReport, until: float) -> bool:
    """Keep others from sending a report until a time; return false if another was faster."""
    names = ("send_after", *(f"{name}_state" for name in DESTINATIONS))
    same = [reports.c[name].is_not_distinct_from(getattr(report, name)) for name in names]
    claim = sa.update(reports).where(reports.c.id == report.id, *same).values(send_after=until)
    return connection.execute(claim).rowcount == 1


def store_sending(
    connection: sa.Connection,
    report: StoredReport,
    states: Mapping[DestinationName, SendState],
    run_ids: Mapping[DestinationName, str],
    **columns: Any,
) -> None:
    """Store changed states, ids of runs, and other columns of a report."""
    changed: dict[str, str] = {f"{name}_state": state for name, state in states.items()}
    changed |= {f"{name}_run_id": run_id for name, run_id in run_ids.items()}
    connection.execute(sa.update(reports).where(reports.c.id == report.id).values(changed | columns))


def store_send_problem(connection: sa.Connection, destination: DestinationName, problem: str) -> None:
    """Store the reason why none of the reports is sent to a destination now."""
    connection.execute(sa.update(reports).where(_waits([destination])).values(send_problem=problem))


def store_action(connection: sa.Connection, report: StoredReport, action_id: str) -> None:
    """Store the remediation that a report belongs to; MLflow is told if it has the report already."""
    again = sa.case((reports.c.mlflow_state == "sent", "waiting"), else_=reports.c.mlflow_state)
    without = (reports.c.id == report.id, reports.c.action_id == "")
    connection.execute(sa.update(reports).where(*without).values(action_id=action_id, mlflow_state=again))


def _waits(destinations: Collection[DestinationName]) -> sa.ColumnElement[bool]:
    # Empty before the report is done.
    return sa.or_(*(reports.c[f"{name}_state"] == "waiting" for name in destinations))
