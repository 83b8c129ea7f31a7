"""Routing: receivers of alerts, and inhibition."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from exporter.config.delivered_alerts import INPUT_ALERTS
from tests.prometheus.alerting import PROMETHEUS, RULES, grouping, queried, read_yaml, switch_on
from tests.prometheus.servers import running_alertmanager, wait_for
from tests.support.fakes import TIMEOUT_SECONDS

CONFIG = PROMETHEUS / "alertmanager.yml"
Labels = dict[str, str]
Program = Callable[[str], str]

DOWN = {"alertname": "MLflowExporterDown", "severity": "critical"}
SHARD_MISSING = {"alertname": "MLflowExporterShardMissing", "severity": "critical"}
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
CHANGED = {**DRIFT, "alertname": "ModelFeatureChanged"}
QUALITY = {**DRIFT, "alertname": "ModelDataQualityDegraded", "check": "missing"}
EXPLAINED = {**DRIFT, "alertname": "ModelDriftExplained", "severity": "none", "check": "unseen"}
UNREACHABLE = {"alertname": "MLflowUnreachable", "severity": "warning"}
FAILING = {**STALE, "alertname": "MLflowExporterEvaluationFailing", "stage": "evaluation"}
REJECTING = {"alertname": "MLflowExporterIngestRejecting", "severity": "warning"}
STORE = {"alertname": "MLflowExporterStoreNearLimit", "severity": "warning"}


def of_version(alert: str, **labels: str) -> Labels:
    return {"alertname": alert, "severity": "warning", "model": "m", "model_version": "1", **labels}


NO_TRAFFIC = of_version("ModelNoTraffic")
NO_REFERENCE = of_version("ModelReferenceMissing")
MANY = of_version("ModelManyFeaturesDrifted")
PREDICTIONS = of_version("ModelPredictionDrift", column="prediction", role="prediction")
LABELS = of_version("ModelLabelDrift", column="target", role="label")
WORSE = of_version("ModelQualityDegraded", metric="f1")
ESTIMATE = of_version("ModelEstimatedQualityDegraded", metric="accuracy")
ERRORS = of_version("ModelErrorRateHigh", column="prediction")
NO_SCORES = of_version("ModelDataQualityDegraded", column="score", role="score", check="missing")
SATURATED = of_version("ModelServingSaturated")
COVERAGE = of_version("ModelLabelCoverageLow")
STOPPED = {"alertname": "ModelLabelsStopped", "severity": "warning", "model": "m"}


@pytest.fixture(scope="module")
def all_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration with everything switched on that is off."""
    directory = tmp_path_factory.mktemp("all-on")
    (directory / "templates").symlink_to(PROMETHEUS / "templates")
    path = directory / "alertmanager.yml"
    path.write_text(switch_on(CONFIG.read_text()))
    return path


