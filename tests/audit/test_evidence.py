"""Evidence from the trail on a version in a period."""

from __future__ import annotations

import pytest

from exporter.audit.evidence import Evidence, collect
from exporter.errors import AuditError
from tests.audit.version_records import (
    DAY,
    END,
    HOUR,
    LATER,
    MONITORED,
    START,
    Records,
    day_without,
    entry,
    in_order,
    summary,
)
from tests.support.trail import trail


def evidence(records: Records, start: float = START, end: float = END, now: float = LATER) -> Evidence:
    with trail(*in_order(records)) as connection:
        return collect(connection, "fraud", "3", start, end, now)


def hours(gaps: list[tuple[float, float]]) -> list[tuple[int, int]]:
    """Gaps in hours since the start of the day."""
    return [(round((start - START) / HOUR), round((end - START) / HOUR)) for start, end in gaps]


# -- gaps ---------------------------------------------------------------------------------------------------


def test_a_day_with_all_summaries_has_no_gap() -> None:
    found = evidence(DAY)
    assert len(found.hours) == 24
    assert found.missing_hours() == []


def test_hours_without_a_summary_are_gaps() -> None:
    assert hours(evidence(day_without(3, 4, 9)).missing_hours()) == [(3, 5), (9, 10)]


def test_hours_before_and_after_the_version_was_monitored_are_none() -> None:
    records = [
        (START + 2.5 * HOUR, entry("version_monitored", actor="system")),
        *(summary(hour) for hour in (3, 5)),
        (START + 7.5 * HOUR, entry("version_forgotten", actor="system")),
    ]
    assert hours(evidence(records).missing_hours()) == [(4, 5), (6, 7)]


def test_an_hour_that_has_just_ended_may_still_be_summarized() -> None:
    now = START + 6 * HOUR + 60
    assert evidence([MONITORED, *(summary(hour) for hour in range(5))], now=now).missing_hours() == []
    assert hours(evidence([MONITORED, summary(0)], now=now).missing_hours()) == [(1, 5)]


def test_a_version_that_another_exporter_monitored_before_counts_from_its_first_summary() -> None:
    assert hours(evidence([summary(20), summary(22), summary(23)]).missing_hours()) == [(21, 22)]


# -- collecting ---------------------------------------------------------------------------------------------


def test_records_of_other_versions_and_models_are_left_out() -> None:
    others = [
        (START + 5.0, entry("verdict_changed", {"changes": []}, model_version="2")),
        (START + 6.0, entry("verdict_changed", {"changes": []}, model="churn")),
        (START + 7.0, entry("alias_moved", {"before": "1", "after": "2"}, model_version="2")),
        (START - 1.0, entry("verdict_changed", {"changes": []})),
        (END, entry("verdict_changed", {"changes": []})),
    ]
    found = evidence([*DAY, *others])
    assert (found.verdicts.count, found.changes.count) == (0, 0)


def test_an_alias_that_leaves_the_version_concerns_it() -> None:
    move = entry("alias_moved", {"before": "3", "after": "2"}, model_version="2", subject="champion")
    assert evidence([*DAY, (START + 5.0, move)]).changes.count == 1


def test_memory_is_bounded() -> None:
    many = [(START + place, entry("verdict_changed", {"changes": []})) for place in range(250)]
    actions = [
        (START + place, entry("remediation", {"state": "refused"}, action_id=f"{place:040}"))
        for place in range(120)
    ]
    found = evidence([*DAY, *many, *actions])
    assert (found.verdicts.count, len(found.verdicts.records)) == (250, 200)
    assert (found.action_count, len(found.actions)) == (120, 100)


def test_summaries_of_one_hour_are_added_up() -> None:
    hour = evidence([MONITORED, summary(1), summary(1, bad=2)]).hours[int(START + HOUR)]
    assert (hour.evaluations, hour.failed, hour.rows, hour.bad) == (240, 2, 2000, 2)
    assert hour.worst == (0.3, "amount")


def test_damaged_data_are_skipped() -> None:
    cut = {"cut": {"bytes": 1, "sha256": "", "begins": ""}}
    odd = summary(1, scores={"a": "x", "b": [None]}, quality={"c": []}, verdicts=3, evaluations="many")
    found = evidence([*DAY, odd, (START + 1.0, entry("summary", cut))])
    assert len(found.hours) == 24
    assert found.hours[int(START + HOUR)].evaluations == 120


@pytest.mark.parametrize(
    ("version", "start", "message"),
    [
        ("9", START + HOUR, "no records of version 9 of model 'fraud'"),
        ("3", END + HOUR, "no records of this period"),
    ],
)
def test_what_is_not_on_record_is_said(version: str, start: float, message: str) -> None:
    with trail(*DAY) as connection, pytest.raises(AuditError, match=message):
        collect(connection, "fraud", version, start, start + HOUR, LATER)
