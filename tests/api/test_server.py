"""Limits on connections: slow and idle clients, large heads, upgrades."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import orjson
import pytest

from exporter.api import server as api_server
from exporter.formats.raw import JSON_TYPE
from tests.support.api_server import Server, head, held, post
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_document, make_rows

Serve = Callable[..., Server]
REQUEST_SECONDS = 1.0
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n"
HEALTH = b"GET /-/healthy HTTP/1.1\r\nHost: exporter\r\n\r\n"


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api_server, "BODY_GRACE_SECONDS", 2.0)
        server = serve_module(request_timeout_seconds=REQUEST_SECONDS)
        server.client.headers["Connection"] = "close"  # or its own would be timed out and counted
        yield server


def closed_connections(server: Server, reason: str) -> float:
    line = f'mlflow_exporter_closed_connections_total{{reason="{reason}"}} '
    return float(server.client.get("/metrics").text.split(line)[1].split("\n")[0])


def is_closed(connection: socket.socket, say: bytes = b"") -> bool:
    """Send bytes, and return whether the server has closed the connection."""
    try:
        if say:
            connection.sendall(say)
        connection.setblocking(False)
        return connection.recv(4096) == b""
    except BlockingIOError:
        return False
    except (ConnectionResetError, BrokenPipeError):
        return True
    finally:
        connection.setblocking(True)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def received(connection: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    connection.settimeout(TIMEOUT_SECONDS)
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("opening", "say"),
    [
        pytest.param(b"", b"", id="silent"),
        pytest.param(b"GET /metrics HT", b"", id="half a head"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nX: ", b"x", id="a head byte by byte"),
        pytest.param(HEALTH + b"GET /metrics HTTP/1.1\r\nX: ", b"x", id="the next head byte by byte"),
        pytest.param(HEALTH[:-2] + b"Content-Length: 1000000\r\n\r\n", b"x", id="an unexpected body"),
    ],
)
def test_a_connection_is_closed_if_no_request_comes_in_time(
    server: Server, opening: bytes, say: bytes
) -> None:
    before = closed_connections(server, "timeout")
    with server.connect() as connection:
        started = time.monotonic()
        connection.sendall(opening)
        eventually(lambda: is_closed(connection, say))
        assert time.monotonic() - started > 0.9 * REQUEST_SECONDS
    eventually(lambda: closed_connections(server, "timeout") > before)  # a slow scrape may be one too


@pytest.mark.parametrize("path", ["/v1/predictions", "/v1/labels"])
def test_a_body_that_does_not_arrive_in_time_is_refused(server: Server, path: str) -> None:
    with server.connect() as connection:
        connection.sendall(head(1000).replace(b"/v1/predictions", path.encode()) + b'{"model"')
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: application/problem+json" in answer
    assert b"connection: close" in answer.lower()
    assert b"8 bytes of the body came in the 1 seconds it may take" in answer
    kind = "prediction" if path == "/v1/predictions" else "label"
    counted = f'mlflow_exporter_ingest_requests_total{{kind="{kind}",status="408"}} 1.0\n'
    eventually(lambda: counted in server.client.get("/metrics").text)


def test_bodies_that_were_late_give_their_share_of_memory_back(serve: Serve) -> None:
    server = serve(request_timeout_seconds=REQUEST_SECONDS, max_body_bytes=10_000)
    with ExitStack() as opened:
        late = [opened.enter_context(server.connect()) for _ in range(9)]
        for connection in late[:8]:
            connection.sendall(head(10_000) + b"x" * 9_999)
        for connection in late[:8]:
            assert received(connection).startswith(b"HTTP/1.1 408 ")
    document = make_document(make_rows(90))
    assert post(server, document).status_code == 202


def test_a_connection_stays_open_for_the_next_request(server: Server) -> None:
    deadline = time.monotonic() + 1.5 * REQUEST_SECONDS
    with server.connect() as connection:
        while time.monotonic() < deadline:
            connection.sendall(HEALTH)
            answer = b""
            while not answer.endswith(b"healthy\n"):
                answer += connection.recv(4096) or pytest.fail("it was closed")


def test_requests_that_come_at_once_are_all_answered(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(SCRAPE + HEALTH + SCRAPE + HEALTH[:-2])
        assert connection.recv(65536, socket.MSG_PEEK)
        connection.sendall(b"Connection: close\r\n\r\n")
        assert received(connection).count(b"HTTP/1.1 200 OK") == 4


def test_a_client_that_waits_for_the_exporter_is_not_disconnected(server: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        with held(server):
            answer = pool.submit(post, server, make_document(make_rows(5)))
            eventually(lambda: server.service.telemetry.queue_rows == 5)
            for _ in range(2):
                with server.connect() as silent:
                    assert received(silent) == b""
        assert answer.result(TIMEOUT_SECONDS).status_code == 202


def test_a_client_that_does_not_receive_the_answer_is_disconnected(server: Server) -> None:
    before = open_files()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(server.address)
        connection.sendall(SCRAPE * 1000)  # more than the kernel holds on both sides
        eventually(lambda: open_files() == before + 2)
        eventually(lambda: open_files() == before + 1)  # its own end


@pytest.mark.parametrize(
    "opening",
    [
        pytest.param(b"GET /metrics?", id="path"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nX: ", id="header"),
        pytest.param(
            b"POST /v1/predictions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", id="trailer"
        ),
    ],
)
def test_a_head_without_end_is_refused(serve: Serve, opening: bytes) -> None:
    server = serve(request_timeout_seconds=TIMEOUT_SECONDS)  # what comes slowly is another matter
    with server.connect() as connection:
        connection.sendall(opening)
        eventually(lambda: is_closed(connection, b"x" * 1000))
    eventually(lambda: closed_connections(server, "head") == 1)


def test_a_large_head_and_a_body_in_many_small_chunks_are_taken(serve: Serve) -> None:
    server = serve()
    document = orjson.dumps(make_document(make_rows(100))) + b" " * 50_000
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in document) + b"0\r\n\r\n"
    assert len(chunks) - len(document) > 4 * api_server.MAX_HEAD_BYTES
    opening = head(0).replace(b"Content-Length: 0", b"Connection: close\r\nTransfer-Encoding: chunked")
    with server.connect() as connection:
        connection.sendall(
            opening.replace(b"Connection", b"X: " + b"x" * 50_000 + b"\r\nConnection") + chunks
        )
        assert received(connection).startswith(b"HTTP/1.1 202 ")


def test_a_request_to_upgrade_is_answered_as_it_is(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    wish = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert (
        httpx.get(f"{server.client.base_url}/-/healthy", headers=wish, timeout=TIMEOUT_SECONDS).text
        == "healthy\n"
    )
    assert not caplog.records


def java_head(*framing: str) -> bytes:
    """Return the head that Java's HttpClient sends, which asks for HTTP/2 by default."""
    lines = ["POST /v1/predictions HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Host: localhost"]
    lines += ["HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "Upgrade: h2c"]
    lines += ["User-Agent: Java-http-client/17.0.9", f"Content-Type: {JSON_TYPE}", *framing]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("step", [10**6, 1000, 1], ids=["at once", "in parts", "byte by byte"])
def test_a_request_that_would_rather_have_http2_is_taken_with_its_body(
    serve: Serve, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    bodies = [orjson.dumps(make_document(make_rows(7, prefix=prefix))) for prefix in "abc"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (bodies[1][:500], bodies[1][500:]))
    said = java_head(f"Content-Length: {len(bodies[0])}") + bodies[0]
    said += java_head("Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n"
    said += HEALTH
    said += java_head("Connection: close", f"Content-Length: {len(bodies[2])}") + bodies[2]
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(said), step):
            connection.sendall(said[start : start + step])
        answers = received(connection)

    statuses = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert statuses == [b"202", b"202", b"200", b"202"]
    assert server.rows("accepted") == 21
    assert not caplog.records


def test_an_upgrade_without_a_body_leaves_the_connection_as_it_is(server: Server) -> None:
    wish = SCRAPE[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(wish + HEALTH + wish + HEALTH[:-2] + b"Connection: close\r\n\r\n")
        assert received(connection).count(b"HTTP/1.1 200 OK") == 4


def test_any_number_of_upgrades_may_come_at_once(server: Server) -> None:
    wish = HEALTH[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(600 * wish + HEALTH[:-2] + b"Connection: close\r\n\r\n")
        assert received(connection).count(b"HTTP/1.1 200 OK") == 601


@pytest.mark.parametrize("target", [b"/metrics", b"exporter:443"])
def test_it_is_no_proxy(server: Server, target: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(b"CONNECT " + target + b" HTTP/1.1\r\nHost: exporter\r\n\r\n" + HEALTH)
        assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_of_too_many_the_one_that_waits_longest_makes_room(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_server, "MAX_CONNECTIONS", 4)
    server = serve()
    with ThreadPoolExecutor(1) as pool, ExitStack() as opened:
        with held(server):
            posted = pool.submit(post, server, make_document(make_rows(5)))
            eventually(lambda: server.service.telemetry.queue_rows == 5)
            silent = []
            for _ in range(6):
                connection = opened.enter_context(server.connect())
                connection.sendall(HEALTH)
                assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
                silent.append(connection)
            eventually(lambda: [is_closed(connection) for connection in silent] == [True] * 3 + [False] * 3)
        assert posted.result(TIMEOUT_SECONDS).status_code == 202
    assert closed_connections(server, "limit") >= 3
