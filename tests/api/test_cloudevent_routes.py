"""`POST /v1/cloudevents`."""

from __future__ import annotations

import base64
import gzip
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.support.api_server import Server, assert_problem, held
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.kserve_logger import (
    Agent,
    Kind,
    new_id,
    v1_request,
    v1_response,
    v2_request,
    v2_response,
    v2_tensor,
    with_binary,
)
from tests.support.rig import eventually

Serve = Callable[..., Server]
URL = "/v1/cloudevents"
AGENT = Agent()
ROW = {"age": 41.0, "country": "DE", "new": True}
REQUEST, RESPONSE = v1_request([ROW]), v1_response([1])
HALVES: tuple[tuple[Kind, bytes], ...] = (("request", REQUEST), ("response", RESPONSE))


def send(
    server: Server,
    kind: Kind,
    event_id: str,
    body: bytes,
    *,
    agent: Agent = AGENT,
    url: str = URL,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    made = agent.headers(kind, event_id, time.time())
    return server.client.post(url, content=body, headers={**made, **(headers or {})})


def outcomes(server: Server) -> dict[tuple[str, ...], int]:
    return server.counts("mlflow_exporter_cloudevents")


def added(server: Server, before: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    """Outcomes since `before`."""
    return {key: n - before.get(key, 0) for key, n in outcomes(server).items() if n != before.get(key, 0)}


# -- what is taken ------------------------------------------------------------------------------------------


def test_halves_in_either_order_become_rows_on_disk_before_the_answer(server: Server) -> None:
    rows, before = server.rows("accepted"), outcomes(server)
    first, second = new_id(), new_id()
    assert send(server, "request", first, REQUEST).status_code == 200
    assert send(server, "response", second, RESPONSE).status_code == 200
    assert (server.rows("accepted"), added(server, before)) == (rows, {})
    completed = send(server, "response", first, RESPONSE)
    assert (completed.status_code, completed.content) == (200, b"")
    assert send(server, "request", second, REQUEST).status_code == 200
    assert server.rows("accepted") == rows + 2
    assert added(server, before) == {("request", "taken"): 2, ("response", "taken"): 2}


def test_a_repeated_exchange_counts_once(server: Server) -> None:
    rows, before, event_id = server.rows("accepted"), outcomes(server), new_id()
    for kind, body in (HALVES[0], *HALVES, HALVES[1]):
        assert send(server, kind, event_id, body).status_code == 200
    assert send(server, "request", event_id, REQUEST).status_code == 200
    assert server.rows("accepted") == rows + 1
    duplicates = {("request", "duplicate"): 2, ("response", "duplicate"): 1}
    assert added(server, before) == {("request", "taken"): 1, ("response", "taken"): 1, **duplicates}


def test_v2_with_binary_tensors_and_compression_is_taken(server: Server) -> None:
    rows, event_id = server.rows("accepted"), new_id()
    request = v2_request(
        v2_tensor("age", "FP64", [2, 1], [41.0, 27.0]),
        v2_tensor("country", "BYTES", [2], ["DE", "FR"]),
        v2_tensor("new", "BOOL", [2], [True, False]),
    )
    response = v2_response(v2_tensor("predict", "INT64", [2], [1, 0]))
    binary = {"content-type": "application/octet-stream"}
    assert (
        send(server, "request", event_id, with_binary(request, "inputs"), headers=binary).status_code == 200
    )
    assert send(server, "response", event_id, gzip.compress(response)).status_code == 200
    assert server.rows("accepted") == rows + 2


def test_structured_and_batched_events_are_taken(server: Server) -> None:
    rows = server.rows("accepted")
    made = []
    for kind, body in HALVES:
        headers = AGENT.headers(kind, "structured", time.time())
        attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
        made.append(attributes | {"data": orjson.loads(body)})
    made[1]["data_base64"] = base64.b64encode(RESPONSE).decode()
    del made[1]["data"]
    for event in made:
        headers = {"content-type": "application/cloudevents+json; charset=utf-8"}
        assert server.client.post(URL, content=orjson.dumps(event), headers=headers).status_code == 200
    assert server.rows("accepted") == rows + 1
    batch = [event | {"id": "batched"} for event in made]
    headers = {"content-type": "application/cloudevents-batch+json"}
    assert server.client.post(URL, content=orjson.dumps(batch), headers=headers).status_code == 200
    assert server.rows("accepted") == rows + 2


def test_large_exchanges_are_taken(server: Server) -> None:
    rows, event_id = server.rows("accepted"), new_id()
    send(server, "request", event_id, v1_request([ROW] * 5000))
    assert send(server, "response", event_id, v1_response([1] * 5000)).status_code == 200
    assert server.rows("accepted") == rows + 5000


# -- what is not --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_body", "response_body"),
    [
        pytest.param(b"", RESPONSE, id="no request"),
        pytest.param(REQUEST, b"", id="no response"),
        pytest.param(REQUEST, b"<html>", id="no JSON"),
        pytest.param(REQUEST, v1_response([1, 0]), id="more rows"),
        pytest.param(REQUEST, b'{"error": "shape"}', id="an error"),
        pytest.param(b"[" * 100_000, RESPONSE, id="nested"),
        pytest.param(gzip.compress(b"0" * 10**8), RESPONSE, id="a bomb"),
        pytest.param(gzip.compress(REQUEST)[:-9], RESPONSE, id="truncated gzip"),
    ],
)
def test_what_cannot_be_read_is_answered_200_and_counted(
    server: Server, request_body: bytes, response_body: bytes
) -> None:
    before, event_id = outcomes(server), new_id()
    assert send(server, "request", event_id, request_body).status_code == 200
    assert send(server, "response", event_id, response_body).status_code == 200
    assert added(server, before) == {("request", "unreadable"): 1, ("response", "unreadable"): 1}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"ce-type": "com.example.other"}, id="another type"),
        pytest.param({"ce-id": ""}, id="no id"),
        pytest.param({"ce-inferenceservicename": ""}, id="no service"),
        pytest.param({"ce-source": "x" * 5000}, id="a long attribute"),
        pytest.param({"content-type": "application/cloudevents+json"}, id="no event"),
        pytest.param({"content-type": "application/cloudevents-batch+json"}, id="no batch"),
        pytest.param({"content-encoding": "br"}, id="an encoding"),
    ],
)
def test_a_message_that_is_no_event_is_answered_200_and_counted(
    server: Server, changed: dict[str, str]
) -> None:
    before = outcomes(server)
    assert send(server, "request", new_id(), REQUEST, headers=changed).status_code == 200
    assert added(server, before) == {("unknown", "unreadable"): 1}