def amtool(program: Program, *arguments: object) -> str:
    command = [program("amtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def receivers(program: Program, config: Path, labels: Labels) -> list[str]:
    matchers = [f'{name}="{value}"' for name, value in labels.items() if value]
    return (
        amtool(program, "config", "routes", "test", f"--config.file={config}", *matchers).strip().split(",")
    )


@pytest.mark.needs("amtool")
def test_alertmanager_takes_the_configuration_and_its_templates(program: Program) -> None:
    assert "1 templates" in amtool(program, "check-config", CONFIG)  # patterns, not files


@pytest.mark.needs("amtool")
def test_alertmanager_takes_the_configuration_with_everything_switched_on(
    all_on: Path, program: Program
) -> None:
    amtool(program, "check-config", all_on)
    assert len(switch_on(CONFIG.read_text()).splitlines()) == len(CONFIG.read_text().splitlines())
    receivers = {each["name"]: each for each in read_yaml(all_on)["receivers"]}
    assert receivers["oncall"].keys() == {"name", "email_configs", "slack_configs"}
    assert "webhook_configs" in receivers["dead-mans-switch"]


def test_out_of_the_box_there_are_mail_and_the_exporter_and_nothing_else() -> None:
    for receiver in read_yaml(CONFIG)["receivers"]:
        if receiver["name"] not in ("layout", "remediation"):
            assert receiver.keys() <= {"name", "email_configs"}


def test_the_exporter_gets_every_alert_of_a_group_its_end_and_repetitions_within_the_hour() -> None:
    (receiver,) = (each for each in read_yaml(CONFIG)["receivers"] if each["name"] == "remediation")
    (webhook,) = receiver["webhook_configs"]
    assert webhook == {"url": "http://exporter:19464/v1/alerts", "max_alerts": 0}  # send_resolved is true
    routes = read_yaml(CONFIG)["route"]["routes"]
    (route,) = (each for each in routes if each.get("receiver") == "remediation")
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("1s", "1m", "1h")
    deaf = next(rule for rule in RULES if rule.alert == "MLflowExporterRemediationDeaf")
    assert "last_received_timestamp_seconds:max < 4200" in deaf.expr  # an hour, and some minutes


def test_secrets_are_in_files_of_their_own() -> None:
    text = switch_on(CONFIG.read_text())
    assert not re.findall(r"\b(?:api_url|slack_api_url|password|smtp_auth_password|credentials): ", text)
    assert len(re.findall(r"_file: /run/secrets/\w+", text)) == 3


def test_without_a_token_nothing_waits_for_its_file() -> None:
    """While a file of credentials is missing, Alertmanager sends nothing."""
    assert "credentials_file" not in str(read_yaml(CONFIG))
    assert "credentials_file" in switch_on(CONFIG.read_text())


# Whom an alert is told by what it says of severity and team; `*` is any other team.
TOLD = {
    ("critical", ""): "oncall",
    ("critical", "flights"): "flights",
    ("critical", "*"): "oncall",
    ("warning", ""): "oncall",
    ("warning", "flights"): "flights",
    ("warning", "*"): "oncall",
    ("info", ""): "nobody",
    ("info", "flights"): "nobody",
    ("info", "*"): "nobody",
    ("none", ""): "nobody",
    ("none", "flights"): "nobody",
    ("none", "*"): "nobody",
}


@contextmanager
def routing(config: dict[str, Any], directory: Path, program: Program, port: int) -> Iterator[str]:
    """A real Alertmanager with this routing and inhibition, which sends nothing to anybody."""
    receivers = [{"name": receiver["name"]} for receiver in config["receivers"]]
    path = directory / "alertmanager.yml"
    path.write_text(yaml.safe_dump({**config, "templates": [], "receivers": receivers}))
    with running_alertmanager(program("alertmanager"), path, port) as url:
        yield url


@pytest.fixture(scope="module")
def told(
    all_on: Path,
    tmp_path_factory: pytest.TempPathFactory,
    program: Program,
    free_ports: Callable[[int], list[int]],
) -> dict[tuple[str, ...], list[str]]:
    """The receivers of every alert of the rules, by "as it is" or "all on", alert, severity and team."""
    found = {}
    alerts = [
        {"alertname": alert, "severity": severity, "team": team}
        for alert, severity in {(rule.alert, rule.severity) for rule in RULES}
        for team in ("", "flights", "*")
    ]
    for name, config in (("as it is", CONFIG), ("all on", all_on)):
        directory = tmp_path_factory.mktemp("routing")
        with routing(read_yaml(config), directory, program, free_ports(1)[0]) as url:
            fire(url, alerts)
            for each in (
                httpx.get(f"{url}/api/v2/alerts", timeout=TIMEOUT_SECONDS, verify=False)
                .raise_for_status()
                .json()
            ):
                labels = each["labels"]
                key = (name, labels["alertname"], labels["severity"], labels.get("team", ""))
                found[key] = [receiver["name"] for receiver in each["receivers"]]
    return found


@pytest.mark.needs("alertmanager")
@pytest.mark.parametrize("severity", sorted({rule.severity for rule in RULES}))
@pytest.mark.parametrize("team", ["", "flights", "*"])
def test_every_alert_of_a_severity_and_team_goes_to(
    severity: str, team: str, told: dict[tuple[str, ...], list[str]]
) -> None:
    expected = TOLD[severity, team]
    alerts = {rule.alert for rule in RULES if rule.severity == severity} - {"Watchdog"}
    if team:  # is the tag of a model: what concerns the exporter itself has none
        alerts = {alert for alert in alerts if alert.startswith("Model")}
    for alert in sorted(alerts):
        besides = ["remediation"] if alert.startswith("Model") and severity != "none" else []
        for configuration in ("as it is", "all on"):
            assert told[configuration, alert, severity, team] == [*besides, expected], alert


@pytest.mark.needs("amtool")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "Watchdog", "severity": "none"}, "dead-mans-switch"),
        ({"alertname": "YourOwn", "severity": "warning"}, "oncall"),
        ({"alertname": "YourOwn", "severity": "warning", "team": "flights"}, "flights"),
        ({"alertname": "YourOwn", "severity": "page"}, "oncall"),
        ({"alertname": "WithoutSeverity"}, "oncall"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_other_alerts_go_to(labels: Labels, receiver: str, program: Program) -> None:
    assert receivers(program, CONFIG, labels) == [receiver]


@pytest.mark.needs("amtool")
def test_a_team_is_four_lines_to_copy(program: Program, tmp_path: Path) -> None:
    text = CONFIG.read_text()
    for copied in (r"^ +- \{matchers: \['team = .*\n", r"^  - name: flights.*\n.*\n.*\n"):
        (lines,) = re.findall(copied, text, re.MULTILINE)
        text = text.replace(lines, lines + lines.replace("flights", "credit"))
    (tmp_path / "templates").symlink_to(PROMETHEUS / "templates")
    path = tmp_path / "alertmanager.yml"
    path.write_text(text)
    amtool(program, "check-config", path)
    for team in ("credit", "flights"):
        assert receivers(program, path, {"severity": "critical", "team": team}) == [team]
        assert receivers(program, path, {"severity": "warning", "team": team}) == [team]


def test_metrics_of_a_version_are_one_mail_and_versions_are_not() -> None:
    group_by = grouping("ModelQualityDegraded")
    assert {"alertname", "namespace", "model", "model_version"} <= group_by
    assert not {"column", "role", "check", "metric", "window"} & group_by


def test_a_hung_evaluation_is_one_mail_for_all_versions() -> None:
    assert not {"model", "model_version"} & grouping("MLflowExporterEvaluationStale")


@pytest.mark.parametrize(
    "alert",
    sorted(
        {rule.alert for rule in RULES if rule.severity in ("warning", "critical")}
        & {*INPUT_ALERTS, "ModelLabelDrift", "ModelNoTraffic"}
    ),
)
def test_what_reaches_a_model_is_one_mail_for_all_its_versions(alert: str) -> None:
    group_by = grouping(alert)
    assert "model" in group_by
    assert not {"model_version", "column", "role", "check", "window"} & group_by


@pytest.fixture(scope="module")
def alertmanager(
    tmp_path_factory: pytest.TempPathFactory,
    program: Program,
    free_ports: Callable[[int], list[int]],
) -> Iterator[str]:
    """Shared, so that each test has a cluster of its own."""
    directory = tmp_path_factory.mktemp("alertmanager")
    with routing(read_yaml(CONFIG), directory, program, free_ports(1)[0]) as url:
        yield url


def fire(url: str, alerts: Sequence[Labels]) -> None:
    httpx.post(
        f"{url}/api/v2/alerts", json=[{"labels": labels} for labels in alerts], timeout=TIMEOUT_SECONDS
    ).raise_for_status()


def silent_in_each(url: str, cases: Sequence[Sequence[Labels]]) -> list[list[Labels]]:
    """By case, the alerts that are inhibited when exactly those of the case fire."""
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
        alerts = (
            httpx.get(f"{url}/api/v2/alerts", timeout=TIMEOUT_SECONDS, verify=False).raise_for_status().json()
        )
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
second = {"shard": "2"}


# The first alert keeps the second one quiet.
EXPLAINED_BY = [
    ("no exporter, no drift", DOWN | de, DRIFT | de),
    ("no exporter, no traffic", DOWN | de, NO_TRAFFIC | de),
    ("no exporter, no evaluation", DOWN | de, STALE | de),
    ("no exporter, nobody to reach MLflow", DOWN | de, UNREACHABLE | de),
    ("no exporter anywhere, no drift", DOWN, DRIFT | de),
    ("no exporter of a shard, no drift there", DOWN | de | second, DRIFT | de | second),
    ("no exporter of a shard, one shard missing", DOWN | de | second, SHARD_MISSING | de),
    ("no exporter anywhere, no traffic", DOWN, NO_TRAFFIC | de),
    ("no exporter anywhere, no evaluation", DOWN, STALE | de),
    ("no exporter anywhere, nobody to reach MLflow", DOWN, UNREACHABLE | de),
    ("no evaluation, no news of the version", STALE, DRIFT),
    ("critical silences warning", QUALITY | critical, QUALITY),
    ("critical silences warning of another kind", QUALITY | critical, DRIFT),
    ("unseen categories are the drift", QUALITY | {"check": "unseen"}, DRIFT),
    ("unseen categories are the change", QUALITY | {"check": "unseen"}, CHANGED),
    ("values out of range are the drift", QUALITY | {"check": "out_of_range"}, DRIFT),
    ("a day's score remembers unseen categories", EXPLAINED, DRIFT),
    ("many columns at once, not each", MANY, DRIFT),
    ("critical silences warning of the same metric", WORSE | critical, WORSE),
    ("critical silences warning of the exporter", STORE | critical, STORE),
    ("what labels prove needs no estimate", WORSE, ESTIMATE),
    ("no labels, no coverage", STOPPED, COVERAGE),
    ("labels of a few, not like all", COVERAGE, LABELS),
    ("unanswered requests have no score", ERRORS, NO_SCORES),
    ("no evaluation, nothing known of answers", STALE, ERRORS),
    ("an evaluation that fails is missed", FAILING, STALE),
    ("a reference that cannot be read is missing", FAILING | {"stage": "reference"}, NO_REFERENCE),
    ("no CPU, no speed", SATURATED, of_version("ModelLatencyHigh")),
    ("no MLflow, no reference", UNREACHABLE, NO_REFERENCE),
    ("no MLflow, nothing to read a reference from", UNREACHABLE, FAILING | {"stage": "reference"}),
    ("a full store refuses samples", STORE | critical, REJECTING),
    ("no exporter, nothing to refuse", DOWN | de, REJECTING | de),
]
# Neither keeps the other one quiet.
UNRELATED = [
    ("exporter down in another namespace", DOWN | de, DRIFT | fr),
    ("exporter of another shard down", DOWN | de | second, DRIFT | de | {"shard": "1"}),
    ("evaluation of another version", STALE, DRIFT | other_version),
    ("critical in another column", QUALITY | critical, QUALITY | other_column),
    ("critical in another version", QUALITY | critical, QUALITY | other_version),
    ("critical in another namespace", QUALITY | critical | de, QUALITY | fr),
    ("missing values explain no drift", QUALITY, DRIFT),
    ("values of another type explain no drift", QUALITY | {"check": "type_mismatch"}, DRIFT),
    ("unseen categories in another column", QUALITY | {"check": "unseen"}, DRIFT | other_column),
    ("a broken column and a silent model", QUALITY | critical, NO_TRAFFIC),
    ("a broken column and its predictions", QUALITY | critical, PREDICTIONS),
    ("many columns at once and the predictions", MANY, PREDICTIONS),
    ("many columns at once and their bad values", MANY, QUALITY),
    ("many columns of another version", MANY | other_version, DRIFT),
    ("drift, and what it does to quality", DRIFT, WORSE),
    ("one metric far off, and another one worse", WORSE | critical, WORSE | {"metric": "recall"}),
    ("worse, and slower", WORSE | critical, of_version("ModelLatencyHigh")),
    ("few labels do not make quality worse", COVERAGE, WORSE),
    ("no labels do not make estimates worse", STOPPED, ESTIMATE),
    ("labels of another model", STOPPED | {"model": "n"}, COVERAGE),
    ("unanswered requests and a missing feature", ERRORS, QUALITY),
    ("unanswered requests and scores of another type", ERRORS, NO_SCORES | {"check": "type_mismatch"}),
    ("no evaluation, but latency is counted", STALE, of_version("ModelLatencyHigh")),
    ("no evaluation, but CPU is told", STALE, SATURATED),
    ("no CPU in another version", SATURATED | other_version, of_version("ModelLatencyHigh")),
    ("no MLflow, and an evaluation that fails", UNREACHABLE, FAILING),
    ("a store that fills up and malformed samples", STORE, REJECTING),
    ("samples refused, and none from one model", REJECTING, NO_TRAFFIC),
    ("anything and your own alerts", DOWN, {"alertname": "YourOwn", "severity": "warning"}),
]
by_case = {"ids": lambda value: value if isinstance(value, str) else ""}


@pytest.fixture(scope="module")
def silent(alertmanager: str) -> dict[str, list[Labels]]:
    """Inhibited alerts by case, from one Alertmanager for all cases."""
    cases = {case: [one, other] for case, one, other in (*EXPLAINED_BY, *UNRELATED)}
    return dict(zip(cases, silent_in_each(alertmanager, list(cases.values())), strict=True))


@pytest.mark.needs("alertmanager")
@pytest.mark.parametrize(("case", "speaks", "is_silent"), EXPLAINED_BY, **by_case)
def test_is_silent(case: str, speaks: Labels, is_silent: Labels, silent: dict[str, list[Labels]]) -> None:
    assert silent[case] == [is_silent]


@pytest.mark.needs("alertmanager")
@pytest.mark.parametrize(("case", "one", "other"), UNRELATED, **by_case)
def test_both_are_sent(case: str, one: Labels, other: Labels, silent: dict[str, list[Labels]]) -> None:
    assert silent[case] == []


@pytest.mark.needs("alertmanager")
def test_no_alerts_silence_each_other_in_a_circle(alertmanager: str) -> None:
    """Two that inhibit each other, directly or by way of others, would both be silent."""
    checks = ("missing", "unseen", "out_of_range", "type_mismatch")
    kinds = sorted({(rule.alert, rule.severity, "check" in rule.expr) for rule in RULES})
    alerts = [
        {**DRIFT, "alertname": alert, "severity": severity, "check": check}
        for alert, severity, checked in kinds
        for check in (checks if checked else ("",))
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


# Remediation


def test_alerts_that_are_kept_back_by_others_do_not_make_the_exporter_look_deaf() -> None:
    """An alert that is inhibited by one that the exporter is not sent either is no failed delivery."""
    inhibitors = {
        name
        for rule in read_yaml(CONFIG)["inhibit_rules"]
        if any("Model" in matcher for matcher in rule["target_matchers"])
        for matcher in rule["source_matchers"]
        for name in re.findall(r'alertname =~? "([^"]+)"', matcher.replace("= Model", '= "Model'))
        for name in name.split("|")
    }
    severities = {rule.alert: rule.severity for rule in RULES}
    unsent = {n for n in inhibitors if not n.startswith("Model") or severities.get(n) == "none"}
    deaf = queried(next(rule for rule in RULES if rule.alert == "MLflowExporterRemediationDeaf").expr)
    # Without an exporter there is no policy either, and without MLflow only missing references are kept back.
    (named,) = re.findall(r'alertname=~"(MLflowExporter[^"]+)"', deaf)
    kept_back = {name for name in unsent if not re.fullmatch(named, name)}
    assert kept_back == {"MLflowExporterDown", "MLflowExporterNoLeader", "MLflowUnreachable"}
    assert 'alertname!="ModelReferenceMissing"' in deaf
