"""Reports on a version."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from exporter.audit.checkpoint import SigningKey
from exporter.audit.erasure import erase
from exporter.audit.record import Entry
from exporter.audit.report import MAX_SIGNS, write_report
from exporter.audit.trail import append
from exporter.storage.schema import audit_records
from tests.audit.version_records import (
    CONFIGURATION,
    DAY,
    END,
    HOUR,
    LATER,
    MONITORED,
    REFERENCE,
    START,
    Records,
    day_without,
    entry,
    in_order,
    summary,
    system,
)
from tests.support.trail import sign, trail

ACTION = "c0ffee" * 6 + "abcd"
KEY = SigningKey("test", bytes(32))


def report(records: Records, form: Any = "markdown") -> str:
    with trail(*in_order(records)) as connection:
        sign(connection, KEY, LATER)
        return write_report(connection, "fraud", "3", (START, END), LATER, "ada", form)


def section(page: str, heading: str) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_first_screen_has_proof_completeness_and_figures() -> None:
    page = report(DAY).partition("\n## ")[0]
    assert "**✓ The chain of records 3 to 27 is intact, and a signed checkpoint covers all of it.**" in page
    assert "**✓ Every hour in which the version was monitored is on record.**" in page
    assert f"| Reference | {REFERENCE} |" in page
    assert "| Hours observed | 24, and 0 missing |" in page
    assert "| Predictions | 24,000 |" in page
    assert "UTC, for ada, by mlflow-exporter" in page


def test_without_summaries_nothing_is_said_of_predictions() -> None:
    page = report([(START, entry("version_monitored", {}))])
    assert "| Predictions |" not in page


def test_what_was_monitored_against_what_is_shown() -> None:
    config = {"windows": ["1h", "24h"], "drift_threshold": 0.1, "minimums": {"labels": 200}, "target": None}
    data = {"before": "", "after": CONFIGURATION, "config": config}
    change = entry("config_changed", data, config_digest=CONFIGURATION)
    page = report([*DAY, (START - 10.0, change)])
    monitored = section(page, "What was monitored, and against what")
    assert "| 2026-10-31 22:00:00 | 9f9f9f9f9f9f | models:/fraud/3 | 9 |" in monitored
    assert "| windows | 1h, 24h |" in monitored
    assert "| drift_threshold | 0.1 |" in monitored
    assert "| minimums.labels | 200 |" in monitored
    assert f"| Configuration | {CONFIGURATION} |" in page


def test_verdicts_are_shown_over_time() -> None:
    drift = {"measure": "drift", "subject": "amount", "window": "24h", "before": "", "after": "drifted"}
    missing = {"measure": "data_quality", "check": "missing", "subject": "age", "segment": "country=DE"}
    undecided = {"before": "degraded", "after": "undecided", "reason": "too few rows"}
    changes = [{**drift, "value": 0.312, "limit": 0.12}, {**missing, **undecided}]
    change = (START + 5.5 * HOUR, entry("verdict_changed", {"changes": changes}))
    page = report([*day_without(5), summary(5, bad=1), change])
    assert "| 2026-11-01 00:00:00 | 24 | 2,880 | 24 | 24,000 | 1 | 0.3 (amount) | recall 0.82 |" in page
    assert "| drift | amount | 24h | not bad | drifted | 0.312 | 0.12 | 9f9f9f9f9f9f |" in page
    assert "| data_quality (missing) | age in country=DE |  | degraded | undecided: too few rows |" in page
    assert "|.....X..................|" in page


def test_actions_are_shown_with_who_and_before_and_after() -> None:
    policy = {"actor": "remediation/champion-rollback", "action_id": ACTION}
    planned = {"state": "planned", "action": "rollback", "target_version": "2"}
    applied = {"state": "applied", "action": "rollback", "alias_before": "3", "alias_after": "2"}
    rehearsed = {
        "state": "dry_run",
        "action": "retrain",
        "would": "post to airflow",
        "refusals": [{"guard": "cooldown", "reason": "3 h are left"}],
    }
    alert = {
        "alerts": [
            {
                "alertname": "ModelQualityDegraded",
                "status": "firing",
                "severity": "critical",
                "metric": "recall",
            }
        ],
        "plans": [{"policy": "champion-rollback", "action": "rollback", "action_id": ACTION}],
    }
    page = report(
        [
            *DAY,
            (START, entry("alert_received", alert, actor="alertmanager")),
            (START + 1.0, entry("remediation", planned, **policy)),
            (START + 2.0, entry("approval", {"reason": "it looks right"}, actor="ada", action_id=ACTION)),
            (START + 3.0, entry("remediation", applied, **policy)),
            (START + 9.0, entry("remediation", rehearsed, action_id="f" * 40)),
        ]
    )
    actions = section(page, "Actions, decisions and approvals")
    assert "| rollback | planned | remediation/champion-rollback | to 2 |" in actions
    assert "| approval |  | ada |  | it looks right |" in actions
    assert "| rollback | applied | remediation/champion-rollback | 3 → 2 |" in actions
    assert "| post to airflow; cooldown: 3 h are left |" in actions
    assert "| Actions | 2: 1 applied, 1 dry_run |" in page
    alerts = section(page, "Alerts received")
    assert "| ModelQualityDegraded | firing | critical | recall | champion-rollback: rollback |" in alerts


def test_gaps_are_shown_with_starts_and_stops() -> None:
    records = [
        *day_without(3),
        (START + 4 * HOUR, system("started", clean=False, silent_since=START + 3 * HOUR)),
        (START + 9 * HOUR, system("stopped", seconds=18000)),
    ]
    page = report(records)
    assert "**✗ 1 hour has no record, though the version was monitored: see Gaps.**" in page
    gaps = section(page, "Gaps")
    assert "| 2026-11-01 03:00:00 | 2026-11-01 04:00:00 | 1 |" in gaps
    assert "started | nothing was recorded since 2026-11-01 03:00:00; it ended without a stop |" in gaps
    assert "| stopped | after 18,000 s |" in gaps


def test_erased_records_are_counted() -> None:
    with trail(*DAY, (END - 1.0, entry("hold", {"reason": "a name"}))) as connection:
        erase(connection, len(DAY) + 1, "ada", "a person asked", END)
        page = write_report(connection, "fraud", "3", (START, END), LATER, "ada", "markdown")
    assert "Records whose content was erased: 1." in page
    assert "no signed checkpoint covers it" in page


def test_a_checkpoint_covers_the_records_up_to_it() -> None:
    key = entry("checkpoint_key", {"vkey": KEY.vkey, "before": ""}, model="", model_version="")
    with trail(*DAY, (END - 2.0, key)) as connection:
        sign(connection, KEY, END - 1.0)
        append(connection, [entry("tags_changed", {"before": {}, "after": {}})], END - 0.5)
        page = write_report(connection, "fraud", "3", (START, END), LATER, "ada", "markdown")
    assert "is intact, and a signed checkpoint covers it up to record " in page
    assert f"| none → {KEY.vkey} |" in section(page, "Changes of configuration, tags and aliases")


def test_a_changed_record_is_named_first() -> None:
    with trail(*DAY) as connection:
        connection.execute(sa.update(audit_records).where(audit_records.c.seq == 9).values(body=b"{}"))
        page = write_report(connection, "fraud", "3", (START, END), LATER, "ada", "markdown")
    assert "**✗ The trail was changed: record 9: its content is not the one that was recorded.**" in page


def test_a_long_period_has_signs_and_rows_of_several_hours() -> None:
    long = [MONITORED, *(summary(place) for place in range(0, 24 * 100, 12))]
    period = (START, START + 100 * 24 * HOUR)
    with trail(*long) as connection:
        page = write_report(connection, "fraud", "3", period, START + 2500 * HOUR, "ada", "markdown")
    signs = page.partition("```text\n")[2].partition("|")[2].partition("|")[0]
    assert len(signs) == MAX_SIGNS
    rows = section(page, "Verdicts over time").count("\n| 20")
    assert 30 <= rows <= 45


def test_html_says_the_same() -> None:
    page = report(DAY, "html")
    assert "<title>fraud, version 3: evidence of monitoring</title>" in page
    assert "<p><strong>✓ Every hour in which the version was monitored is on record.</strong></p>" in page


def test_changes_say_what_was_changed() -> None:
    def configured(threshold: float) -> Entry:
        return entry("config_changed", {"config": {"drift_threshold": threshold, "windows": ["1h"]}})

    page = report(
        [
            *DAY,
            (START - 1.0, configured(0.1)),
            (START + 1.0, configured(0.3)),
            (
                START + 2.0,
                entry("hold", {"held": True, "reason": "moved back"}, model_version=""),
            ),
        ]
    )
    changes = section(page, "Changes of configuration, tags and aliases")
    assert "| config_changed |  | monitor | drift_threshold 0.1 → 0.3 |" in changes
    assert "| suspended: moved back |" in changes
