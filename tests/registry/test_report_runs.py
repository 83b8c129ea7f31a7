"""Reports as runs of a real MLflow server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from typing import Any
from uuid import uuid4

import pytest

import exporter.registry.client
from exporter.errors import RegistryAuthError, RegistryError
from exporter.registry.models import KEPT_TAG, REPORT_ID_TAG, REPORT_TAG
from exporter.registry.registry import Registry
from exporter.registry.report_runs import MAX_NAME, ReportRun, metric_name
from tests.support.mlflow_world import World

NOW = 1_700_000_000.0
LINK = "http://exporter:19464/models/fraud/versions/1/reports/1"
# Calls of MLflow's client that change something, in their order.
STEPS = (
    "create_run",
    "log_artifact",
    "log_batch",
    "log_inputs",
    "set_terminated",
    "set_model_version_tag",
)


def make_report(model: str, **own: Any) -> ReportRun:
    report = ReportRun(
        report_id=uuid4().hex,
        experiment=f"monitoring/{model}",
        name="drift, 24h",
        model=model,
        version="1",
        started_at=NOW - 60,
        ended_at=NOW,
        metrics={"DriftedColumnsCount/share": 0.25, "ValueDrift/age": 0.5},
        headline=["DriftedColumnsCount/share"],
        tags={"monitoring.window": "24h", "monitoring.action_id": "", KEPT_TAG: "2023-12-14T22:13:20Z"},
        description="of **fraud**",
        link=LINK,
        files={"report.html": b"<h1>report</h1>", "report.json": b"{}"},
    )
    return replace(report, **own)


def runs_of(world: World, experiment: str) -> list[Any]:
    found = world.client.get_experiment_by_name(experiment)
    return list(world.client.search_runs([found.experiment_id])) if found is not None else []


def models_of(world: World, run_id: str) -> list[str]:
    """Ids of the logged models that are inputs of a run."""
    inputs = world.client.get_run(run_id).inputs
    return [each.model_id for each in inputs.model_inputs] if inputs is not None else []


def test_a_report_is_a_run_that_is_linked_to_the_version(registry: Registry, world: World) -> None:
    model = world.log_version()
    report = make_report(model)
    run_id = registry.log_report(report)
    (run,) = runs_of(world, report.experiment)
    assert (run.info.run_id, run.info.run_name, run.info.status) == (run_id, "drift, 24h", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == ((NOW - 60) * 1000, NOW * 1000)
    assert run.data.metrics == report.metrics
    assert (
        run.data.tags.items()
        >= {
            REPORT_ID_TAG: report.report_id,
            "monitoring.window": "24h",
            "mlflow.note.content": "of **fraud**",
        }.items()
    )
    assert "monitoring.action_id" not in run.data.tags
    assert {file.path for file in world.client.list_artifacts(run_id)} == {"report.html", "report.json"}

    version = registry.poll().models[model].versions["1"]
    assert models_of(world, run_id) == [version.model_id]
    logged = world.client.get_logged_model(version.model_id)
    assert [(m.key, m.run_id) for m in logged.metrics or ()] == [("DriftedColumnsCount/share", run_id)]
    assert registry.version_tags(model, "1")[REPORT_TAG] == LINK
    assert REPORT_TAG not in version.tags  # or each report would be another configuration


def test_wherever_an_attempt_breaks_off_the_next_one_continues_with_the_same_run(
    registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = make_report(world.log_version())
    for step, executed in product(STEPS, (False, True)):
        with monkeypatch.context() as patch:
            real = getattr(registry._mlflow.raw, step)
            patch.setattr(registry._mlflow.raw, step, breaks(real, executed))
            with pytest.raises(RegistryError, match="broken off"):
                registry.log_report(report)
    run_id = registry.log_report(report)
    (run,) = runs_of(world, report.experiment)
    assert (run.info.run_id, run.info.status, run.data.metrics) == (run_id, "FINISHED", report.metrics)
    assert len(world.client.get_metric_history(run_id, "ValueDrift/age")) == 1
    assert len(world.client.list_artifacts(run_id)) == len(report.files)
    assert registry.version_tags(report.model, "1")[REPORT_TAG] == LINK


def breaks(call: Callable[..., Any], executed: bool) -> Callable[..., Any]:
    """A call that fails, after it was executed or without."""

    def fail(*arguments: Any, **named: Any) -> Any:
        if executed:
            call(*arguments, **named)
        raise RuntimeError("broken off")

    return fail


def test_of_a_complete_run_only_tags_change_and_a_deleted_one_stays_deleted(
    registry: Registry, world: World
) -> None:
    report = make_report(world.log_version())
    run_id = registry.log_report(report)
    later = replace(report, tags={"monitoring.action_id": "4f2a"}, metrics={"other": 1.0}, files={"x": b""})
    assert registry.log_report(later) == run_id
    run = world.client.get_run(run_id)
    assert run.data.tags["monitoring.action_id"] == "4f2a"
    assert run.data.metrics == report.metrics
    world.client.delete_run(run_id)
    assert registry.log_report(report) == run_id
    assert runs_of(world, report.experiment) == []


def test_a_version_without_a_logged_model_and_one_that_is_gone_have_reports(
    registry: Registry, world: World
) -> None:
    model = world.add_model(versions=1)
    for number in ("1", "7"):
        report = make_report(model, version=number)
        assert models_of(world, registry.log_report(report)) == []
    assert registry.version_tags(model, "1")[REPORT_TAG] == LINK


def test_without_the_permission_to_tag_the_version_the_report_is_logged(
    registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: str) -> None:
        raise RegistryAuthError("MLflow refuses us")

    monkeypatch.setattr(registry._mlflow, "set_version_tag", refuse)
    report = make_report(world.log_version())
    registry.log_report(report)
    assert len(runs_of(world, report.experiment)) == 1
    assert "has no link to its report: MLflow refuses us" in caplog.text


def test_a_deleted_experiment_is_named(registry: Registry, world: World) -> None:
    report = make_report(world.log_version())
    registry.log_report(report)
    (run,) = runs_of(world, report.experiment)
    world.client.delete_experiment(run.info.experiment_id)
    with pytest.raises(RegistryError, match=rf"experiment {report.experiment} of MLflow is deleted: restore"):
        registry.log_report(report)


def test_runs_are_deleted_when_their_time_is_over_unless_the_tag_was_deleted(
    registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.registry.client, "RUNS_PER_PAGE", 2)
    kept = {"old": "2023-11-14T22:13:19Z", "older": "2023-10-01", "new": "2023-11-14T22:13:21Z"}
    reports = [make_report(world.log_version(), name=name, tags={KEPT_TAG: kept[name]}) for name in kept]
    reports = [replace(report, experiment=reports[0].experiment) for report in reports]
    forever = replace(reports[0], report_id=uuid4().hex, name="forever")
    for report in (*reports, forever):
        registry.log_report(report)
    world.client.delete_tag(registry.log_report(replace(forever, tags={})), KEPT_TAG)
    assert registry.delete_expired_reports(NOW) == 2
    assert {run.info.run_name for run in runs_of(world, reports[0].experiment)} == {"new", "forever"}
    assert registry.delete_expired_reports(NOW) == 0


def test_experiments_of_reports_and_their_runs_are_not_listed(registry: Registry, world: World) -> None:
    shared = f"shared {uuid4().hex[:8]}"
    trained = world.add_finished_run(world.add_experiment(shared))
    model = world.log_version()
    own = make_report(model)
    for report in (own, make_report(model, experiment=shared)):
        registry.log_report(report)
    names = registry.list_experiments()
    assert own.experiment not in names.values()
    (experiment_id,) = (key for key, name in names.items() if name == shared)
    assert [run.run_id for page in registry.list_runs([experiment_id]) for run in page] == [trained]


HOSTILE = (
    "",
    "a/b",
    "../..",
    ".",
    "//",
    "a:b",
    "<script>",
    "ünï 漢字 🎉",
    "x" * 400,
    "x" * 401,
    " a ",
    "a\nb",
    "%2e",
)


def test_any_column_has_a_metric_of_its_own(registry: Registry, world: World) -> None:
    names = [metric_name("ValueDrift(method=psi)", column) for column in HOSTILE]
    assert max(map(len, names)) == MAX_NAME
    assert all(first != second for first, second in pairwise(sorted(names)))
    report = make_report(world.log_version(), metrics=dict.fromkeys(names, 1.0))
    assert world.client.get_run(registry.log_report(report)).data.metrics == report.metrics
