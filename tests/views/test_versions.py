"""`GET /v1/models` and `GET /v1/models/{model}/versions/{version}`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from exporter.errors import RegistryAuthError
from exporter.evaluation.figures import QUALITY_METRICS
from exporter.evaluation.importance import AttributionDrift, Importance
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.reference.profile import PROVISIONAL
from exporter.views.versions import quality_windows, version_detail
from tests.support.api_server import Server, assert_problem, post
from tests.support.fakes import BROKEN, FakeRegistry
from tests.support.rig import Rig, eventually, make_document, make_rows, make_table
from tests.support.views import make_quality

Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def registry() -> FakeRegistry:
    registry = FakeRegistry()
    reference = make_table().drop_columns("score").append_column("score", [[None] * 1000])
    registry.register("team/fraud model", reference, alias="champion")
    registry.register("spam", None, alias="champion")
    registry.register("ham", BROKEN, alias="champion")
    return registry


@pytest.fixture(scope="module")
def server(serve_module: Serve, registry: FakeRegistry) -> Server:
    server = serve_module(registry, drift_distances=("ks",))
    server.await_ready("team/fraud model")
    eventually(lambda: len(server.service.fleet.versions) == 3)
    rows = make_rows(1000)
    for row in rows:
        row["features"].update(age=200 + row["features"]["age"], extra=1)
    assert post(server, make_document(rows, "team/fraud model", alias="champion")).status_code == 202
    eventually(lambda: detail(server)["window_rows"].get("1h") == 1000)
    return server


def models(server: Server) -> dict[str, Any]:
    answer = server.client.get("/v1/models")
    assert answer.status_code == 200
    return answer.json()


def detail(server: Server, path: str = "team/fraud%20model/versions/1") -> dict[str, Any]:
    answer = server.client.get(f"/v1/models/{path}")
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_constant=pytest.fail)  # NaN is not JSON


def test_it_lists_what_is_monitored_and_in_which_state(server: Server) -> None:
    shown = models(server)
    assert shown["registry"] == {"up": True, "error": ""}
    states = {
        m["model"]: [(v["version"], v["aliases"], v["status"]) for v in m["versions"]]
        for m in shown["models"]
    }
    assert states == {
        "ham": [("1", ["champion"], "broken reference")],
        "spam": [("1", ["champion"], "no reference")],
        "team/fraud model": [("1", ["champion"], "ready")],
    }
    ham, spam, fraud = (model["versions"][0] for model in shown["models"])
    assert ham["detail"] == str(BROKEN)
    assert "no reference found" in spam["detail"]
    assert (fraud["detail"], fraud["drifted"], fraud["predictions_total"]) == (PROVISIONAL, ["age"], 1000)
    assert fraud["evaluated_at"].endswith("Z")
    assert fraud["last_prediction"].endswith("Z")
    assert (spam["evaluated_at"], spam["last_prediction"], spam["predictions_total"]) == (None, None, 0)


def test_it_says_what_mlflow_answered_last(server: Server, registry: FakeRegistry) -> None:
    registry.failure = RegistryAuthError("MLflow at http://mlflow refuses us (HTTP 401)")
    eventually(lambda: not models(server)["registry"]["up"])
    shown = models(server)
    assert shown["registry"]["error"] == "MLflow at http://mlflow refuses us (HTTP 401)"
    assert len(shown["models"]) == 3
    registry.failure = None
    eventually(lambda: models(server)["registry"]["up"])


@pytest.mark.parametrize("name", ["team/fraud%20model", "team%2Ffraud%20model"])
def test_a_model_may_have_slashes_in_its_name(server: Server, name: str) -> None:
    assert detail(server, f"{name}/versions/1")["model"] == "team/fraud model"


def test_it_shows_the_latest_evaluation(server: Server) -> None:
    shown = detail(server)
    assert shown["reference"] | {"digest": ""} == {
        "source": "extra_files",
        "digest": "",
        "rows": 1000,
        "split": "",
        "task": "binary",
        "target": "",
        "provisional": True,
        "notes": shown["reference"]["notes"],
    }
    assert shown["unknown_columns"] == ["extra"]
    assert shown["window_rows"] == {"1h": 1000, "24h": 1000, "7d": 1000}
    columns = {column["column"]: column for column in shown["columns"]}
    assert list(columns) == ["age", "country", "new", "prediction", "score"]
    assert {column["importance"] for column in columns.values()} == {None}
    assert shown["importance"] is None
    age = columns["age"]
    assert (age["role"], age["kind"], age["unjudged"]) == ("feature", "number", "")
    hour, day, _ = age["windows"]
    assert (hour["window"], hour["verdict"], hour["drift_limit"]) == ("1h", "undecided", None)
    assert (day["window"], day["rows"], day["verdict"]) == ("24h", 1000, "drifted")
    assert day["drift_score"] > day["drift_limit"] > 0
    assert day["distances"]["ks"] == pytest.approx(1)
    assert columns["country"]["windows"][1]["verdict"] == "stable"
    checks = {check["check"]: check for check in age["checks"]}
    assert checks["out_of_range"]["ratio"] == 1
    assert checks["out_of_range"]["degraded"] is True
    assert checks["out_of_range"]["window"] == "1h"


def test_what_is_not_known_is_null(server: Server) -> None:
    columns = {column["column"]: column for column in detail(server)["columns"]}
    score = columns["score"]["windows"][0]  # the reference has no value of it
    assert score["drift_score"] is None or np.isfinite(score["drift_score"])
    assert (score["verdict"], score["undecided"]) == ("undecided", "the reference has no value in it")


def test_it_lists_what_is_degraded_beside_what_drifts(server: Server) -> None:
    fraud = next(model for model in models(server)["models"] if model["model"] == "team/fraud model")
    assert fraud["versions"][0]["degraded"] == ["age", "score"]  # of the score the reference has no value
    assert fraud["versions"][0]["degraded_metrics"] == []
    assert fraud["versions"][0]["degraded_estimates"] == []


def test_a_metric_without_labels_says_why_it_has_no_figure_and_no_verdict(server: Server) -> None:
    shown = detail(server)
    assert shown["no_quality"] == ""
    hour = shown["quality"][0]
    assert (hour["window"], hour["predictions"], hour["labels"], hour["unusable_labels"]) == (
        "1h",
        1000,
        0,
        0,
    )
    metrics = {metric["metric"]: metric for metric in hour["metrics"]}
    assert metrics.keys() == set(QUALITY_METRICS["binary"])
    assert metrics["recall"] == {
        "metric": "recall",
        "value": None,
        "lower": None,
        "upper": None,
        "absent": "no labels",
        "baseline": None,
        "tolerance": None,
        "allowance": None,
        "shortfall": None,
        "provisional": True,
        "degraded": None,
        "undecided": "there is no figure",
    }
    assert hour["estimates"] == []
    assert hour["no_estimate"] == "the reference has no labels that the model was not trained on"
    assert hour["label_drift"] is None
    assert detail(server, "spam/versions/1")["no_quality"] == "there is no reference"


def test_every_finding_of_quality_is_shown() -> None:
    shown = quality_windows([make_quality()])[0].model_dump()
    findings = {field.name for field in fields(QualityEvaluation)}
    assert findings - shown.keys() == {"suppressed"}  # is among the metrics
    metrics = {metric["metric"]: metric for metric in shown["metrics"]}
    assert (metrics["recall"]["value"], metrics["recall"]["degraded"]) == (0.76, True)
    assert (metrics["precision"]["degraded"], metrics["precision"]["undecided"]) == (None, "no baseline")
    assert metrics["f1"]["absent"] == "no rows to compute it from"
    assert (shown["labels"], shown["coverage"], shown["weighted"]) == (900, 0.9, False)
    assert shown["classes"][0]["label"] == "1"
    assert (shown["estimates"][0]["value"], shown["estimates"][0]["degraded"]) == (0.78, True)
    assert shown["label_drift"]["verdict"] == "drifted"
    confusion = make_quality().confusion
    assert confusion is not None
    assert shown["confusion"] == {"classes": list(confusion.classes), "rows": confusion.rows.tolist()}


def test_a_version_without_a_reference_has_no_evaluation(server: Server) -> None:
    shown = detail(server, "spam/versions/1")
    assert (shown["reference"], shown["columns"], shown["window_rows"]) == (None, [], {})


@pytest.mark.parametrize("path", ["spam/versions/9", "eggs/versions/1", "team/fraud%20model"])
def test_what_is_not_monitored_is_not_found(server: Server, path: str) -> None:
    answer = server.client.get(f"/v1/models/{path}")
    title = "Not monitored" if "versions" in path else "Not Found"
    assert_problem(answer, 404, title, "")


def test_a_models_name_may_hold_what_mlflow_lets_it(serve: Serve) -> None:
    names = ["a\nb", "c\n", "d\r\ne", "f/versions/1", "g?#%"]
    registry = FakeRegistry()
    for name in names:
        registry.register(name, make_table(), alias="champion")
    server = serve(registry)
    for name in names:
        server.await_ready(name)
        version = f"/v1/models/{quote(name, safe='')}/versions/1"
        assert post(server, make_document(make_rows(1, prefix="a"), name)).status_code == 202
        labels = {"model": name, "labels": [{"id": "a0", "label": 1}]}
        assert server.client.post("/v1/labels", json=labels).json()["accepted"] == 1
        assert server.client.get(version).json()["model"] == name
        refused = server.client.post(
            f"{version}/rebaseline", params={"by": "me", "reason": "so", "live": "24h"}
        )
        assert_problem(refused, 422, "Malformed", "1 rows came in the last 24h", "live")


def test_columns_are_in_the_order_of_their_importance(rig: Rig) -> None:
    rig.post_rows(make_rows(1000))
    version = rig.version()
    version.importance = Importance({"new": 0.7, "age": 0.3, "country": 0.0}, "tag", ("a remark",))
    version.attribution = AttributionDrift(rig.clock(), 0.1, 300, {"new": 0.6, "age": 0.4, "country": 0.0})
    rig.evaluate()
    shown = version_detail(version)
    shares = {column.column: column.importance for column in shown.columns}
    assert list(shares.items()) == [
        ("new", 0.7), ("age", 0.3), ("country", 0.0), ("prediction", None), ("score", None),
    ]  # fmt: skip
    assert shown.importance is not None
    assert (shown.importance.attribution_drift, shown.importance.attribution_rows) == (0.1, 300)
    assert set(shown.importance.drift) == {"24h", "7d"}
    assert shown.problems == ["a remark"]


def test_bad_verdicts_are_listed_with_their_beginning_and_severity(server: Server) -> None:
    answer = detail(server)
    bad = {(each["measure"], each["name"], each["window"]): each for each in answer["bad"]}
    drift = bad["drift", "age", "24h"]
    assert (drift["segment"], drift["severe"]) == ("", True)
    assert drift["since"] <= answer["evaluated_at"]
    assert {name for measure, name, _ in bad if measure == "drift"} == set(answer["drifted"])
