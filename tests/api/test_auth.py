"""Authorization by token, `Host` and `Origin`."""

from __future__ import annotations

import doctest
import io
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from exporter.api import auth
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE
from exporter.settings import load_settings
from tests.support.api_server import Server, answers, assert_problem, post
from tests.support.rig import make_document, make_rows, make_table

Serve = Callable[..., Server]
REBASELINE = "/v1/models/fraud/versions/1/rebaseline"
ORDER = {"by": "a page", "reason": "none", "live": "1h"}


def test_the_examples_hold() -> None:
    assert doctest.testmod(auth).failed == 0


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:19464",
        "app.localhost:80",
        "localhost.:19464",
        "127.0.0.1:19464",
        "127.1.2.3",
        "[::1]:19464",
        "[::ffff:127.0.0.1]",
        "10.244.1.7:19464",
        socket.gethostname(),
        f"{socket.gethostname().upper()}:19464",
    ],
)
def test_without_a_token_it_is_asked_by_its_own_names_and_by_addresses(server: Server, host: str) -> None:
    assert post(server, make_document(make_rows(1)), headers={"host": host}).status_code == 202


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:19464",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1",
        "@",
        "[::1].evil.example",
        "evil.example@localhost",
        "localhost:80.evil.example",
        "localhost:80:80",
    ],
)
def test_a_page_whose_name_was_made_to_lead_here_may_do_nothing(serve: Serve, host: str) -> None:
    server = serve()
    page = {"host": host, "origin": f"http://{host}"}
    before = server.client.get("/v1/models/fraud/versions/1").json()["reference"]["digest"]

    assert_problem(
        post(server, make_document(make_rows(1)), headers=page),
        403,
        "Forbidden",
        "add it to EXPORTER_ALLOWED_HOSTS",
    )
    refused = [
        server.client.post("/v1/labels", json={"model": "fraud", "labels": []}, headers=page),
        server.client.post(REBASELINE, params=ORDER, headers=page),
        server.client.post("/-/reload", headers=page),
        *(
            server.client.get(path, headers={"host": host})
            for path in ("/v1/models", "/v1/models/fraud/versions/1", "/v1/audit")
        ),
    ]

    assert {answer.status_code for answer in refused} == {403}
    assert answers(server) == answers(server, "label") == {"403": 1}
    assert server.client.get("/v1/models/fraud/versions/1").json()["reference"]["digest"] == before


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready"])
def test_prometheus_and_probes_ask_by_any_name(server: Server, path: str) -> None:
    for host in ("exporter:19464", "mlflow-exporter.monitoring.svc", "10.244.1.7:19464"):
        assert server.client.get(path, headers={"host": host}).status_code == 200


def test_whatever_a_name_that_is_not_allowed_is_refused_says_so(server: Server) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    guarded = [operation for operation in operations if "401" in operation["responses"]]
    assert len(guarded) > 7
    assert all("403" in operation["responses"] for operation in guarded)


def test_other_names_are_allowed_by_a_setting(serve: Serve) -> None:
    server = serve(allowed_hosts=("Exporter", "*.monitoring.svc"), host="127.0.0.1")

    def status(host: str) -> int:
        return post(server, make_document(make_rows(1)), headers={"host": host}).status_code

    assert [status(host) for host in ("exporter:19464", "EXPORTER", "ml.monitoring.svc")] == [202] * 3
    assert [status(host) for host in ("exporter.evil.example", "monitoring.svc")] == [403] * 2


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/v1/models", "Host: localhost\r\nHost: localhost", 200),
        ("/v1/models", "Host: localhost\r\nHost: evil.example", 403),
        ("/v1/models", "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example", 403),
        ("/v1/models/http://evil.example/", "Host: localhost", 404),
        ("http://localhost/v1/models", "Host: evil.example", 200),
        ("http://evil.example/v1/models", "Host: localhost", 403),
        ("http://evil.example:80/v1/models", "Host: localhost\r\nOrigin: http://localhost", 403),
    ],
)
def test_every_name_that_a_request_says_counts(
    server: Server, target: str, headers: str, status: int
) -> None:
    with server.connect() as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(100).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_refused_name_is_told_as_it_is_to_be_written_in_the_setting(serve: Serve) -> None:
    refused = post(serve(), make_document(make_rows(1)), headers={"host": "Exporter.monitoring.svc:19464"})
    assert_problem(
        refused, 403, "Forbidden", "'exporter.monitoring.svc' is not allowed without a token: add it"
    )
    assert load_settings({"EXPORTER_ALLOWED_HOSTS": "exporter.monitoring.svc"}).allowed_hosts


def test_a_client_that_names_no_host_is_no_browser(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    with server.connect() as connection:
        connection.sendall(b"GET /v1/models HTTP/1.0\r\nOrigin: null\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://[", "", "http://localhost:8888"])
def test_pages_of_other_sites_are_refused(server: Server, origin: str) -> None:
    headers = {"host": "localhost:19464", "origin": origin}
    refused = post(server, make_document(make_rows(1)), headers=headers)
    assert_problem(refused, 403, "Forbidden", "pages of other sites")


def test_its_own_pages_are_not(server: Server) -> None:
    headers = {"host": "LOCALHOST:19464", "origin": "http://localhost:19464"}
    assert post(server, make_document(make_rows(1)), headers=headers).status_code == 202


