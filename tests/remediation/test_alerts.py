"""Reading of Alertmanager's webhook, and of what is none."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import MalformedError
from exporter.remediation.alerts import MAX_LABELS, MAX_LENGTH, MAX_VALUE_LENGTH, read_alerts, read_webhook
from tests.support.deliveries import make_alert, make_body, make_webhook


def test_a_delivery_is_read() -> None:
    delivery = read_webhook(make_body(make_alert(), make_alert("resolved", metric="auc"), truncatedAlerts=3))
    assert (delivery.receiver, delivery.truncated) == ("remediation", 3)
    assert delivery.group_key.startswith("{}:{alertname=")
    first, second = delivery.alerts
    assert (first.name, first.model, first.model_version) == ("ModelQualityDegraded", "fraud", "3")
    assert (first.status, first.ends_at, first.fingerprint) == ("firing", None, "1a30ba71cca2921f")
    assert first.starts_at == pytest.approx(1771235546.739266)
    assert (second.status, second.labels["metric"], second.ends_at) == ("resolved", "auc", 1771245000.0)


def test_keys_of_tomorrow_are_left_out() -> None:
    alert = {**make_alert(), "importance": 7}
    assert read_webhook(make_body(alert, notificationReason="repeat", truncatedAlerts=0)).alerts


def test_an_old_alertmanager_sends_no_number_of_truncated_alerts() -> None:
    document = make_webhook()
    del document["truncatedAlerts"], document["alerts"][0]["fingerprint"]
    assert read_webhook(orjson.dumps(document)).truncated == 0


GRAFANA = {"receiver": "x", "status": "firing", "orgId": 1, "version": "1", "state": "alerting", "alerts": []}
OTHERS: dict[str, tuple[bytes, str, str]] = {
    "Grafana's": (orjson.dumps(GRAFANA), "version", "this one: '1'"),
    "MLflow's": (b'{"entity": "model_version_alias", "action": "created", "data": {}}', "version", "missing"),
    "GitHub's": (b'{"zen": "Design for failure.", "hook_id": 1}', "version", "missing"),
    "the version as a number": (make_body(version=4), "version", "this one: 4"),
    "a list": (b"[]", "", "is an object"),
    "null": (b"null", "", "is an object"),
    "nothing": (b"", "", "no JSON"),
    "no JSON": (b"version=4", "", "no JSON"),
    "JSON of its own kind": (b'{"version": NaN}', "", "no JSON"),
    "no text": (b'{"version": "\xff"}', "", "no JSON"),
    "deep nesting": (b"[" * 100_000, "", "no JSON"),
    "compressed": (gzip.compress(make_body()), "", "no JSON"),
    "no alerts": (make_body(alerts=None), "alerts", "has to be a list"),
    "alerts that are none": (make_body(alerts=[1]), "alerts[0]", "has to be an alert"),
    "a status that is none": (make_body(make_alert("pending")), "alerts[0].status", "firing or resolved"),
    "no labels": (make_body({"status": "firing"}), "alerts[0].labels", "an object of texts"),
    "a label that is no text": (
        make_body({"status": "firing", "labels": {"model": 3}}),
        "alerts[0].labels.model",
        "has to be a text",
    ),
    "annotations that are none": (
        make_body({**make_alert(), "annotations": ["a"]}),
        "alerts[0].annotations",
        "an object of texts",
    ),
    "a time that is none": (
        make_body({**make_alert(), "startsAt": "today"}),
        "alerts[0].startsAt",
        "a time of RFC 3339",
    ),
    "a time that is a number": (
        make_body({**make_alert(), "endsAt": 1e9}),
        "alerts[0].endsAt",
        "a time of RFC 3339",
    ),
    "a negative number left out": (make_body(truncatedAlerts=-1), "truncatedAlerts", "a number of alerts"),
    "no number left out": (make_body(truncatedAlerts=True), "truncatedAlerts", "a number of alerts"),
    "a large number left out": (make_body(truncatedAlerts=2**40), "truncatedAlerts", "a number of alerts"),
    "a group that is no text": (make_body(groupKey={}), "groupKey", "has to be a text"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_payload_is_refused_with_the_place(other: str) -> None:
    body, where, said = OTHERS[other]
    with pytest.raises(MalformedError) as found:
        read_webhook(body)
    assert found.value.where == where
    assert said in found.value.detail


def test_what_is_kept_of_an_alert_is_bounded() -> None:
    labels = {f"l{index:03}": "x" for index in range(500)} | {"l000": "x" * 5000}
    alert = {**make_alert(**labels), "annotations": {f"a{index}": "y" * 5000 for index in range(100)}}
    (found,) = read_webhook(make_body(alert)).alerts
    assert len(found.labels) == MAX_LABELS
    assert {len(value) for value in found.labels.values()} <= {
        MAX_VALUE_LENGTH,
        *map(len, ("x", "fraud", "critical", "ModelQualityDegraded")),
    }
    assert (found.name, found.model, found.model_version) == ("ModelQualityDegraded", "fraud", "3")
    assert sum(map(len, found.annotations.values())) <= MAX_LENGTH


def test_characters_that_no_database_takes_are_left_out() -> None:
    body = make_body().replace(b'"risk"', b'"r\\u0000isk"')
    (found,) = read_webhook(body).alerts
    assert found.labels["team"] == "risk"


def test_a_name_with_nul_does_not_take_the_place_of_another() -> None:
    body = make_body().replace(b'"team"', b'"alertname\\u0000"')
    (found,) = read_webhook(body).alerts
    assert found.name == "ModelQualityDegraded"


def test_the_labels_of_an_alert_are_bounded_together() -> None:
    many = {f"a{number:02}": "é" * MAX_VALUE_LENGTH for number in range(40)}
    (found,) = read_webhook(make_body({**make_alert(**many), "annotations": many})).alerts
    for said in (found.labels, found.annotations):
        assert MAX_LENGTH / 2 < sum(len(name) + len(value) for name, value in said.items()) <= MAX_LENGTH
    assert (found.name, found.model, found.model_version) == ("ModelQualityDegraded", "fraud", "3")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
ALERT = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["firing", "resolved"]) | JSON,
        "labels": st.dictionaries(st.text(), st.text()) | JSON,
    },
    optional={
        "annotations": JSON,
        "startsAt": st.datetimes().map(str) | JSON,
        "endsAt": JSON,
        "fingerprint": JSON,
    },
)


@given(
    st.fixed_dictionaries(
        {"version": st.just("4"), "alerts": st.lists(ALERT, max_size=3) | JSON},
        optional={"receiver": JSON, "groupKey": JSON, "truncatedAlerts": JSON},
    )
)
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        body = orjson.dumps(document)
    except TypeError:  # lone surrogates
        return
    try:
        delivery = read_webhook(body)
    except MalformedError:
        return
    assert len(delivery.alerts) == len(document["alerts"])


def test_files_of_alerts_are_read() -> None:
    listed = [
        {
            "labels": make_alert()["labels"],
            "annotations": {},
            "startsAt": "2026-02-16T09:52:26Z",
            "endsAt": "2026-02-16T09:57:26Z",
            "status": {"state": "active", "inhibitedBy": []},
        },
    ]
    (found,) = read_alerts(orjson.dumps(listed))
    assert (found.status, found.model, found.starts_at) == ("firing", "fraud", 1771235546.0)
    assert read_alerts(make_body(make_alert("resolved")))[0].status == "resolved"
    with pytest.raises(MalformedError):
        read_alerts(b'{"alerts": []}')
