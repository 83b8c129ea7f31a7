"""Counts of answers by status."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from exporter.api import server as api_server
from tests.support.api_server import Server, answers, assert_problem, head, held, post
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_document, make_rows

Serve = Callable[..., Server]


def test_requests_are_counted_by_the_status_of_their_answer(serve: Serve) -> None:
    server = serve(max_rows_per_request=3)

    for document in (make_document(make_rows(2)), make_document(make_rows(4)), {"model": "fraud"}):
        post(server, document)
    post(server, b"x", headers={"content-type": "text/csv"})
    server.client.post("/v1/labels", json={"model": "spam", "labels": [{"id": "a", "label": 1}]})
    assert answers(server) == {"202": 1, "413": 1, "415": 1, "422": 1}
    assert answers(server, "label") == {"404": 1}


def test_an_error_of_ours_is_counted_as_it_is_answered(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve()
    monkeypatch.setattr(server.service.writer, "submit", None)
    failed = post(server, make_document(make_rows(1)), headers={"connection": "close"})
    assert_problem(failed, 500, "Internal error", "TypeError")
    assert answers(server) == {"500": 1}


def test_a_request_that_is_not_done_when_the_server_stops_is_unavailable(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api_server, "SHUTDOWN_SECONDS", 0.1)
    server = serve()
    with ThreadPoolExecutor(1) as pool, held(server):
        cut_off = pool.submit(post, server, make_document(make_rows(6)))
        eventually(lambda: server.service.telemetry.queue_rows == 6)
        server.stop()
        refused = cut_off.result(TIMEOUT_SECONDS)
        assert_problem(refused, 503, "Unavailable", "the service stopped")
        assert refused.headers["retry-after"] == "5"
        assert answers(server) == {"503": 1}
    assert "Traceback" not in caplog.text


def test_a_client_that_hangs_up_during_the_commit_is_counted(serve: Serve) -> None:
    server = serve()
    body = orjson.dumps(make_document(make_rows(6, prefix="r")))
    with held(server):
        with server.connect() as connection:
            connection.sendall(head(len(body)) + body)
            eventually(lambda: server.service.telemetry.queue_rows == 6)
            connection.shutdown(socket.SHUT_RDWR)
        assert server.client.get("/-/healthy").status_code == 200
    eventually(lambda: server.rows("accepted") == 6)
    assert post(server, body).json() == {"accepted": 0, "duplicates": 6, "conflicts": 0}
    assert answers(server) == {"202": 2}
