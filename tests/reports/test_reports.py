"""Reports as a part of the service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import ReportError
from tests.support.made_reports import ask, fake
from tests.support.rig import Rig

Start = Callable[..., Rig]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("reports: {enabled: false}", "switched off"),
        ("models: {fraud: {sample: {rows: 0}}}", "no rows are kept for reports"),
        ("reports: {}", "none was made yet"),
    ],
    ids=["off", "no sample", "not yet"],
)
def test_it_says_why_there_is_no_report(start: Start, tmp_path: Path, section: str, said: str) -> None:
    (tmp_path / "exporter.yml").write_text(section + "\n")
    rig = start(config=str(tmp_path / "exporter.yml"))
    assert said in rig.service.reports.why_none("fraud", "1", None)


def test_it_says_why_the_last_one_failed_and_what_is_not_monitored(rig: Rig) -> None:
    fake(rig, ReportError("there are no rows in the period"))
    ask(rig)
    rig.service.reports.worker.step()
    assert "there are no rows in the period" in rig.service.reports.why_none("fraud", "1", rig.clock.now)
    assert "reports are kept for 30 days" in rig.service.reports.why_none("fraud", "1", 1e9)
    assert "is not monitored" in rig.service.reports.why_none("fraud", "2", None)


def test_a_reload_takes_effect_at_once(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("reports: {window: 7d}\n")
    rig = start(config=str(path))
    assert rig.service.reports.config_of(rig.version()).window == "7d"
    path.write_text("reports: {window: 7d}\nmodels: {fraud: {reports: {window: 1h}}}\n")
    rig.service.reload()
    assert rig.service.reports.config_of(rig.version()).window == "1h"
