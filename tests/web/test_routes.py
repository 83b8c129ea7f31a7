"""The pages behind HTTP."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.web.rendering import HEADERS
from tests.support.api_server import Server, assert_problem, post
from tests.support.fakes import FakeRegistry
from tests.support.rig import make_document, make_rows

Serve = Callable[..., Server]
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'anyone:{password}'.encode()).decode()}"}


def test_the_root_is_a_page_that_can_run_and_load_nothing_foreign(server: Server) -> None:
    answer = server.client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "<script" not in answer.text
    assert server.client.head("/").status_code == 200


def test_what_the_root_links_of_the_exporter_is_there(server: Server) -> None:
    links = set(re.findall(r'href="([^"#:]+)"', server.client.get("/").text))
    assert {"docs", "metrics", "v1/audit", "models/fraud/versions/1"} < links
    found = {link: server.client.get(f"/{link}").status_code for link in links if "models/" not in link}
    assert found == dict.fromkeys(found, 200)


def test_the_root_says_what_is_monitored_and_what_it_lacks(serve: Serve) -> None:
    server = serve(FakeRegistry())
    assert "No model is monitored yet" in server.client.get("/").text
    named = serve()
    post(named, make_document(make_rows(10)))
    text = named.client.get("/").text
    assert "fraud version 1" in text
    assert "champion" in text
    assert "Its reference has no times over two weeks." in text


def test_the_page_loads_itself_anew_only_if_it_is_asked_to(server: Server) -> None:
    assert 'http-equiv="refresh"' not in server.client.get("/").text
    assert '<meta http-equiv="refresh" content="60">' in server.client.get("/?refresh=true").text


def test_grafana_and_mlflow_are_linked_where_they_are_known(
    serve: Serve, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@mlflow.example:5000/")
    linked = serve(grafana_url="https://grafana.example/")
    text = linked.client.get("/").text
    dashboard = "https://grafana.example/d/mlflow-model?var-model=fraud&amp;var-model_version=1"
    assert f'<a href="{dashboard}"' in text
    assert '<a href="http://mlflow.example:5000/#/models/fraud/versions/1"' in text
    assert "secret" not in text
    metrics = linked.client.get("/metrics").text
    assert 'mlflow_exporter_address_info{program="mlflow",url="http://mlflow.example:5000"} 1' in metrics
    assert "Grafana" not in server.client.get("/").text


def test_a_token_is_asked_for_and_taken_as_a_password_for_reading_only(serve: Serve, tmp_path: Path) -> None:
    tokens = tmp_path / "token"
    tokens.write_text("a-secret-of-mine\n")
    client = serve(api_token_file=str(tokens)).client
    refused = client.get("/", headers=BROWSER)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Basic realm="mlflow-exporter", charset="UTF-8"'
    assert client.get("/").headers["www-authenticate"] == "Bearer"
    assert "fraud" in client.get("/", headers=basic("a-secret-of-mine")).text
    for headers in (basic("another"), {"Authorization": "Basic ???"}, {"Authorization": "Basic"}):
        assert client.get("/", headers=headers).status_code == 401
    assert client.get("/v1/audit", headers=basic("a-secret-of-mine")).status_code == 200
    assert client.post("/-/reload", headers=basic("a-secret-of-mine")).status_code == 401


def test_a_page_of_another_site_is_refused(server: Server) -> None:
    answer = server.client.get("/", headers={"Host": "evil.example"})
    assert_problem(answer, 403, "Forbidden", "the host name 'evil.example' is not allowed")


def test_the_style_sheet_is_kept_by_browsers_and_has_every_file(server: Server) -> None:
    [path] = re.findall(r'<link rel="stylesheet" href="([^"]+)">', server.client.get("/").text)
    answer = server.client.get(f"/{path}")
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    styles = Path(__file__).parents[2] / "exporter" / "web" / "styles"
    assert all(file.read_text() in answer.text for file in styles.iterdir())


def test_pages_are_compressed_for_those_who_take_it(server: Server) -> None:
    plain = server.client.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    compressed = server.client.get("/", headers={"Accept-Encoding": "gzip"})
    assert compressed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in compressed.headers["vary"]
    assert compressed.text.partition("<h1>")[2].startswith("No model needs attention")