@pytest.fixture(scope="module")
def guarded(serve_module: Serve, tmp_path_factory: pytest.TempPathFactory) -> Server:
    path: Path = tmp_path_factory.mktemp("token") / "token"
    path.write_text("s3cret\n")
    return serve_module(api_token_file=str(path))


@pytest.mark.parametrize("said", ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret"])
def test_the_name_of_the_scheme_is_taken_in_any_case(guarded: Server, said: str) -> None:
    # and whoever has the token may come by any name, from any page
    headers = {"authorization": said, "host": "exporter", "origin": "https://console.example"}
    assert post(guarded, make_document(make_rows(1)), headers=headers).status_code == 202


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer S3CRET", "s3cret", "Basic s3cret", "Bearers3cret", "bearer \xe9"]
)
def test_the_token_is_not(guarded: Server, said: str) -> None:
    headers = {"authorization": said.encode("latin-1")}
    answer = httpx.get(f"{guarded.client.base_url}/v1/models", headers=headers)
    assert_problem(answer, 401, "Unauthorized", "Authorization: Bearer")


# -- named tokens -------------------------------------------------------------------------------------------

NAMED = """\
# name: token scopes
pump: pump-s3cret-s3cret ingest
alertmanager: alertmanager-s3cret-s3cret  alerts
grace: grace-s3cret-s3cret approve, audit
looker: looker-s3cret-s3cret

root: root-s3cret-s3cret admin
"""
ROUTES = [
    ("POST", "/v1/predictions", {"pump"}),
    ("POST", "/v1/labels", {"pump"}),
    ("POST", "/v1/alerts", {"alertmanager"}),
    ("POST", REBASELINE, set()),
    ("POST", "/-/reload", set()),
    ("GET", "/v1/audit", {"grace"}),
    ("GET", "/v1/models", {"pump", "alertmanager", "grace", "looker"}),
    ("GET", "/v1/models/fraud/versions/1", {"pump", "alertmanager", "grace", "looker"}),
]


@pytest.fixture(scope="module")
def named(serve_module: Serve, tmp_path_factory: pytest.TempPathFactory) -> Server:
    directory = tmp_path_factory.mktemp("tokens")
    (directory / "tokens").write_text(NAMED)
    (directory / "token").write_text("s3cret")
    files = {"api_tokens_file": str(directory / "tokens"), "api_token_file": str(directory / "token")}
    return serve_module(**files)


def bearer(name: str) -> dict[str, str]:
    return {"authorization": "Bearer " + ("s3cret" if name == "default" else f"{name}-s3cret-s3cret")}


@pytest.mark.parametrize(("method", "path", "allowed"), ROUTES)
def test_a_token_may_do_what_its_scopes_say(named: Server, method: str, path: str, allowed: set[str]) -> None:
    for name in ("pump", "alertmanager", "grace", "looker", "root", "default"):
        answer = named.client.request(method, path, headers=bearer(name))
        if name in {*allowed, "root", "default"}:
            assert answer.status_code not in (401, 403), name
        else:
            assert_problem(answer, 403, "Forbidden", f"the token {name} lacks the scope `")
    assert named.client.request(method, path).status_code == 401
    assert named.client.request(method, path, headers=bearer("another")).status_code == 401


def test_a_change_is_recorded_with_the_name_of_the_token(named: Server) -> None:
    sink = io.BytesIO()
    pq.write_table(make_table(1500, seed=7), sink)
    replaced = named.client.post(
        REBASELINE,
        params={"by": "grace", "reason": "new prices"},
        content=sink.getvalue(),
        headers={"Content-Type": PARQUET_TYPE, **bearer("root")},
    )
    assert replaced.status_code == 200
    lines = named.client.get("/v1/audit", headers=bearer("root")).text
    assert '"root (grace)"' in lines


def test_tokens_are_read_again(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("old: old-s3cret-s3cret admin\n")
    server = serve(api_tokens_file=str(file))
    old, new = bearer("old"), bearer("new")

    file.write_text("new: short admin\n")
    assert_problem(
        server.client.post("/-/reload", headers=old),
        500,
        "Configuration not taken",
        "tokens:1: the token of new has",
    )
    assert server.client.get("/v1/models", headers=old).status_code == 200

    file.write_text("new: new-s3cret-s3cret admin\n")
    assert server.client.post("/-/reload", headers=old).status_code == 200
    assert server.client.get("/v1/models", headers=old).status_code == 401
    assert server.client.get("/v1/models", headers=new).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-encoding": "Identity"}, 202),
        ({"content-encoding": "IDENTITY"}, 202),
        ({"content-encoding": "GZIP"}, 422),  # which it is not
        ({"content-encoding": "BR"}, 415),
        ({"content-type": "Application/JSON; Charset=UTF-8"}, 202),
        ({"content-type": ARROW_TYPE.upper()}, 422),  # which it is not
        ({"content-type": "text/CSV"}, 415),
    ],
)
def test_names_in_headers_are_taken_in_any_case(server: Server, headers: dict[str, str], status: int) -> None:
    headers = {"content-type": JSON_TYPE, **headers}
    body = post(server, make_document(make_rows(1)), headers=headers)
    assert body.status_code == status


def test_so_are_those_of_what_is_accepted(server: Server) -> None:
    lines = server.client.get("/v1/audit", headers={"accept": "Application/JSONL"})
    assert lines.headers["content-type"] == "application/jsonl"
    page = server.client.get("/metrics", headers={"accept-encoding": "GZip"})
    assert page.headers["content-encoding"] == "gzip"
