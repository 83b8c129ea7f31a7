"""Bodies: limits on their size, their time and what is in memory at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from exporter.formats.raw import JSON_TYPE
from tests.support.api_server import Server, answers, assert_problem, head, held, post
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_document, make_rows

Serve = Callable[..., Server]
URL = "/v1/predictions"


def test_small_and_large_bodies_are_taken(server: Server) -> None:
    for rows in (1, 5000):
        assert post(server, make_document(make_rows(rows))).json()["accepted"] == rows


def test_a_chunked_body_is_taken(server: Server) -> None:
    body = orjson.dumps(make_document(make_rows(50)))
    pieces = (body[start : start + 100] for start in range(0, len(body), 100))
    answer = server.client.post(URL, content=pieces, headers={"content-type": JSON_TYPE})
    assert answer.json()["accepted"] == 50


def test_unknown_and_compressed_types_are_refused(server: Server) -> None:
    csv = post(server, b"a,b", headers={"content-type": "text/csv"})
    assert_problem(csv, 415, "Unsupported media type", "'text/csv', taken are application/json")
    gzip = post(server, b"", headers={"content-encoding": "gzip"})
    assert_problem(gzip, 415, "Unsupported media type", "compressed bodies are not taken")


def test_a_body_that_is_too_large_is_refused_announced_or_not(serve: Serve) -> None:
    server = serve(max_body_bytes=10_000)
    body = orjson.dumps(make_document(make_rows(200)))
    assert_problem(post(server, body), 413, "Too large", f"{len(body)} bytes, at most 10000")
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    answer = server.client.post(URL, content=pieces, headers={"content-type": JSON_TYPE})
    assert_problem(answer, 413, "Too large", "more than the 10000 bytes")
    assert post(server, make_document(make_rows(10))).status_code == 202


def test_large_bodies_at_once_are_bounded_and_hang_ups_give_their_share_back(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(max_body_bytes=10_000, max_queue_rows=10_000)
    document = make_document(make_rows(100))
    assert 9_000 < len(orjson.dumps(document)) <= 10_000
    for _ in range(20):
        with server.connect() as connection:
            connection.sendall(head(9_000) + b"x" * 8_000)
    assert post(server, document).status_code == 202
    with ThreadPoolExecutor(8) as pool:
        with held(server):
            waiting = [pool.submit(post, server, document) for _ in range(8)]
            eventually(lambda: server.service.telemetry.queue_rows == 8 * 100)
            refused = post(server, document)
        assert all(answer.result(TIMEOUT_SECONDS).status_code == 202 for answer in waiting)
    assert_problem(refused, 429, "Overloaded", "too many large requests at once")
    assert refused.headers["retry-after"] == "1"
    assert "Traceback" not in caplog.text
    assert post(server, document).status_code == 202


def test_a_client_that_hangs_up_within_its_body_is_counted_as_such(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    with server.connect() as connection:
        connection.sendall(head(9_000) + b"{")
    eventually(lambda: answers(server) == {"400": 1})
    assert "Traceback" not in caplog.text
