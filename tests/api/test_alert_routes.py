"""`POST /v1/alerts`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest

from exporter.api import alert_routes
from exporter.remediation.alerts import Delivery
from exporter.remediation.receiving import Receipt
from tests.support.api_server import Server, assert_problem
from tests.support.deliveries import make_alert, make_body
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually

Serve = Callable[..., Server]
JSON = {"Content-Type": "application/json"}
CONFIG = """\
remediation:
  policies:
    - {name: back, match: {alertname: ModelQualityDegraded}, model: fraud, action: rollback}
"""


def post(server: Server, body: bytes, **headers: str) -> httpx.Response:
    return server.client.post("/v1/alerts", content=body, headers={**JSON, **headers})


@pytest.fixture
def remedying(serve: Serve, tmp_path: Path) -> Server:
    (tmp_path / "exporter.yml").write_text(CONFIG)
    return serve(config=str(tmp_path / "exporter.yml"))


def test_an_alert_is_answered_with_what_it_leads_to(remedying: Server) -> None:
    answer = post(remedying, make_body(make_alert(model_version="1"), make_alert(model_version="2")))
    assert answer.status_code == 202
    (action,) = answer.json()["actions"]
    assert (action["policy"], action["outcome"], len(action["id"])) == ("back", "planned", 40)
    assert answer.json()["alerts"] == 2
    assert answer.json()["no_actions"] == [
        {"policy": "back", "reason": "version 2 of fraud is not monitored"}
    ]
    again = post(remedying, make_body(make_alert(model_version="1"))).json()["actions"]
    assert [(each["id"], each["outcome"]) for each in again] == [(action["id"], "known")]


def test_alerts_are_taken_without_a_policy(server: Server) -> None:
    answer = post(server, make_body(make_alert(alertname="Watchdog")))
    assert (answer.status_code, answer.json()) == (202, {"alerts": 1, "actions": [], "no_actions": []})


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b'{"version": "1", "orgId": 1, "alerts": []}', {}, 422, "this is another webhook"),
        (b"{", {}, 422, "no JSON"),
        (make_body(), {"Content-Type": "text/plain"}, 415, "application/json"),
        (make_body(), {"Content-Encoding": "br"}, 415, "compressed"),
        (make_body(), {"Content-Encoding": "gzip"}, 422, "no gzip"),
        (make_body() + b" " * 2**25, {}, 413, "at most 33554432 are taken"),
    ],
)
def test_another_body_is_refused(
    server: Server, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    answer = post(server, body, **headers)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_a_mistake_has_its_place(server: Server) -> None:
    answer = post(server, make_body({"status": "firing", "labels": {"model": 3}}))
    assert_problem(answer, 422, "Malformed", "has to be a text", "alerts[0].labels.model")


def test_a_parameter_that_it_does_not_have_is_refused(server: Server) -> None:
    answer = server.client.post("/v1/alerts?model=fraud", content=make_body(), headers=JSON)
    assert answer.json()["where"] == "query.model"


def test_scrapes_and_samples_do_not_wait_for_alerts(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server, go_on = serve(), Event()

    def receive(_: Delivery, __: str) -> Receipt:
        go_on.wait(3 * TIMEOUT_SECONDS)
        return Receipt(1)

    monkeypatch.setattr(server.service.remediation.receiver, "receive", receive)
    waiting = alert_routes.MAX_WAITING
    with ThreadPoolExecutor(waiting + 1) as clients:
        posted = [clients.submit(post, server, make_body()) for _ in range(waiting + 1)]
        try:
            eventually(lambda: any(each.done() for each in posted))
            (refused,) = [each.result() for each in posted if each.done()]
            assert_problem(refused, 503, "Unavailable", f"{waiting} deliveries are waiting")
            assert refused.headers["retry-after"] == "1"
            assert server.client.get("/metrics").status_code == 200
            assert server.client.get("/v1/models").status_code == 200
        finally:
            go_on.set()
    assert sorted(each.result().status_code for each in posted) == [202] * waiting + [503]
