"""Reports as runs of MLflow, which get there after MLflow was down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter.config.reports import ReportsConfig
from exporter.exposition.reports import ReportsTelemetry
from exporter.registry.models import REPORT_TAG
from exporter.registry.registry import Registry
from exporter.reports.mlflow_sender import MlflowSender
from exporter.reports.sending import ReportSending
from exporter.storage.report_sending import store_action
from exporter.storage.store import Store
from tests.support.done_reports import MADE_AT, add_done_report, read_report
from tests.support.fakes import Clock, FakeRegistry
from tests.support.mlflow_world import World

EXTERNAL_URL = "http://exporter.example.org"


def value(metric: str, column: str, part: str, number: float) -> dict[str, Any]:
    return {"metric": metric, "column": column, "part": part, "value": number, "named": False}


@pytest.fixture
def embedded(open_store: Callable[[str], Store], tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'exporter.db'}")


def make_sender(registry: Registry, store: Store, **config: Any) -> MlflowSender:
    return MlflowSender(registry, store, lambda: ReportsConfig(**config), EXTERNAL_URL)


def test_a_report_that_waited_for_mlflow_is_sent_and_gets_its_action_later(
    embedded: Store, registry: Registry, world: World, free_port: int
) -> None:
    model = world.log_version()
    values = [value("DriftedColumnsCount", "", "share", 0.5), value("ValueDrift", "age", "", 0.25)]
    verdicts = (("drift", "age", "24h", ""), ("quality", "recall", "24h", "country=DE"))
    add_done_report(embedded, model=model, values=values, verdicts=verdicts, evidently_state="off")
    clock = Clock(MADE_AT + 60)

    def step(asked: Registry) -> None:
        sender = make_sender(asked, embedded)
        ReportSending(embedded, [sender], ReportsTelemetry(CollectorRegistry(), clock), clock).step()

    step(Registry(f"http://127.0.0.1:{free_port}", None, timeout_seconds=1))
    waiting = read_report(embedded)
    assert (waiting.mlflow_state, waiting.send_attempts) == ("waiting", 0)
    assert "cannot be reached" in waiting.send_problem

    step(registry)
    sent = read_report(embedded)
    assert (sent.mlflow_state, sent.send_problem) == ("sent", "")
    run = world.client.get_run(sent.mlflow_run_id)
    assert run.info.run_name == "version 1, 24h until 2023-11-14T22:13:20Z"
    assert run.data.metrics == {"rows": 0, "DriftedColumnsCount/share": 0.5, "ValueDrift/age": 0.25}
    link = f"{EXTERNAL_URL}/models/{model}/versions/1/reports/4f2a"
    assert (
        run.data.tags.items()
        >= {
            "monitoring.report_id": "4f2a",
            "monitoring.window": "24h",
            "monitoring.window_start": "2023-11-13T22:13:20Z",
            "monitoring.window_end": "2023-11-14T22:13:20Z",
            "monitoring.verdicts": "drift age 24h; quality recall 24h country=DE",
            "monitoring.trigger": "verdict",
            "monitoring.report_url": link,
            "monitoring.kept_until": "2023-12-14T22:13:25Z",
        }.items()
    )
    path = world.client.download_artifacts(sent.mlflow_run_id, "report.html")
    assert Path(path).read_bytes() == b"<h1>report</h1>"
    assert registry.version_tags(model, "1")[REPORT_TAG] == link

    with embedded.writing() as connection:
        store_action(connection, sent, "c0ffee")
    step(registry)
    after = read_report(embedded)
    assert (after.mlflow_state, after.mlflow_run_id) == ("sent", sent.mlflow_run_id)
    assert world.client.get_run(sent.mlflow_run_id).data.tags["monitoring.action_id"] == "c0ffee"


def test_the_description_leads_to_the_version_and_nothing_of_a_name_is_markdown(embedded: Store) -> None:
    registry = FakeRegistry()
    report = add_done_report(
        embedded,
        model="a/b [x](http://evil)",
        reason="drift of <img src=x onerror=alert(1)>",
        notes=("column `a` is left out:\n# no",),
        rows=1000,
        counted=52000,
    )
    make_sender(registry, embedded, experiment="live/{model}").send(report)
    logged = registry.reports["4f2a"]
    assert logged.experiment == "live/a/b [x](http://evil)"
    assert logged.description.splitlines() == [
        r"Live rows of [version 1 of a/b \[x\]\(http://evil\)](#/models/a%2Fb%20%5Bx%5D%28http%3A%2F%2Fevil%29"
        "/versions/1) from 2023-11-13T22:13:20Z to 2023-11-14T22:13:20Z, compared with its reference: a "
        "sample of 1,000 of 52,000 rows.",
        "",
        r"Reason: drift of \<img src=x onerror=alert\(1\)\>",
        "",
        "[The report on the exporter](http://exporter.example.org/models/a%2Fb%20%5Bx%5D%28http%3A%2F%2Fevil%29"
        "/versions/1/reports/4f2a)",
        "",
        r"- column \`a\` is left out: \# no",
    ]


def test_only_the_newest_report_is_linked_from_its_version_and_few_metrics_from_its_model(
    embedded: Store,
) -> None:
    registry = FakeRegistry()
    values = [value("A", "age", "", 1.0), *(value(f"B{n}", "", "share", 1.0) for n in range(9))]
    old = add_done_report(embedded, "old", values=values)
    add_done_report(embedded, "new", created_at=MADE_AT + 1)
    sender = make_sender(registry, embedded)
    for report in (old, read_report(embedded, "new")):
        sender.send(report)
    assert (registry.reports["old"].link, registry.reports["new"].link != "") == ("", True)
    assert registry.reports["old"].headline == [f"B{n}/share" for n in range(5)]


def test_more_values_than_mlflow_takes_are_left_to_the_artifact(embedded: Store) -> None:
    registry = FakeRegistry()
    values = [value("ValueDrift", str(n), "", 1.0) for n in range(1500)]
    make_sender(registry, embedded).send(add_done_report(embedded, values=values))
    assert len(registry.reports["4f2a"].metrics) == 1000