def test_a_body_that_is_too_large_is_answered_200_and_counted(serve: Serve) -> None:
    server = serve(max_body_bytes=10_000)
    assert send(server, "request", new_id(), b" " * 10_001).status_code == 200
    assert outcomes(server) == {("unknown", "unreadable"): 1}


def test_a_service_of_no_version_and_another_component_are_counted(server: Server) -> None:
    before = outcomes(server)
    assert send(server, "request", new_id(), REQUEST, agent=Agent("ranking")).status_code == 200
    assert send(server, "request", new_id(), REQUEST, agent=Agent(component="transformer")).status_code == 200
    assert added(server, before) == {("request", "unmapped"): 1, ("request", "ignored"): 1}


def test_an_id_of_two_requests_at_once_corrupts_nothing(server: Server) -> None:
    rows, before, event_id = server.rows("accepted"), outcomes(server), new_id()
    send(server, "request", event_id, REQUEST)
    send(server, "request", event_id, v1_request([{**ROW, "age": 27.0}]))
    send(server, "response", event_id, RESPONSE)
    assert server.rows("accepted") == rows
    assert added(server, before) == {("request", "reused"): 1, ("response", "reused"): 1}


# -- trouble of the exporter --------------------------------------------------------------------------------


def test_a_full_queue_is_answered_429_and_the_half_may_come_again(serve: Serve) -> None:
    server = serve(max_queue_rows=1)
    first, second = new_id(), new_id()
    for event_id in (first, second):
        send(server, "request", event_id, REQUEST)
    with ThreadPoolExecutor(1) as pool, held(server):
        queued = pool.submit(send, server, "response", first, RESPONSE)
        eventually(lambda: server.service.telemetry.queue_rows == 1)
        refused = send(server, "response", second, RESPONSE)
    assert_problem(refused, 429, "Overloaded", "1 rows are waiting")
    assert queued.result(TIMEOUT_SECONDS).status_code == 200
    assert outcomes(server)["response", "refused"] == 1
    assert send(server, "response", second, RESPONSE).status_code == 200
    assert server.rows("accepted") == 2


