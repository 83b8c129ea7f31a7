"""Entries of the status page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.aggregates.state import VersionCounts
from exporter.fleet import Findings, Fleet, Live, Status, Version
from exporter.storage.schema import StoredVersion
from exporter.web import status
from exporter.web.links import Links
from exporter.web.states import Level
from exporter.web.status import StatusBoard
from tests.support.cases import bad_findings, good_findings
from tests.support.rig import NOON
from tests.support.traffic import SETTINGS, make_timeline

LINKS = Links("https://g.example", "", "http://localhost:19464")


def add(fleet: Fleet, model: str, number: str, *aliases: str, findings: Findings | None = None) -> Version:
    version = Version(StoredVersion(len(fleet.versions), model, number, 0, NOON, "", 0))
    version.aliases, version.findings = aliases, findings
    if findings is not None:
        reference = findings.evaluation.reference
        version.live = Live(VersionCounts(1, reference, make_timeline(reference, {})))
        version.status = Status.READY
    fleet.add(version)
    return version


def steady() -> Findings:
    good = good_findings()
    return replace(good, quality=tuple(replace(window, label_drift=None) for window in good.quality))


def test_what_is_bad_comes_first_and_champions_before_others() -> None:
    fleet = Fleet(SETTINGS)
    add(fleet, "a", "1", "champion", findings=steady())
    add(fleet, "b", "9", findings=bad_findings())
    add(fleet, "b", "10", findings=bad_findings())
    add(fleet, "c", "1", "challenger", findings=bad_findings())
    add(fleet, "d", "1", "champion", findings=bad_findings())
    add(fleet, "e", "1", "champion")
    entries = StatusBoard(fleet, LINKS).entries(NOON)
    assert [(each.model, each.version) for each in entries] == [
        *(("d", "1"), ("c", "1"), ("b", "10"), ("b", "9")),
        *(("e", "1"), ("a", "1")),
    ]
    assert [each.state.level for each in entries[3:]] == [Level.BAD, Level.WARN, Level.GOOD]


def test_an_entry_has_figures_with_pictures_and_links() -> None:
    fleet = Fleet(SETTINGS)
    add(fleet, "x/y", "1", "champion", findings=bad_findings())
    (entry,) = StatusBoard(fleet, LINKS).entries(NOON)
    assert [figure.name for figure in entry.worst] == ["recall", "age: missing", "age (1h)"]
    assert entry.quality == entry.worst[0]
    assert entry.drift == entry.worst[2]
    assert (entry.drift.value, entry.drift.against, entry.drift.limit) == (0.31, "limit", 0.112)
    assert entry.path == "models/x%2Fy/versions/1"
    assert entry.dashboard.startswith("https://g.example/d/mlflow-model?var-model=x%2Fy&")
    assert entry.registered == ""


def test_a_version_is_described_anew_only_if_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(SETTINGS)
    first = add(fleet, "a", "1", findings=steady())
    second = add(fleet, "b", "1", findings=bad_findings())
    described = []
    describe = status.describe
    monkeypatch.setattr(status, "describe", lambda version: described.append(version) or describe(version))
    board = StatusBoard(fleet, LINKS)
    board.entries(NOON)
    assert described == [first, second]
    board.entries(NOON + 1)
    assert described == [first, second]
    second.findings = bad_findings()
    board.entries(NOON + 2)
    first.aliases = ("champion",)
    [*_, last] = board.entries(NOON + 3)
    assert described == [first, second, second, first]
    assert last.aliases == ("champion",)


def test_a_version_that_is_gone_is_forgotten() -> None:
    fleet = Fleet(SETTINGS)
    add(fleet, "a", "1", findings=steady())
    board = StatusBoard(fleet, LINKS)
    assert len(board.entries(NOON)) == 1
    fleet.remove([("a", "1")])
    assert board.entries(NOON) == []
    assert board._known == {}
