"""Findings of evaluations in the audit trail: changed verdicts, summaries of hours, across restarts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

import exporter.monitoring.journal
from exporter.errors import StoreError
from exporter.fleet import BadVerdict
from exporter.monitoring.rebaseline import Order
from exporter.monitoring.verdicts import Subject
from exporter.settings import parse_window
from exporter.storage.schema import audit_records, verdict_states
from tests.support.fakes import Clock
from tests.support.monitored import make_registry
from tests.support.rig import NOON, Rig, make_rows, make_table, over_a_day
from tests.support.trail import bodies

Start = Callable[..., Rig]
HOUR = 3600
WINDOWS = ("1h", "24h", "7d")


def entries(rig: Rig, kind: str) -> list[dict[str, Any]]:
    return [body for body in bodies(rig.service.store) if body["kind"] == kind]


def changes(rig: Rig) -> list[dict[str, Any]]:
    """Changes of verdicts of the drift of `age`, over all records."""
    found = [change for body in entries(rig, "verdict_changed") for change in body["data"]["changes"]]
    return [change for change in found if (change["measure"], change["subject"]) == ("drift", "age")]


def older(count: int = 2000, **own: Any) -> list[dict[str, Any]]:
    """Predictions for people who are fifty years older than those of the reference."""
    rows = make_rows(count, **own)
    for row in rows:
        row["features"]["age"] += 50
    return rows


# -- verdicts -----------------------------------------------------------------------------------------------


def test_a_verdict_that_changes_is_recorded_with_its_figures(rig: Rig) -> None:
    rig.post_rows(older())
    rig.evaluate()
    (body,) = entries(rig, "verdict_changed")
    version = rig.version()
    assert version.counts is not None
    assert (body["actor"], body["model"], body["model_version"]) == ("monitor", "fraud", "1")
    assert body["reference_digest"] == version.counts.reference.digest
    assert body["config_digest"] == version.facts.config_digest
    assert {change["window"] for change in changes(rig)} == {"24h", "7d"}
    found = next(change for change in changes(rig) if change["window"] == "24h")
    assert (found["before"], found["after"], found["rows"]) == ("", "drifted", 2000)
    assert found["value"] > found["limit"] > 0


def test_nothing_is_written_while_nothing_changes(rig: Rig) -> None:
    rig.post_rows(older())
    rig.evaluate()
    before = bodies(rig.service.store)
    for _ in range(3):
        rig.clock.advance(30)
        rig.evaluate()
    assert bodies(rig.service.store) == before


def test_the_end_of_a_bad_verdict_is_recorded_with_what_came_of_it(rig: Rig) -> None:
    rig.post_rows(over_a_day(older()))
    rig.evaluate()
    rig.clock.advance(25 * HOUR)
    rig.evaluate()
    ended = [change for change in changes(rig) if change["before"] == "drifted"]
    assert [(change["window"], change["after"]) for change in ended] == [("24h", "undecided")]
    assert ended[0]["reason"]
    rig.service.rebaseliner.from_live(rig.version(), parse_window("7d"), Order("ada", "they are older now"))
    rig.evaluate()
    assert entries(rig, "verdict_changed")[-1]["data"]["bad"] == 0
    new = rig.version().counts
    assert new is not None
    assert entries(rig, "verdict_changed")[-1]["reference_digest"] == new.reference.digest


def test_data_quality_is_recorded_by_check(rig: Rig) -> None:
    rows = make_rows(2000)
    for row in rows:
        row["features"]["country"] = None
    rig.post_rows(rows)
    rig.evaluate()
    (body,) = entries(rig, "verdict_changed")
    found = [change for change in body["data"]["changes"] if change["measure"] == "data_quality"]
    assert [(c["check"], c["subject"], c["after"], c["value"]) for c in found] == [
        ("missing", "country", "degraded", 1)
    ]


def test_quality_is_recorded_against_its_baseline(start: Start) -> None:
    table = make_table(2000)
    rig = start(registry=make_registry(table.append_column("label", table["prediction"])))
    days = make_rows(600, prefix="a"), make_rows(600, prefix="b", timestamp=NOON - 30 * HOUR)
    for rows in days:
        rig.post_rows(rows)
        rig.post_labels({row["id"]: 1 - row["prediction"] for row in rows})
    rig.evaluate()
    found = [
        c for b in entries(rig, "verdict_changed") for c in b["data"]["changes"] if c["measure"] == "quality"
    ]
    accuracy = next(c for c in found if (c["subject"], c["window"]) == ("accuracy", "24h"))
    assert (accuracy["after"], accuracy["value"], accuracy["baseline"]) == ("degraded", 0, 1)
    assert accuracy["shortfall"] > accuracy["limit"]


def test_a_version_says_since_when_a_verdict_is_bad_across_a_restart(start: Start) -> None:
    drift = Subject("drift", "age", "24h")
    rig = start()
    rig.post_rows(older())
    rig.evaluate()
    assert rig.version().bad_since[drift] == NOON
    rig.stop()
    rig.clock.advance(HOUR)
    same = start(registry=rig.registry, clock=rig.clock)
    same.evaluate()
    assert same.version().bad_since[drift] == NOON
    same.clock.advance(24 * HOUR)
    same.evaluate()
    assert drift not in same.version().bad_since
    assert same.version().bad_since[drift._replace(window="7d")] == NOON


@pytest.mark.parametrize("kept", [4, 5], ids=["without times", "without severities"])
def test_bad_verdicts_that_an_older_version_stored_began_at_the_last_record_of_any(
    start: Start, kept: int
) -> None:
    rig = start()
    rig.post_rows(older())
    rig.evaluate()
    before = rig.version().findings
    with rig.service.store.writing() as connection:
        known = json.loads(connection.scalar(sa.select(verdict_states.c.verdicts)) or "")
        older_form = json.dumps([each[:kept] for each in known])
        connection.execute(sa.update(verdict_states).values(verdicts=older_form))
    records = len(entries(rig, "verdict_changed"))
    rig.stop()
    rig.clock.advance(HOUR)
    same = start(registry=rig.registry, clock=rig.clock)
    same.evaluate()
    assert len(entries(same, "verdict_changed")) == records
    assert before is not None
    after = same.version().findings
    assert after is not None
    assert after.bad == before.bad
    assert set(same.version().bad_since.values()) == {NOON}


def test_verdicts_whose_records_are_pruned_began_before_the_oldest_record(start: Start) -> None:
    rig = start()
    rig.post_rows(older())
    rig.evaluate()
    rig.stop()
    rig.clock.advance(HOUR)
    same = start(registry=rig.registry, clock=rig.clock)
    same.service.journal.start("")
    with same.service.store.writing() as connection:
        known = json.loads(connection.scalar(sa.select(verdict_states.c.verdicts)) or "")
        without = json.dumps([[*each[:4], None] for each in known])
        connection.execute(sa.update(verdict_states).values(verdicts=without))
        connection.execute(sa.delete(audit_records).where(audit_records.c.at < NOON + HOUR))
    same.clock.advance(HOUR)
    same.evaluate()
    assert set(same.version().bad_since.values()) == {NOON + HOUR}


def histories(rig: Rig) -> dict[str, float]:
    """Since when, and how severely, `age` has drifted, by metric and window, on the page."""
    names = [f"mlflow_model_drift_{name}" for name in ("since_timestamp_seconds", "severe")]
    labels = 'model="fraud",model_version="1",column="age",role="feature"'
    found = {(name, window): f'{name}{{{labels},window="{window}"}}' for name in names for window in WINDOWS}
    series = rig.series(*names)
    return {f"{n.split('_')[3]} {w}": series[text] for (n, w), text in found.items() if text in series}


def test_the_page_has_since_and_severity_as_soon_as_the_verdict(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = start()
    rig.evaluate()
    assert histories(rig) == {}
    rig.post_rows(older())
    rig.evaluate()
    expected = {"since 24h": NOON, "since 7d": NOON, "severe 24h": 1, "severe 7d": 1}
    assert histories(rig) == expected
    rig.stop()
    rig.clock.advance(HOUR)
    monkeypatch.setattr(exporter.monitoring.journal.Journal, "observe", lambda *_: None)
    same = start(registry=rig.registry, clock=rig.clock)
    assert histories(same) == {}
    same.evaluate()
    assert histories(same) == expected


def test_a_verdict_that_was_severe_stays_so_until_it_ends(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift = Subject("drift", "age", "24h")
    found: list[dict[Subject, bool]] = []
    monkeypatch.setattr(exporter.monitoring.journal, "bad_subjects", lambda *_: found[0])
    rig = start()

    def severe(*each: dict[Subject, bool]) -> list[bool | None]:
        severities = []
        for found[:] in ([one] for one in each):
            rig.clock.advance(30)
            rig.evaluate()
            findings = rig.version().findings
            assert findings is not None
            assert findings.bad is not None
            severities.append(findings.bad[drift].severe if drift in findings.bad else None)
        return severities

    assert severe({drift: False}, {drift: True}, {drift: False}) == [False, True, True]
    assert len(entries(rig, "verdict_changed")) == 1
    rig.stop()
    rig = start(registry=rig.registry, clock=rig.clock)
    assert severe({drift: False}, {}, {drift: False}) == [True, None, False]
    assert rig.version().bad_since == {drift: rig.clock()}


def test_all_windows_of_a_column_are_one_incident(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    hour, day = Subject("drift", "age", "1h"), Subject("drift", "age", "24h")
    other, part = Subject("drift", "country", "24h"), Subject("drift", "age", "24h", "new=true")
    found: list[dict[Subject, bool]] = []
    monkeypatch.setattr(exporter.monitoring.journal, "bad_subjects", lambda *_: found[0])

    def after(each: dict[Subject, bool]) -> Mapping[tuple[str, str, str, str], BadVerdict] | None:
        found[:] = [each]
        rig.clock.advance(60)
        rig.evaluate()
        findings = rig.version().findings
        assert findings is not None
        return findings.bad

    assert after({hour: True}) == {hour: (NOON + 60, True)}
    assert after({hour: False, day: False, other: False, part: False}) == {
        hour: (NOON + 60, True),
        day: (NOON + 60, True),
        other: (NOON + 120, False),
        part: (NOON + 120, False),
    }
    assert after({day: False}) == {day: (NOON + 60, True)}
    assert after({hour: False}) == {hour: (NOON + 60, True)}
    assert after({}) == {}
    assert after({day: False}) == {day: (NOON + 360, False)}


def test_a_store_that_cannot_be_read_leaves_verdicts_without_their_history(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    rig = start()
    rig.post_rows(older())
    rig.evaluate()
    records = entries(rig, "verdict_changed")
    rig.stop()
    same = start(registry=rig.registry, clock=rig.clock)
    with same.service.store.writing() as connection:
        known = connection.scalar(sa.select(verdict_states.c.verdicts))
        connection.execute(sa.update(verdict_states).values(verdicts="{"))
    same.evaluate()
    assert histories(same) == {}
    drifted = "mlflow_model_drift_detected"
    assert sum(same.series(drifted).values()) == 2
    assert "since when verdicts are bad is unknown" in caplog.text
    with same.service.store.writing() as connection:
        connection.execute(sa.update(verdict_states).values(verdicts=known))
    same.evaluate()
    assert histories(same)["since 24h"] == NOON
    assert entries(same, "verdict_changed") == records


def test_a_restart_neither_repeats_a_change_nor_misses_one(start: Start, store_uri: str) -> None:
    rig = start(store=store_uri)
    rig.post_rows(older())
    rig.evaluate()
    known = entries(rig, "verdict_changed")
    rig.stop()
    same = start(store=store_uri, registry=rig.registry, clock=rig.clock)
    same.evaluate()
    assert entries(same, "verdict_changed") == known
    same.stop()
    same.clock.advance(25 * HOUR)  # while it is off, the rows leave the window of a day
    later = start(store=store_uri, registry=rig.registry, clock=rig.clock)
    later.evaluate()
    assert [c["window"] for c in changes(later) if c["before"] == "drifted"] == ["24h"]


def test_a_change_that_cannot_be_stored_is_recorded_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    rig.post_rows(older())
    with monkeypatch.context() as failing:
        failing.setattr(exporter.monitoring.journal, "append", fail)
        rig.evaluate()
        rig.evaluate()
    assert changes(rig) == []
    rig.evaluate()
    assert len(changes(rig)) == 2


def test_many_columns_are_one_record_of_bounded_size(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.monitoring.journal, "MAX_CHANGES", 2)
    rig = start()
    rig.post_rows(older())
    rig.evaluate()
    (body,) = entries(rig, "verdict_changed")
    assert len(body["data"]["changes"]) == 2
    assert body["data"]["omitted"] == body["data"]["bad"] - 2 > 0


def test_a_verdict_that_goes_to_and_fro_waits_for_the_next_hour(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    drifted = frozenset({Subject("drift", "age", "24h")})
    found = [frozenset(), drifted]
    monkeypatch.setattr(exporter.monitoring.journal, "MAX_RECORDS", 4)
    monkeypatch.setattr(
        exporter.monitoring.journal, "bad_subjects", lambda *_: dict.fromkeys(found[0], False)
    )
    for _ in range(10):
        rig.evaluate()
        found.reverse()
        rig.clock.advance(30)
    records = entries(rig, "verdict_changed")
    assert len(records) == 4
    assert [body["data"].get("next_after") for body in records] == [None, None, None, NOON + HOUR]
    found = [drifted]
    rig.clock.advance(HOUR)
    rig.evaluate()
    assert entries(rig, "verdict_changed")[-1]["data"]["bad"] == 1
    assert len(entries(rig, "verdict_changed")) == 5


def test_a_verdict_that_goes_to_and_fro_is_bad_since_the_trail_says_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Subject("drift", "age", "24h"), Subject("drift", "country", "24h")
    monkeypatch.setattr(exporter.monitoring.journal, "MAX_RECORDS", 1)
    found: list[frozenset[Subject]] = []
    monkeypatch.setattr(exporter.monitoring.journal, "bad_subjects", lambda *_: dict.fromkeys(found[0], 0))
    since = []
    for names in ({first}, {}, {first}, {first, second}, {first, second}):
        found[:] = [frozenset(names)]
        rig.evaluate()
        since.append({name.name: at - NOON for name, at in rig.version().bad_since.items()})
        rig.clock.advance(30)
    assert since == [{"age": 0}, {}, {"age": 0}, {"age": 0, "country": 90}, {"age": 0, "country": 90}]
    rig.clock.advance(HOUR)
    rig.evaluate()
    assert len(entries(rig, "verdict_changed")) == 2
    assert rig.version().bad_since == {first: NOON, second: NOON + 90}


def test_verdicts_of_a_version_that_is_monitored_again_are_recorded_again(rig: Rig) -> None:
    rig.post_rows(older())
    rig.evaluate()
    rig.registry.tag("fraud", "1", enabled="false")
    rig.poll()
    rig.registry.tag("fraud", "1", enabled="true")
    rig.poll()
    rig.evaluate()
    assert [change["after"] for change in changes(rig)] == ["drifted"] * 4


# -- hours --------------------------------------------------------------------------------------------------


def test_an_hour_is_summarized_at_its_end(rig: Rig) -> None:
    rig.post_rows(make_rows(1000))
    rig.evaluate()
    rig.clock.advance(1800)
    rig.post_rows(older(2000))
    for _ in range(7):
        rig.evaluate()
        rig.clock.advance(300)
    rig.evaluate()
    (body,) = entries(rig, "summary")
    data, version = body["data"], rig.version()
    assert version.counts is not None
    assert (body["reference_digest"], body["config_digest"]) == (
        version.counts.reference.digest,
        version.facts.config_digest,
    )
    assert (data["hour"], data["from"], data["to"]) == (NOON, NOON, NOON + HOUR)
    assert (data["evaluations"], data["rows"], data["window"]) == (7, 3000, "24h")
    assert "failed" not in data
    low, high, last = data["score_thousandths"]["age"]
    assert low < 100 < high
    assert last == high
    assert data["verdicts"].keys() == {"bad", "good", "undecided"}
    assert sum(data["verdicts"].values()) > 10
    assert "partial" not in data


def test_an_hour_without_traffic_is_summarized_too_and_one_that_was_missed_is_not(rig: Rig) -> None:
    rig.evaluate()
    rig.clock.advance(5 * HOUR)
    rig.evaluate()
    rig.clock.advance(HOUR - 250)
    rig.evaluate()
    rig.clock.advance(250)
    rig.evaluate()
    found = [body["data"] for body in entries(rig, "summary")]
    assert [(data["hour"], data["evaluations"], data["rows"]) for data in found] == [
        (NOON, 1, 0),
        (NOON + 5 * HOUR, 2, 0),
    ]
    assert [data.get("partial") for data in found] == [True, None]
    assert found[0]["to"] == NOON, "so long it was watched"


def test_a_version_without_a_reference_is_summarized(start: Start) -> None:
    rig = start(registry=make_registry(None))
    rig.post_rows(make_rows(7))
    for _ in range(13):
        rig.evaluate()
        rig.clock.advance(300)
    (body,) = entries(rig, "summary")
    assert (body["data"]["evaluations"], body["data"]["rows"]) == (0, 7)
    assert body["data"]["status"] == "no reference"
    assert "score_thousandths" not in body["data"]


def test_a_new_reference_begins_a_summary_of_its_own(rig: Rig) -> None:
    rig.post_rows(over_a_day(make_rows(1500)))
    rig.evaluate()
    rig.clock.advance(60)
    rig.service.rebaseliner.from_live(rig.version(), parse_window("24h"), Order("ada", "as it is"))
    rig.evaluate()
    rig.service.journal.stop()
    (first,) = entries(rig, "summary")
    assert first["reference_digest"] == entries(rig, "reference_built")[0]["reference_digest"]
    assert (first["data"]["partial"], first["data"]["from"], first["data"]["to"]) == (True, NOON, NOON + 60)


def test_a_clock_that_is_put_back_ends_the_hour_and_is_recorded(rig: Rig) -> None:
    rig.evaluate()
    rig.clock.now -= 2 * HOUR
    rig.evaluate()
    (body,) = entries(rig, "clock_set_back")
    assert body["data"] == {"before": NOON, "after": NOON - 2 * HOUR}
    assert [body["data"]["hour"] for body in entries(rig, "summary")] == [NOON]


def test_a_stop_and_a_start_are_recorded_and_the_hour_is_in_two_parts(start: Start, store_uri: str) -> None:
    clock = Clock(NOON)
    first = start(store=store_uri, clock=clock)
    first.service.journal.start("")
    first.post_rows(make_rows(10))
    first.evaluate()
    clock.advance(600)
    first.service.journal.stop()
    first.stop()
    clock.advance(600)
    second = start(store=store_uri, registry=first.registry, clock=clock)
    second.service.journal.start("")
    second.evaluate()
    for _ in range(9):
        clock.advance(300)
        second.evaluate()
    parts = [
        (b["data"]["from"] - NOON, b["data"]["to"] - NOON, b["data"]["rows"])
        for b in entries(second, "summary")
    ]
    assert parts == [(0, 600, 10), (1200, HOUR, 0)]
    assert entries(second, "stopped")[0]["data"] == {"seconds": 600}
    begun = [(body["data"]["clean"], body["data"]["silent_since"]) for body in entries(second, "started")]
    assert begun[0][0] is False, "records of the poll before"
    assert begun[1] == (True, NOON + 600)
