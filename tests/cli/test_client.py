"""The client of commands that ask a running exporter."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.cli.client import TOKEN_VARIABLE, Client, RefusedError, add_client_options
from exporter.errors import ConfigError
from tests.support.web_server import Answer, WebServer

Serve = Callable[[Answer], WebServer]


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_client_options(parser)
    return parser.parse_args(arguments)


def test_it_sends_the_token_and_the_parameters_that_are_set(
    web_server: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = web_server(Answer(200, b'{"models": []}'))
    (tmp_path / "mine").write_text("s3cret\n")
    monkeypatch.setenv(TOKEN_VARIABLE, str(tmp_path / "another"))
    client = Client.of(options("--exporter", server.uri + "/", "--token-file", str(tmp_path / "mine")))
    assert client.get("/v1/audit", {"limit": 3, "model": "", "kind": ["a", "b"]}) == {"models": []}
    assert server.paths == ["/v1/audit?limit=3&kind=a&kind=b"]
    assert server.headers[0]["Authorization"] == "Bearer s3cret"


def test_a_refusal_is_told_with_its_detail(web_server: Serve) -> None:
    server = web_server(Answer(403, b'{"detail": "scope `approve` is needed"}'))
    with pytest.raises(RefusedError, match=r"^the exporter refused \(403\): scope `approve` is needed$"):
        Client(server.uri).get("/v1/remediations")


def test_a_refusal_for_want_of_a_token_names_the_option(web_server: Serve) -> None:
    server = web_server(Answer(401, b'{"detail": "send a token"}'))
    with pytest.raises(RefusedError, match=r"\(401\): send a token: .* --token-file$"):
        Client(server.uri).get("/v1/remediations")


def test_a_refusal_cannot_control_the_terminal(web_server: Serve) -> None:
    server = web_server(Answer(409, b'{"detail": "it is \\u001b[2J refused\\n"}'))
    with pytest.raises(RefusedError) as found:
        Client(server.uri).get("/v1/remediations")
    assert str(found.value).isprintable()


@pytest.mark.parametrize("body", [b"<html>", b'{"title": "?"}', b"[]"])
def test_a_refusal_by_something_else_is_told_with_its_status(web_server: Serve, body: bytes) -> None:
    with pytest.raises(RefusedError, match=r"refused \(502\): Bad Gateway"):
        Client(web_server(Answer(502, body)).uri).get("/v1/models")


def test_the_token_follows_no_redirect(web_server: Serve) -> None:
    other = web_server(Answer(200, b"{}"))
    server = web_server(Answer(302, b"", {"Location": other.uri}))
    with pytest.raises(RefusedError, match=r"refused \(302\)"):
        Client(server.uri, "s3cret").get("/v1/models")
    assert not other.paths


def test_an_answer_that_is_no_json_is_told(web_server: Serve) -> None:
    with pytest.raises(RefusedError, match="does not answer as an exporter does"):
        Client(web_server(Answer(200, b"<html>")).uri).get("/v1/models")


def test_a_long_answer_comes_in_parts(web_server: Serve) -> None:
    body = b"x" * 200_000
    parts = list(Client(web_server(Answer(200, body)).uri).chunks("/v1/audit"))
    assert b"".join(parts) == body
    assert len(parts) > 1


def test_an_exporter_that_is_away_is_told(web_server: Serve) -> None:
    with pytest.raises(RefusedError, match=r"^the exporter at 127.0.0.1:9 cannot be reached: Connection"):
        Client("http://127.0.0.1:9").get("/v1/models")


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "s3crét", "\x7f"])
def test_a_file_that_holds_no_token_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="token has to hold a token, and nothing else"):
        Client.of(options("--token-file", str(tmp_path / "token")))


def test_a_file_that_cannot_be_read_and_an_address_that_is_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere cannot be read: No such file"):
        Client.of(options("--token-file", str(tmp_path / "nowhere")))
    with pytest.raises(ConfigError, match="'exporter:19464' is no address such as http"):
        Client.of(options("--exporter", "exporter:19464"))
