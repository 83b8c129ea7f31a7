"""Who is told of which alert, and which alerts keep quiet because another one says it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from graphlib import TopologicalSorter
from itertools import combinations
from uuid import uuid4

import httpx
import pytest
import yaml

from tests.monitoring.alerting import PROMETHEUS, RULES, read_yaml
from tests.monitoring.servers import running_alertmanager, wait_for

CONFIG = PROMETHEUS / "alertmanager.yml"
Labels = dict[str, str]

DOWN = {"alertname": "MLflowExporterDown", "severity": "critical"}
STALE = {
    "alertname": "MLflowExporterEvaluationStale",
    "severity": "warning",
    "model": "m",
    "model_version": "1",
}
DRIFT = {
    "alertname": "ModelFeatureDrift", "severity": "warning",
    "model": "m", "model_version": "1", "column": "x", "role": "feature",
}  # fmt: skip
QUALITY = {**DRIFT, "alertname": "ModelDataQualityDegraded", "check": "missing"}
UNREACHABLE = {"alertname": "MLflowUnreachable", "severity": "warning"}
NO_TRAFFIC = {
    "alertname": "ModelNoTraffic", "severity": "warning", "model": "m", "model_version": "1",
}  # fmt: skip


@pytest.mark.needs("amtool")
def test_alertmanager_takes_the_configuration_and_its_templates(program: Callable[[str], str]) -> None:
    done = subprocess.run(
        [program("amtool"), "check-config", CONFIG], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 templates" in done.stdout


@pytest.mark.needs("amtool")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (DRIFT, "oncall"),
        ({**QUALITY, "severity": "critical"}, "oncall"),
        (DOWN, "oncall"),
        (STALE, "oncall"),
        ({"alertname": "YourOwn", "severity": "warning"}, "oncall"),
        ({"alertname": "WithoutSeverity"}, "oncall"),
        ({"alertname": "YourOwn", "severity": "info"}, "nobody"),
        ({"alertname": "YourOwn", "severity": "none"}, "nobody"),
        ({"alertname": "Watchdog", "severity": "none"}, "dead-mans-switch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(list(value.values())[:2]),
)
def test_alert_is_sent_to(labels: Labels, receiver: str, program: Callable[[str], str]) -> None:
    matchers = [f"{name}={value}" for name, value in labels.items()]
    command = [program("amtool"), "config", "routes", "test", f"--config.file={CONFIG}", *matchers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [receiver], done.stderr


def test_columns_of_a_version_are_one_mail_and_versions_are_not() -> None:
    group_by = read_yaml(CONFIG)["route"]["group_by"]
    assert {"alertname", "namespace", "model", "model_version"} <= set(group_by)
    assert not {"column", "role", "check", "window"} & set(group_by)


def test_a_hung_evaluation_is_one_mail_for_all_versions() -> None:
    (route,) = (
        route
        for route in read_yaml(CONFIG)["route"]["routes"]
        if any("EvaluationStale" in matcher for matcher in route["matchers"])
    )
    assert not {"model", "model_version"} & set(route["group_by"])


@pytest.fixture(scope="module")
def alertmanager(
    tmp_path_factory: pytest.TempPathFactory,
    program: Callable[[str], str],
    free_ports: Callable[[int], list[int]],
) -> Iterator[str]:
    """A real Alertmanager with the repository's inhibition, which sends nothing to anybody."""
    config = read_yaml(CONFIG)
    config["templates"] = []
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    path = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    with running_alertmanager(program("alertmanager"), path, free_ports(1)[0]) as url:
        yield url


def fire(url: str, alerts: Sequence[Labels]) -> None:
    httpx.post(f"{url}/api/v2/alerts", json=[{"labels": labels} for labels in alerts]).raise_for_status()