def test_a_full_store_is_answered_503_and_the_half_may_come_again(serve: Serve) -> None:
    server = serve()
    event_id = new_id()
    send(server, "request", event_id, REQUEST)
    server.service.writer.full = True
    assert_problem(send(server, "response", event_id, RESPONSE), 503, "Unavailable", "store")
    server.service.writer.full = False
    assert send(server, "response", event_id, RESPONSE).status_code == 200
    assert server.rows("accepted") == 1
    assert outcomes(server) == {("response", "refused"): 1, ("request", "taken"): 1, ("response", "taken"): 1}


# -- tokens -------------------------------------------------------------------------------------------------

INGEST, READ = "5oN3xVb8+qLr/TzC", "Zk4uW8eRm2aTq6Ns"


@pytest.fixture(scope="module")
def guarded(serve_module: Serve, tmp_path_factory: pytest.TempPathFactory) -> Server:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(f"kserve: {INGEST} ingest\ndashboard: {READ}\n")
    return serve_module(api_tokens_file=str(path))


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        pytest.param(f"{URL}?token={INGEST}", {}, id="query"),
        pytest.param(f"{URL}?token=5oN3xVb8%2BqLr%2FTzC", {}, id="escaped query"),
        pytest.param(f"{URL}/{INGEST}", {}, id="path"),
        pytest.param(f"{URL}/5oN3xVb8%2BqLr%2FTzC", {}, id="escaped path"),
        pytest.param(URL, {"authorization": f"Bearer {INGEST}"}, id="header"),
    ],
)
def test_a_token_may_be_in_query_path_or_header(guarded: Server, url: str, headers: dict[str, str]) -> None:
    assert send(guarded, "request", new_id(), REQUEST, url=url, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("url", "status"),
    [
        pytest.param(URL, 401, id="none"),
        pytest.param(f"{URL}/", 401, id="empty"),
        pytest.param(f"{URL}/wrong-wrong-wrong", 401, id="wrong in the path"),
        pytest.param(f"{URL}?token=wrong-wrong-wrong", 401, id="wrong in the query"),
        pytest.param(f"{URL}?token=%C3%A9%C4%80", 401, id="not ASCII"),
        pytest.param(f"{URL}/{READ}", 403, id="without the scope"),
    ],
)
def test_without_the_right_token_nothing_is_taken(guarded: Server, url: str, status: int) -> None:
    before = outcomes(guarded)
    assert send(guarded, "request", new_id(), REQUEST, url=url).status_code == status
    assert added(guarded, before) == {("unknown", "unauthorized"): 1}


def test_a_token_is_in_no_error_and_no_log_line(
    guarded: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("exporter.api.cloudevent_routes.read_events", fail)
    with caplog.at_level(logging.DEBUG):
        answers = [
            send(guarded, "request", new_id(), REQUEST, url=url)
            for url in (f"{URL}/{INGEST}", f"{URL}?token={INGEST}", f"{URL}/{READ}", f"{URL}/{INGEST}x")
        ]
        answers.append(guarded.client.get(f"{URL}/{INGEST}"))
    assert [answer.status_code for answer in answers] == [500, 500, 403, 401, 405]
    logged = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    assert "internal error" in logged
    for text in (logged, *(answer.text for answer in answers)):
        assert INGEST not in text
        assert READ not in text


def test_openapi_describes_it(server: Server) -> None:
    described = server.client.get("/openapi.json").json()["paths"][URL]["post"]
    assert "200" in described["responses"]
    assert {"token", "ce-id", "ce-type"} <= {parameter["name"] for parameter in described["parameters"]}


def test_the_configuration_of_services_is_read_again(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("capture: {services: {ranking: {model: fraud, version: 7}}}")
    server = serve(config=str(path))
    event_id = new_id()
    assert send(server, "request", event_id, REQUEST, agent=Agent("ranking")).status_code == 200
    assert send(server, "response", event_id, RESPONSE, agent=Agent("ranking")).status_code == 200
    assert outcomes(server) == {("request", "unmapped"): 1, ("response", "unmapped"): 1}
    path.write_text("capture: {services: {ranking: {model: fraud, alias: champion}}}")
    assert server.client.post("/-/reload").status_code == 200
    event_id = new_id()
    send(server, "request", event_id, REQUEST, agent=Agent("ranking"))
    send(server, "response", event_id, RESPONSE, agent=Agent("ranking"))
    assert server.rows("accepted") == 1
