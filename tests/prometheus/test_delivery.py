"""From a series on /metrics, or an alert, to mails and messages: real Prometheus and Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import pytest

from tests.prometheus.servers import Target, serving_target, wait_for
from tests.prometheus.stack import Delivery, FreePorts, Program, alerting, delivering

VERSION = 'model="flights",model_version="3"'
REFERENCE = 'run_id="r",task="classification",reference_source="tag",reference_digest="d"'


SINCE = 1_795_428_000
# Opens on the window, two of which before the verdict began.
DASHBOARD = (
    "var-model=flights&var-model_version=3&var-column=dep_delay"
    f"&var-window=1h&from={1000 * (SINCE - 7200)}&to=now"
)


def exposition(*, drifted: bool) -> str:
    """A version with one column, on the two windows of which the short one may have drifted."""
    column = f'{VERSION},column="dep_delay",role="feature"'
    verdict = f"""\
mlflow_model_drift_severe{{{column},window="1h"}} 1
mlflow_model_drift_since_timestamp_seconds{{{column},window="1h"}} {SINCE}
"""
    return f"""\
{verdict if drifted else ""}\
mlflow_exporter_window_seconds{{window="1h"}} 3600
mlflow_exporter_window_seconds{{window="24h"}} 86400
mlflow_model_alias_info{{{VERSION},alias="champion",team=""}} 1
mlflow_model_version_info{{{VERSION},{REFERENCE},variation="reference"}} 1
mlflow_model_drift_score{{{column},window="1h"}} {2.31 if drifted else 0.04}
mlflow_model_drift_limit{{{column},window="1h"}} 0.204
mlflow_model_drift_detected{{{column},window="1h"}} {int(drifted)}
mlflow_model_drift_score{{{column},window="24h"}} 0.08
mlflow_model_drift_limit{{{column},window="24h"}} 0.153
mlflow_model_drift_detected{{{column},window="24h"}} 0
"""


@contextmanager
def watched_target(
    directory: Path, program: Program, free_ports: FreePorts
) -> Iterator[tuple[Target, Delivery]]:
    (port,) = free_ports(1)
    with serving_target(port) as target:
        target.exposition = exposition(drifted=False)
        with alerting(directory, program, free_ports, port) as delivery:
            yield target, delivery


@pytest.mark.needs("prometheus", "alertmanager")
def test_drift_arrives_as_a_mail_and_a_message_and_so_does_its_end(
    tmp_path: Path, program: Program, free_ports: FreePorts
) -> None:
    with watched_target(tmp_path, program, free_ports) as (target, delivery):
        assert delivery.mailbox.mails == []  # the rules have been evaluated by now

        target.exposition = exposition(drifted=True)
        mail = delivery.mailbox.wait_for("[warning] ModelFeatureDrift in flights v3: dep_delay")
        assert mail["To"] == "mlops-oncall@example.org"
        for part in ("plain", "html"):
            body = mail.get_body((part,))
            assert body is not None
            content = unescape(body.get_content())
            assert "at most 0.204 over 1h" in content or "PSI 2.310 over 1h, limit 0.204" in content
            assert "champion" in content
            assert "/prometheus/runbooks/ModelFeatureDrift.md" in content
            assert f"/d/mlflow-column?{DASHBOARD}" in content

        message = delivery.webhooks.wait_for_slack("[warning] ModelFeatureDrift in flights v3: dep_delay")
        assert message["channel"] == "#mlops-alerts"
        (attachment,) = message["attachments"]
        assert "has drifted: PSI 2.310 over 1h, limit 0.204." in attachment["text"]
        assert attachment["footer"] == "serving as champion"
        assert attachment["color"] == "warning"
        assert attachment["mrkdwn_in"] == ["pretext"]
        links = {button["text"]: button["url"] for button in attachment["actions"]}
        assert re.fullmatch(
            r"http://localhost:19464/models/flights/versions/3/reports/latest\?at=\d{10}", links["Report"]
        )
        assert links["Runbook"].endswith("/prometheus/runbooks/ModelFeatureDrift.md")
        assert f"/d/mlflow-column?{DASHBOARD}" in links["Dashboard"] == attachment["title_link"]
        assert "/#/silences/new?filter=" in links["Silence"]

        target.exposition = exposition(drifted=False)
        delivery.mailbox.wait_for("[resolved] ModelFeatureDrift in flights v3: dep_delay")
        message = delivery.webhooks.wait_for_slack("[resolved] ModelFeatureDrift in flights v3: dep_delay")
        assert message["attachments"][0]["color"] == "good"
        # One each, although the rules were evaluated many times.
        assert len(delivery.mailbox.mails) == len(delivery.webhooks.at("/slack")) == 2

        # All the time, the dead man's switch heard from the rules.
        heard = len(delivery.webhooks.at("/dead-mans-switch"))
        wait_for("next sign of life", lambda: len(delivery.webhooks.at("/dead-mans-switch")) > heard > 1)


@pytest.mark.parametrize("program", ["installed"], indirect=True)  # others run with both
@pytest.mark.needs("prometheus", "alertmanager")
def test_a_dead_exporter_is_reported_and_not_taken_for_recovery(
    tmp_path: Path, program: Program, free_ports: FreePorts
) -> None:
    with watched_target(tmp_path, program, free_ports) as (target, delivery):
        target.exposition = exposition(drifted=True)
        delivery.mailbox.wait_for("[warning] ModelFeatureDrift in flights v3: dep_delay")

        target.exposition = None
        delivery.mailbox.wait_for("[critical] MLflowExporterDown")
        delivery.forget("mlflow_model_drift_detected")
        wait_for("end of the drift alert", lambda: "ModelFeatureDrift" not in delivery.alerts())
        delivery.let_every_group_have_its_turn()
        assert not [s for s in delivery.mailbox.subjects if s.startswith("[resolved] ModelFeatureDrift")]


@pytest.fixture(scope="module")
def delivery(
    tmp_path_factory: pytest.TempPathFactory, program: Program, free_ports: FreePorts
) -> Iterator[Delivery]:
    """Alertmanager alone, for all the tests below: each has a model of its own."""
    with delivering(tmp_path_factory.mktemp("delivery"), program, free_ports) as delivery:
        yield delivery


def drift(model: str, column: str = "dep_delay", **labels: str) -> dict[str, str]:
    return {
        "alertname": "ModelFeatureDrift", "model": model, "model_version": "3",
        "column": column, "role": "feature", **labels,
    }  # fmt: skip


def bad_values(model: str, **labels: str) -> dict[str, str]:
    return drift(model, alertname="ModelDataQualityDegraded", check="unseen", **labels)


def told(delivery: Delivery, model: str) -> list[str]:
    """Subjects of the mails on a model, oldest first; the messages in Slack are the same."""
    delivery.let_every_group_have_its_turn()
    mails = [subject for subject in delivery.mailbox.subjects if f"in {model} v3" in subject]
    messages = [title for title in delivery.webhooks.titles if f"in {model} v3" in title]
    assert mails == messages
    return mails


@pytest.mark.needs("alertmanager")
def test_columns_of_a_version_are_one_message(delivery: Delivery) -> None:
    delivery.fire(*(drift("columns", column) for column in "abcde"))
    assert told(delivery, "columns") == ["[warning] ModelFeatureDrift in columns v3: a, b, c and 2 more"]


@pytest.mark.needs("alertmanager")
def test_the_same_drift_of_two_versions_is_one_message(delivery: Delivery) -> None:
    delivery.fire(drift("mirrored"), drift("mirrored", model_version="4"))
    assert told(delivery, "mirrored") == ["[warning] ModelFeatureDrift in mirrored v3, v4: dep_delay"]


@pytest.mark.needs("alertmanager")
def test_answers_of_two_versions_are_two_messages(delivery: Delivery) -> None:
    answers = {"alertname": "ModelPredictionDrift", "column": "prediction", "role": "prediction"}
    delivery.fire(drift("answers", **answers), drift("answers", **answers, model_version="4"))
    assert told(delivery, "answers") == ["[warning] ModelPredictionDrift in answers v3: prediction"]


@pytest.mark.needs("alertmanager")
def test_one_more_column_is_reported_and_so_is_one_less(delivery: Delivery) -> None:
    delivery.fire(drift("more", "a"))
    told(delivery, "more")
    delivery.fire(drift("more", "b"))
    told(delivery, "more")
    delivery.resolve(drift("more", "a"), drift("more", "b"))
    assert told(delivery, "more") == [
        "[warning] ModelFeatureDrift in more v3: a",
        "[warning] ModelFeatureDrift in more v3: a, b",
        "[resolved] ModelFeatureDrift in more v3: a, b",
    ]


@pytest.mark.needs("alertmanager")
@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_a_team_gets_the_alerts_of_its_models(severity: str, delivery: Delivery) -> None:
    model = f"of-a-team-{severity}"
    delivery.fire(drift(model, team="flights", severity=severity))
    (subject,) = told(delivery, model)
    assert delivery.mailbox.wait_for(subject)["To"] == "flights-team@example.org"
    message = delivery.webhooks.wait_for_slack(subject)
    assert message["channel"] == "#flights-alerts"
    assert message["attachments"][0]["footer"] == "team flights"


@pytest.mark.needs("alertmanager")
def test_a_warning_that_becomes_critical_at_once_is_sent_as_critical_only(delivery: Delivery) -> None:
    delivery.fire(bad_values("escalating"), bad_values("escalating", severity="critical"))
    assert told(delivery, "escalating") == [
        "[critical] ModelDataQualityDegraded in escalating v3: dep_delay unseen"
    ]


@pytest.mark.needs("alertmanager")
def test_a_warning_sent_before_it_became_critical_is_sent_again_the_next_time(delivery: Delivery) -> None:
    warning, critical = bad_values("twice"), bad_values("twice", severity="critical")
    subject = "ModelDataQualityDegraded in twice v3: dep_delay unseen"
    delivery.fire(warning)
    assert told(delivery, "twice") == [f"[warning] {subject}"]
    delivery.fire(critical)
    assert told(delivery, "twice")[1:] == [f"[critical] {subject}"]
    delivery.resolve(warning, critical)  # by the rules they end together
    assert told(delivery, "twice")[2:] == [f"[resolved] {subject}"] * 2
    delivery.fire(warning)
    assert told(delivery, "twice")[4:] == [f"[warning] {subject}"]


@pytest.mark.needs("alertmanager")
def test_a_drift_that_bad_values_explain_is_not_sent(delivery: Delivery) -> None:
    delivery.fire(drift("explained"), bad_values("explained"))
    delivery.resolve(drift("explained"), bad_values("explained"))
    told(delivery, "explained")
    delivery.fire(drift("explained"), bad_values("explained"))
    assert all("ModelDataQualityDegraded" in subject for subject in told(delivery, "explained"))


@pytest.mark.needs("alertmanager")
def test_information_is_not_sent(delivery: Delivery) -> None:
    delivery.fire(drift("informed", severity="info"))
    assert told(delivery, "informed") == []


@pytest.mark.needs("alertmanager")
def test_remediation_gets_the_same_alerts_as_people(delivery: Delivery) -> None:
    delivery.fire(drift("remedied"))
    assert len(told(delivery, "remedied")) == 1
    heard = [each for post in delivery.webhooks.at("/remediation") for each in post["alerts"]]
    assert [each["status"] for each in heard if each["labels"]["model"] == "remedied"] == ["firing"]


@pytest.mark.needs("alertmanager")
def test_remediation_is_not_sent_the_warning_beside_a_critical_alert(delivery: Delivery) -> None:
    delivery.fire(bad_values("critical", severity="critical"), bad_values("critical"))
    told(delivery, "critical")
    heard = [each for post in delivery.webhooks.at("/remediation") for each in post["alerts"]]
    of_model = [each["labels"]["severity"] for each in heard if each["labels"]["model"] == "critical"]
    assert set(of_model) == {"critical"}


@pytest.mark.needs("alertmanager")
def test_a_slack_that_is_down_delays_no_mail_and_gets_the_message_later(delivery: Delivery) -> None:
    subject = "[warning] ModelFeatureDrift in unlucky v3: dep_delay"
    delivery.webhooks.failing = True
    delivery.fire(drift("unlucky"))
    delivery.mailbox.wait_for(subject)
    assert subject not in delivery.webhooks.titles
    delivery.webhooks.failing = False
    delivery.webhooks.wait_for_slack(subject)
