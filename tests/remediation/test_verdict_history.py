from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from exporter.audit.record import Entry
from exporter.remediation.verdict_history import bad_verdicts
from exporter.storage.schema import audit_records
from tests.support.trail import trail


def changed(*changes: tuple[str, str, str], version: str = "2", **own: str) -> Entry:
    """A record of changes as (measure, subject, after)."""
    data: list[dict[str, Any]] = [
        {"measure": measure, "subject": subject, "window": "24h", "before": "", "after": after, **own}
        for measure, subject, after in changes
    ]
    return Entry("verdict_changed", "monitor", "fraud", version, data={"changes": data, "bad": 1})


RECALL_FELL = changed(("quality", "recall", "degraded"))
RECALL_ROSE = changed(("quality", "recall", "ok"))


def test_verdicts_are_bad_from_their_change_on() -> None:
    with trail((100.0, RECALL_FELL)) as connection:
        assert bad_verdicts(connection, "fraud", "2", 99.0) == ()
        assert bad_verdicts(connection, "fraud", "2", 100.0) == ("recall (quality)",)
        assert bad_verdicts(connection, "fraud", "3", 100.0) == ()
        assert bad_verdicts(connection, "churn", "2", 100.0) == ()


def test_verdicts_are_bad_until_they_change_again() -> None:
    lost = changed(("data_quality", "age", "degraded"), check="missing")
    unseen = changed(("data_quality", "age", "undecided"), check="unseen")
    with trail((1.0, RECALL_FELL), (2.0, lost), (3.0, RECALL_ROSE), (4.0, unseen)) as connection:
        assert bad_verdicts(connection, "fraud", "2", 2.5) == ("recall (quality)", "age (data quality)")
        assert bad_verdicts(connection, "fraud", "2", 9.0) == ("age (data quality)",)


def test_a_version_that_is_monitored_anew_begins_anew() -> None:
    anew = Entry("version_monitored", "system", "fraud", "2")
    with trail((1.0, RECALL_FELL), (2.0, anew)) as connection:
        assert bad_verdicts(connection, "fraud", "2", 1.5) == ("recall (quality)",)
        assert bad_verdicts(connection, "fraud", "2", 2.5) == ()


def test_drift_and_segments_do_not_count() -> None:
    drifted = changed(("drift", "age", "drifted"), ("change", "age", "changed"))
    segment = changed(("quality", "recall", "degraded"), segment="country=DE")
    with trail((1.0, drifted), (2.0, segment)) as connection:
        assert bad_verdicts(connection, "fraud", "2", 9.0) == ()


def test_erased_records_are_unknown() -> None:
    with trail((1.0, RECALL_FELL)) as connection:
        connection.execute(sa.update(audit_records).values(body=None))
        assert bad_verdicts(connection, "fraud", "2", 9.0) == ()
