"""A report of a running exporter, from the request to MLflow and /metrics; Evidently is played."""

from __future__ import annotations

import pytest

from exporter.errors import RegistryUnreachableError
from exporter.registry.registry import Registry
from exporter.settings import HOUR_SECONDS
from tests.support.fakes import FakeRegistry
from tests.support.made_reports import ask, fake, stored
from tests.support.rig import Rig, eventually


def test_a_report_that_is_done_is_in_mlflow_and_its_values_on_metrics(rig: Rig) -> None:
    fake(rig)
    report = ask(rig)
    rig.service.reports.worker.step()
    rig.service.publishing.step()
    registry = rig.service.publishing._registry
    assert isinstance(registry, FakeRegistry)
    eventually(lambda: stored(rig, report).mlflow_state == "sent")
    logged = registry.reports[report.id]
    assert logged.metrics == {"rows": 7, "ValueDrift/age": 0.3}
    assert set(logged.files) == {"report.html", "report.json"}
    assert stored(rig, report).evidently_state == "off"
    assert list(rig.series("mlflow_model_evidently_value").values()) == [0.3]


def test_runs_that_expire_are_deleted_once_an_hour_also_after_mlflow_was_down(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def expire(registry: Registry, now: float) -> int:
        asked.append(now)
        raise RegistryUnreachableError("MLflow is down")

    monkeypatch.setattr(FakeRegistry, "delete_expired_reports", expire)
    publishing = rig.service.publishing
    publishing._expired_at = None
    for _ in range(2):
        publishing.step()
    rig.clock.advance(HOUR_SECONDS)
    publishing.step()
    assert len(asked) == 2
