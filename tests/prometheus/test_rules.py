"""The alert rules: well-formed, complete, and held to the specifications in `rules/<AlertName>.yml`."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from exporter.evaluation.figures import HIGHER_IS_BETTER, QUALITY_METRICS
from tests.prometheus.alerting import (
    ALERTS,
    PROMETHEUS,
    RECORDED,
    RULE_FILES,
    RULES,
    Rule,
    queried,
    read_yaml,
)
from tests.support.rig import Rig, make_rows

SPECIFICATIONS = sorted((Path(__file__).parent / "rules").glob("*.yml"))
RUNBOOK_URL = "https://github.com/mlflow-exporter/mlflow-exporter/blob/main/prometheus/runbooks/{}.md"
DASHBOARD_URL = "http://localhost:3000/d/mlflow-"

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.alert}-{rule.severity}")


def rules_of(alert: str) -> list[Rule]:
    return [rule for rule in RULES if rule.alert == alert]


def narrowed(specification: Path, directory: Path) -> Path:
    """Copy of a specification with only the rules that it names and those that these are made of.

    promtool evaluates all rules of a file at every step, which takes more than half of its time.
    """
    text = specification.read_text()
    named = [rule for rule in RULES if re.search(rf"\b{rule.alert}\b", text)]
    queries = [text, *(query for rule in named for query in (rule.expr, *rule.annotations.values()))]
    recorded = [name for name in RECORDED if any(name in query for query in queries)]
    kept = {rule.alert for rule in named} | set(re.findall(r"\w+:\w+:\w+", queried(" ".join(recorded))))
    for path in RULE_FILES:
        groups = read_yaml(path)["groups"]
        for group in groups:
            group["rules"] = [
                rule for rule in group["rules"] if rule.get("alert", rule.get("record")) in kept
            ]
        (directory / path.name).write_text(yaml.safe_dump({"groups": groups}))
    copy = directory / "specification.yml"
    copy.write_text(text.replace("../../../prometheus/rules/", ""))
    return copy


def run(*command: object) -> None:
    # Two weeks of samples take promtool some seconds, on a busy machine more. A sixth would be its collector.
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "GOGC": "400"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_prometheus_takes_the_configuration(program: Callable[[str], str]) -> None:
    run(program("promtool"), "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.needs("promtool")
def test_prometheus_finds_nothing_to_criticise_in_the_rules(program: Callable[[str], str]) -> None:
    run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda path: path.stem)
def test_alert_behaves_as_specified(
    specification: Path, program: Callable[[str], str], tmp_path: Path
) -> None:
    run(program("promtool"), "test", "rules", narrowed(specification, tmp_path))


def test_every_alert_has_its_specification_and_every_specification_its_alert() -> None:
    assert sorted({path.name.split(".")[0] for path in SPECIFICATIONS}) == ALERTS


@each_rule
def test_severity_is_one_that_alertmanager_routes(rule: Rule) -> None:
    assert rule.severity in {"critical", "warning", "info", "none"}


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if len(rules_of(alert)) > 1])
def test_alertmanager_inhibits_the_warning_beside_the_critical_alert(alert: str) -> None:
    """Held against data by each alert's specification; here so that none with two severities is forgotten."""
    critical, warning = rules_of(alert)
    assert (critical.severity, warning.severity) == ("critical", "warning")
    assert critical.annotations == warning.annotations
    assert any(
        'severity = "critical"' in rule["source_matchers"] and "alertname" in rule["equal"]
        for rule in read_yaml(PROMETHEUS / "alertmanager.yml")["inhibit_rules"]
    )


@each_rule
def test_annotations_say_what_happens_what_to_do_and_where_to_look(rule: Rule) -> None:
    assert rule.annotations["summary"].endswith(".")
    assert rule.annotations["description"].endswith(".")
    assert rule.annotations["runbook_url"] == RUNBOOK_URL.format(rule.alert)
    assert rule.annotations["dashboard_url"].startswith(DASHBOARD_URL)


