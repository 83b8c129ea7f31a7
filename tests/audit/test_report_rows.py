"""Records of the audit trail, told in a line each."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.audit.evidence import Record, recent_records
from exporter.audit.record import Entry
from exporter.audit.report_rows import MAX_TOLD, told
from tests.support.trail import make_entry, trail

CHANGE = {"measure": "drift", "subject": "age", "window": "24h", "before": "", "after": "drifted"}


def line(kind: str, **data: Any) -> str:
    return told(Record(1, 0.0, kind, "monitor", "champion", "ab" * 20, "3", data, "", "", erased=False))


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("verdict_changed", {"changes": [CHANGE]}, "age: drift in 24h not bad → drifted"),
        (
            "verdict_changed",
            {
                "changes": [
                    CHANGE | {"measure": "data_quality", "check": "missing", "window": "", "segment": "a=1"}
                ]
            },
            "age: data_quality (missing) in a=1 not bad → drifted",
        ),
        ("alias_moved", {"before": "2", "after": "3"}, "champion: 2 → 3"),
        (
            "config_changed",
            {"before": "aa" * 32, "after": "bb" * 32, "config": {"x": 1}},
            "aaaaaaaaaaaa → bbbbbbbbbbbb",
        ),
        ("hold", {"held": True, "reason": "ask ada"}, "champion: suspended: ask ada"),
        ("reference_built", {"new_digest": "cc" * 32, "source": "extra_files"}, "cccccccccccc, extra_files"),
        (
            "remediation",
            {
                "action": "rollback",
                "state": "applied",
                "alias_before": "3",
                "alias_after": "2",
                "reason": "moved",
            },
            "rollback abababababab: applied: 3 → 2: moved",
        ),
        (
            "alert_received",
            {"alerts": [{"alertname": "ModelFeatureDrift", "status": "firing", "column": "age"}]},
            "ModelFeatureDrift firing age",
        ),
        ("version_monitored", {}, "champion"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_record_is_told_in_a_line(kind: str, data: dict[str, Any], expected: str) -> None:
    assert line(kind, **data) == expected


def test_of_many_changes_the_first_are_told() -> None:
    changes = [CHANGE | {"subject": f"c{k}"} for k in range(MAX_TOLD + 2)]
    said = line("verdict_changed", changes=changes, omitted=5)
    assert said.count("drifted") == MAX_TOLD
    assert said.endswith("; and 7 more")


@pytest.mark.parametrize(
    "kind", ["verdict_changed", "remediation", "alert_received", "reference_built", "hold"]
)
def test_an_erased_record_is_told_without_its_content(kind: str) -> None:
    assert "→" not in line(kind)


def test_recent_records_are_the_newest_about_the_version_without_summaries() -> None:
    def moved(before: str, after: str) -> Entry:
        data = {"before": before, "after": after}
        return Entry("alias_moved", "mlflow", "fraud", after, subject="champion", data=data)

    records = [
        (1.0, make_entry(data={"changes": [CHANGE]})),
        (20.0, Entry("summary", "monitor", "fraud", "3")),
        (21.0, make_entry(model_version="2")),
        (22.0, moved("1", "2")),
        (23.0, moved("3", "2")),
        (24.0, make_entry(model="spam")),
        (25.0, make_entry(subject="country")),
    ]
    with trail(*records) as connection:
        found = recent_records(connection, "fraud", "3", 10.0, 5)
        assert [(record.at, record.kind, record.subject) for record in found] == [
            (25.0, "verdict_changed", "country"),
            (23.0, "alias_moved", "champion"),
        ]
        assert [record.at for record in recent_records(connection, "fraud", "3", 0.0, 5)] == [25.0, 23.0, 1.0]
        assert [record.at for record in recent_records(connection, "fraud", "3", 0.0, 1)] == [25.0]