def silent_in_each(url: str, cases: Sequence[Sequence[Labels]]) -> list[list[Labels]]:
    """Of each case, the alerts that are inhibited when those of the case fire together and no others."""
    clusters = [str(uuid4()) for _ in cases]
    fire(
        url,
        [
            {**labels, "cluster": cluster}
            for cluster, case in zip(clusters, cases, strict=True)
            for labels in case
        ],
    )
    # Alertmanager learns of alerts in their order: once it inhibits one of this pair, it knows those before.
    last = str(uuid4())
    fire(url, [{**labels, "cluster": last} for labels in (DOWN, STALE)])

    def inhibited() -> list[Labels]:
        alerts = httpx.get(f"{url}/api/v2/alerts", timeout=30).raise_for_status().json()
        found = [alert["labels"] for alert in alerts if alert["status"]["inhibitedBy"]]
        return found if STALE | {"cluster": last} in found else []

    found = wait_for("inhibition", inhibited)
    return [
        [labels for labels in case if {**labels, "cluster": cluster} in found]
        for cluster, case in zip(clusters, cases, strict=True)
    ]


critical = {"severity": "critical"}
other_version = {"model_version": "2"}
other_column = {"column": "y"}
de, fr = {"namespace": "de"}, {"namespace": "fr"}


@pytest.mark.needs("alertmanager")
@pytest.mark.parametrize(
    ("case", "speaks", "is_silent"),
    [
        ("no exporter, no drift", DOWN | de, DRIFT | de),
        ("no exporter, no traffic", DOWN | de, NO_TRAFFIC | de),
        ("no exporter, no evaluation", DOWN | de, STALE | de),
        ("no exporter, nobody to reach MLflow", DOWN | de, UNREACHABLE | de),
        ("no exporter anywhere, no drift", DOWN, DRIFT | de),
        ("no exporter anywhere, no traffic", DOWN, NO_TRAFFIC | de),
        ("no exporter anywhere, no evaluation", DOWN, STALE | de),
        ("no exporter anywhere, nobody to reach MLflow", DOWN, UNREACHABLE | de),
        ("no evaluation, no news of the version", STALE, DRIFT),
        ("critical silences warning", QUALITY | critical, QUALITY),
        ("critical silences warning of another kind", QUALITY | critical, DRIFT),
        ("unseen categories are the drift", QUALITY | {"check": "unseen"}, DRIFT),
        ("values out of range are the drift", QUALITY | {"check": "out_of_range"}, DRIFT),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_is_silent(case: str, speaks: Labels, is_silent: Labels, alertmanager: str) -> None:
    assert silent_in_each(alertmanager, [[speaks, is_silent]]) == [[is_silent]]


@pytest.mark.needs("alertmanager")
@pytest.mark.parametrize(
    ("case", "one", "other"),
    [
        ("exporter down in another namespace", DOWN | de, DRIFT | fr),
        ("evaluation of another version", STALE, DRIFT | other_version),
        ("critical in another column", QUALITY | critical, QUALITY | other_column),
        ("critical in another version", QUALITY | critical, QUALITY | other_version),
        ("critical in another namespace", QUALITY | critical | de, QUALITY | fr),
        ("missing values explain no drift", QUALITY, DRIFT),
        ("values of another type explain no drift", QUALITY | {"check": "type_mismatch"}, DRIFT),
        ("unseen categories in another column", QUALITY | {"check": "unseen"}, DRIFT | other_column),
        ("a broken column and a silent model", QUALITY | critical, NO_TRAFFIC),
        ("anything and your own alerts", DOWN, {"alertname": "YourOwn", "severity": "warning"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_both_are_told(case: str, one: Labels, other: Labels, alertmanager: str) -> None:
    assert silent_in_each(alertmanager, [[one, other]]) == [[]]


@pytest.mark.needs("alertmanager")
def test_no_alerts_silence_each_other_in_a_circle(alertmanager: str) -> None:
    """Two that inhibit each other, directly or by way of others, would both be silent."""
    checks = ("missing", "unseen", "out_of_range", "type_mismatch")
    alerts = [
        {**DRIFT, "check": check, "alertname": rule.alert, "severity": rule.severity}
        for rule in RULES
        for check in checks
    ]
    pairs = list(combinations(range(len(alerts)), 2))
    silent = silent_in_each(alertmanager, [[alerts[one], alerts[other]] for one, other in pairs])
    silencers = TopologicalSorter[int]()
    for (one, other), quiet in zip(pairs, silent, strict=True):
        if alerts[one] in quiet:
            silencers.add(one, other)
        if alerts[other] in quiet:
            silencers.add(other, one)
    silencers.prepare()  # raises CycleError
    assert silencers.is_active()