@each_rule
def test_dashboard_variables_are_escaped(rule: Rule) -> None:
    url = rule.annotations["dashboard_url"]
    variables = re.findall(r"var-(\w+)=\{\{ (.*?) \}\}", url)
    assert len(variables) == url.count("var-")
    named = {"alias": "champion"}  # the dashboard of versions has a variable for each of the two
    for variable, value in variables:
        label = re.fullmatch(r'(?:\$labels\.|\. \| first \| label ")(\w+)"? \| urlquery', value)
        assert label is not None
        assert variable == named.get(label[1], label[1])


@each_rule
def test_description_says_what_to_do_first(rule: Rule) -> None:
    assert rule.alert == "Watchdog" or "First: " in rule.annotations["description"]


def test_a_challenger_is_held_against_the_champion_in_every_metric_that_has_a_direction() -> None:
    better = RECORDED["version_metric_window:mlflow_model_quality:better"]
    higher, lower = (set(names.split("|")) for names in re.findall(r'metric=~"([^"]+)"', better))
    assert higher == HIGHER_IS_BETTER
    assert lower == {name for names in QUALITY_METRICS.values() for name in names} - HIGHER_IS_BETTER - {
        "bias"
    }


def test_whether_natural_variation_is_known_mutes_no_alert_on_drift() -> None:
    """Held against data by each alert's specification; here so that no alert on drift is forgotten."""
    judged = [rule for rule in RULES if re.search(r"^ModelMany|^Model[A-Z][a-z]+Drift$", rule.alert)]
    assert len(judged) >= 5
    for rule in judged:
        assert "mlflow_model_version_info" not in rule.expr, rule.alert


def test_the_job_that_the_rules_name_is_scraped() -> None:
    named = {job for rule in RULES for job in re.findall(r'job="([^"]+)"', rule.expr)}
    scraped = {job["job_name"] for job in read_yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    assert named == {"mlflow-exporter"}
    assert named <= scraped


def test_a_request_that_the_model_failed_to_answer_is_judged_where_the_rule_looks(
    start: Callable[..., Rig],
) -> None:
    rig = start()
    rig.post_rows(make_rows(60) + make_rows(40, prefix="failed", prediction=None, score=None))
    rig.evaluate()
    unanswered = RECORDED["column:mlflow_model_data_quality_ratio:unanswered"]
    expressions = [unanswered, *(rule.expr for rule in rules_of("ModelErrorRateHigh"))]
    selectors = {
        f"{metric}{{{labels}}}"
        for expr in expressions
        for metric, labels in re.findall(r"(?<!:)(mlflow_model_data_quality_\w+)\{([^}]*)\}", expr)
    }
    expected = {"ratio": 0.4, "degraded": 1, "severe": 0}
    assert len(selectors) == len(expected)
    for selector in selectors:
        metric, labels = selector.rstrip("}").split("{")
        (value,) = (
            value
            for name, value in rig.series(metric).items()
            if set(labels.split(",")) <= set(re.findall(r'\w+="[^"]*"', name))
        )
        assert value == expected[metric.removeprefix("mlflow_model_data_quality_")]


def test_an_alert_on_a_model_is_recognized_whatever_its_other_labels() -> None:
    """The rule holds alerts against policies by name and severity alone, so every other label has to go."""
    (deaf,) = rules_of("MLflowExporterRemediationDeaf")
    (firing,) = (name for name in RECORDED if name.endswith(":firing") and name in deaf.expr)
    (dropped,) = re.findall(r"max without \(([^)]*)\) \(\s+ALERTS", RECORDED[firing])
    specified = {
        label
        for path in SPECIFICATIONS
        if path.stem.startswith("Model")
        for test in read_yaml(path)["tests"]
        for expected in test.get("alert_rule_test", [])
        for alert in expected.get("exp_alerts", [])
        for label in alert["exp_labels"]
    }
    assert specified - {"job", "namespace", "severity"} == set(dropped.split(", ")) - {"alertstate"}
