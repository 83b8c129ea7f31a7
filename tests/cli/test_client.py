"""The connection of commands that ask a running exporter: options, and what is told of its refusals."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.cli.client import TOKEN_VARIABLE, add_client_options, connect
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
    with connect(options("--exporter", server.uri + "/", "--token-file", str(tmp_path / "mine"))) as exporter:
        assert exporter.get("/v1/audit", {"limit": 3, "model": "", "kind": ["a", "b"]}) == {"models": []}
    assert server.paths == ["/v1/audit?limit=3&kind=a&kind=b"]
    assert server.headers[0]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "(403): scope `audit` is needed"),
        (
            401,
            "(401): scope `audit` is needed: name the file of your token with --token-file",
        ),
    ],
)
def test_a_refusal_is_told_with_its_detail(
    web_server: Serve, capsys: pytest.CaptureFixture[str], status: int, told: str
) -> None:
    server = web_server(Answer(status, b'{"detail": "scope `audit` is needed"}'))
    with pytest.raises(SystemExit) as end:
        main(["remediation", "list", "--exporter", server.uri])
    assert end.value.code == 1
    assert capsys.readouterr().err == f"mlflow-exporter: the exporter refused {told}\n"


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "s3crét", "\x7f"])
def test_a_file_that_holds_no_token_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="token has to hold a token, and nothing else"):
        connect(options("--token-file", str(tmp_path / "token")))


def test_a_file_that_cannot_be_read_and_an_address_that_is_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere cannot be read: No such file"):
        connect(options("--token-file", str(tmp_path / "nowhere")))
    with pytest.raises(ConfigError, match="'exporter:19464' is no address such as http"):
        connect(options("--exporter", "exporter:19464"))
