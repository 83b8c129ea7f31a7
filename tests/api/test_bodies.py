"""Bodies: limits on their size, their time and what is in memory at once."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from exporter.api.bodies import STEP_BYTES
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
    brotli = post(server, b"", headers={"content-encoding": "br"})
    assert_problem(brotli, 415, "Unsupported media type", "of compressed bodies those by gzip are taken")


@pytest.mark.parametrize("rows", [1, 50_000])
def test_gzip_is_taken_and_its_key_is_that_of_the_content(server: Server, rows: int) -> None:
    body = orjson.dumps(make_document(make_rows(rows)))
    headers = {"content-encoding": "gzip", "idempotency-key": f"gzip {rows}"}
    for level in (1, 9):
        answer = post(server, gzip.compress(body, level), headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (202, rows if level == 1 else 0), (
            answer.text
        )


def test_a_bomb_is_refused_without_its_memory(serve: Serve) -> None:
    server = serve(max_body_bytes=2_000_000)
    bomb = gzip.compress(bytes(500_000_000), 9)
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    try:
        refused = post(server, bomb, headers={"content-encoding": "gzip"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert_problem(refused, 413, "Too large", "it unpacks to more than the 2000000 bytes")
    assert peak < 20_000_000
    assert post(server, make_document(make_rows(10))).status_code == 202


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        (lambda packed: packed[:-9], "the gzip of the body breaks off"),
        (lambda packed: packed[:-8] + bytes(8), "the body is no gzip"),
        (lambda packed: packed + packed, "something follows after the gzip"),
        (lambda packed: b"", "the gzip of the body breaks off"),
    ],
    ids=["cut", "checksum", "doubled", "empty"],
)
def test_damaged_gzip_is_refused(server: Server, damage: Callable[[bytes], bytes], detail: str) -> None:
    packed = gzip.compress(orjson.dumps(make_document(make_rows(5))))
    refused = post(server, damage(packed), headers={"content-encoding": "gzip"})
    assert_problem(refused, 422, "Malformed", detail)


@pytest.mark.parametrize("size", [STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES])
def test_a_body_may_unpack_to_whole_steps(server: Server, size: int) -> None:
    body = orjson.dumps(make_document(make_rows(1))).ljust(size)
    assert post(server, gzip.compress(body), headers={"content-encoding": "gzip"}).status_code == 202


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
