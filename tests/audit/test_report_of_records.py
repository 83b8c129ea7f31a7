"""A report on what a running exporter recorded by itself."""

from __future__ import annotations

from exporter.audit.report import write_report
from exporter.monitoring.rebaseline import Order
from exporter.settings import parse_window
from tests.support.rig import NOON, Rig, make_rows, over_a_day

HOUR = 3600.0


def test_monitoring_is_written_up(rig: Rig) -> None:
    rows = make_rows(2000)
    for row in rows:
        row["features"]["age"] += 50
    rig.post_rows(over_a_day(rows))
    for _ in range(5):
        rig.evaluate()
        rig.clock.advance(HOUR)
    rig.service.rebaseliner.from_live(rig.version(), parse_window("24h"), Order("ada", "they are older now"))
    rig.registry.tag("fraud", "1", drift_threshold="0.3")
    rig.poll()
    version = rig.version()
    assert version.counts is not None
    with rig.service.store.reading() as connection:
        period = (NOON - HOUR, rig.clock() + 1)
        page = write_report(connection, "fraud", "1", period, rig.clock() + 1, "grace", "markdown")
    assert "is intact" in page
    assert f"| Reference | {version.counts.reference.digest} |" in page
    assert f"| Configuration | {version.facts.config_digest} |" in page
    assert "| drift_threshold | 0.3 |" in page
    assert "| windows | 1h, 24h, 7d |" in page
    assert "| drift | age | 24h | not bad | drifted |" in page
    assert "| ada | they are older now |" in page
    assert "| none → monitoring.drift_threshold 0.3 |" in page
