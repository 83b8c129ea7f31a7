"""Requests that name a model of another shard."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import httpx
import orjson
import pytest

from exporter.shard import Shard
from tests.support.api_server import Server, answers, assert_problem, post
from tests.support.deliveries import make_alert, make_body
from tests.support.fakes import FakeRegistry
from tests.support.kserve_logger import Agent, new_id, v1_request, v1_response
from tests.support.rig import eventually, make_document, make_rows

DETAIL = "model 'churn' is monitored by shard 5/8, this is shard 6/8"


@pytest.fixture(scope="module")
def sixth(serve_module: Callable[..., Server]) -> Server:
    """Shard 6 of 8, which has `fraud`, and not `churn`."""
    registry = FakeRegistry()
    for model in ("fraud", "churn"):
        registry.register(model, alias="champion")
    server = serve_module(registry, shard=Shard(6, 8))
    eventually(lambda: server.service.fleet.versions)
    return server


def assert_misdirected(answer: httpx.Response) -> None:
    assert_problem(answer, 421, "Misdirected", DETAIL)
    assert (answer.json()["shard"], answer.json()["shards"]) == (5, 8)


def test_only_its_own_models_are_monitored(sixth: Server) -> None:
    assert [model["model"] for model in sixth.client.get("/v1/models").json()["models"]] == ["fraud"]
    page = sixth.client.get("/metrics").text
    assert 'mlflow_exporter_shard_info{shard="6",shards="8"} 1' in page
    assert "mlflow_exporter_shards 8" in page
    assert "churn" not in page
    assert post(sixth, make_document(make_rows(3))).status_code == 202


def test_samples_of_another_shard_are_refused_and_nothing_of_them_is_kept(sixth: Server) -> None:
    before = answers(sixth).get("421", 0)
    for target in ({"version": "1"}, {"alias": "champion"}, {"version": "9"}):
        assert_misdirected(post(sixth, make_document(make_rows(1), model="churn", **target)))
    table = {"params": {"model": "churn", "version": "1"}}
    assert_misdirected(
        post(sixth, b"", headers={"content-type": "application/vnd.apache.arrow.stream"}, **table)
    )
    assert answers(sixth)["421"] == before + 4
    part = {"start": 0, "seconds": 300, "newest": 0.0, "rows": 1, "labels": 0, "block": ""}
    counts = {
        "model": "churn",
        "version": "1",
        "digest": "",
        "block_seconds": 300,
        "source": "job",
        "sequence": 0,
    }
    assert_misdirected(sixth.client.post("/v1/aggregates", json={**counts, "parts": [part]}))
    labels = {"model": "churn", "labels": [{"id": "a1", "label": 0}]}
    assert_misdirected(sixth.client.post("/v1/labels", json=labels))
    assert answers(sixth, "label")["421"] == 1


def test_reports_of_processes_that_serve_another_shards_model_are_refused(sixth: Server) -> None:
    report = {"model": "churn", "version": "1", "host": "web-1", "process": "7"}
    assert_misdirected(sixth.client.post("/v1/serving", json=report))


def test_every_path_and_query_with_a_model_of_another_shard_is_refused(sixth: Server) -> None:
    pages = "/models/{model}/versions/{version}"
    named = [("get", pages), ("get", f"{pages}/reports/latest"), ("get", f"{pages}/reports/1")]
    for path, operations in sixth.client.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            places = {each["in"] for each in operation.get("parameters", ()) if each["name"] == "model"}
            named += [(method, f"{path}?model=churn" if "query" in places else path)] if places else []
    assert {("get", "/v1/audit?model=churn"), ("post", "/v1/predictions?model=churn")} < set(named)
    assert len(named) > 12
    for method, path in named:
        filled = path.format(model="churn", version="1", report_id="1")
        assert_misdirected(sixth.client.request(method, filled))


def test_bodies_that_name_a_model_of_another_shard_are_refused(sixth: Server) -> None:
    simulated = sixth.client.post("/v1/remediations/simulate", content=make_body(make_alert(model="churn")))
    assert_misdirected(simulated)


def test_events_of_another_shards_model_are_refused_and_the_others_of_a_batch_are_taken(
    sixth: Server,
) -> None:
    """One inference service sends them all; its pods name their models by annotations."""
    own = Agent(annotations={"monitoring/model": "fraud", "monitoring/version": "1"})
    others = replace(own, annotations={"monitoring/model": "churn", "monitoring/alias": "champion"})

    def event(agent: Agent, kind: str, event_id: str, body: bytes) -> dict[str, object]:
        headers = agent.headers(kind, event_id, time.time())  # type: ignore[arg-type]
        names = {name.removeprefix("ce-"): text for name, text in headers.items() if name.startswith("ce-")}
        return {**names, "datacontenttype": "application/json", "data": orjson.loads(body)}

    request, response = v1_request([{"age": 41.0, "country": "DE", "new": True}]), v1_response([1])
    first, second = new_id(), new_id()
    batch = [
        event(others, "request", first, request),
        event(own, "request", second, request),
        event(own, "response", second, response),
    ]
    rows = sixth.rows("accepted")
    kind = {"content-type": "application/cloudevents-batch+json"}
    answer = sixth.client.post("/v1/cloudevents", content=orjson.dumps(batch), headers=kind)
    assert_misdirected(answer)
    assert sixth.rows("accepted") == rows + 1
    assert sixth.counts("mlflow_exporter_cloudevents")["request", "unmapped"] == 1
    assert sixth.service.telemetry.capture.waiting == 0


def test_alerts_of_other_shards_are_answered_counted_and_ignored(sixth: Server) -> None:
    headers = {"content-type": "application/json"}
    name = "mlflow_exporter_alerts_received"

    def deliver(*models: str) -> dict[str, int]:
        body = make_body(*(make_alert(model=model) for model in models))
        answer = sixth.client.post("/v1/alerts", content=body, headers=headers)
        assert (answer.status_code, answer.json()["alerts"]) == (202, len(models))
        return {status: count for (status,), count in sixth.counts(name).items()}

    def received() -> int:
        records = sixth.client.get("/v1/audit", params={"kind": "alert_received"}).json()["entries"]
        return len(records)

    assert deliver("churn", "churn") == {"other_shard": 2}
    assert received() == 0
    assert deliver("churn", "fraud", "") == {"other_shard": 3, "firing": 2}
    assert received() == 2  # of fraud, and of the alert that is about no model


def test_pages_lead_to_the_shard_that_has_the_model(serve: Callable[..., Server]) -> None:
    server = serve(FakeRegistry(), shard=Shard(6, 8), external_url="https://exporter-{shard}.example/")
    page = "/models/churn/versions/1/reports/latest?at=7"
    led = server.client.get(page)
    assert (led.status_code, led.headers["location"]) == (307, f"https://exporter-5.example{page}")
    led = server.client.get("/models/a%2Fb%20c/versions/1")
    assert led.headers["location"] == "https://exporter-2.example/models/a%2Fb%20c/versions/1"
    assert_misdirected(server.client.get("/v1/models/churn/versions/1"))
    series = 'mlflow_exporter_address_info{program="exporter",url="https://exporter-6.example"} 1'
    assert series in server.client.get("/metrics").text


def test_wrong_tokens_learn_nothing_of_shards(
    serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> None:
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("0123456789abcdef")
    server = serve(FakeRegistry(), shard=Shard(6, 8), api_token_file=str(token))
    assert server.client.get("/v1/models/churn/versions/1").status_code == 401
    assert server.client.get("/models/churn/versions/1").status_code == 401
    assert post(server, make_document(make_rows(1), model="churn")).status_code == 401
