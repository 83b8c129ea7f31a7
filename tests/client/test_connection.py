"""The connection to an exporter."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from exporter.client import Connection
from exporter.errors import CallRefusedError, ConfigError, UnreachableError
from tests.support.scripted_exporter import Reply, scripted_exporter
from tests.support.web_server import Answer, WebServer

Serve = Callable[[Answer], WebServer]


def test_it_sends_the_token_and_the_parameters_that_are_set(web_server: Serve) -> None:
    server = web_server(Answer(200, b'{"models": []}'))
    with Connection(server.uri + "/", "s3cret") as connection:
        assert connection.get("/v1/audit", {"limit": 3, "model": "", "kind": ["a", "b"]}) == {"models": []}
    assert server.paths == ["/v1/audit?limit=3&kind=a&kind=b"]
    assert server.headers[0]["Authorization"] == "Bearer s3cret"


def test_a_refusal_has_its_status_detail_and_place() -> None:
    with scripted_exporter() as exporter, Connection(exporter.url) as connection:
        body = b'{"detail": "no \\u001b[2J number", "where": "predictions[3]"}'
        exporter.replies = [Reply(422, body), Reply()]
        with pytest.raises(CallRefusedError) as found:
            connection.post_json("/v1/predictions", {"model": "fraud"})
        assert str(found.value) == r"the exporter refused (422): no \x1b[2J number (predictions[3])"
        assert (found.value.status, found.value.where) == (422, "predictions[3]")
        assert connection.post_json("/v1/predictions", {"model": "fraud"}) == {}
        assert exporter.received[0].document == {"model": "fraud"}


@pytest.mark.parametrize("body", [b"<html>", b'{"title": "?"}', b"[]", b"[" * 100_000], ids=len)
def test_a_refusal_by_something_else_is_told_with_its_status(web_server: Serve, body: bytes) -> None:
    with pytest.raises(CallRefusedError, match=r"refused \(502\): Bad Gateway"):
        Connection(web_server(Answer(502, body)).uri).get("/v1/models")


def test_the_token_follows_no_redirect(web_server: Serve) -> None:
    other = web_server(Answer(200, b"{}"))
    server = web_server(Answer(302, b"", {"Location": other.uri}))
    with pytest.raises(CallRefusedError, match=r"refused \(302\)"):
        Connection(server.uri, "s3cret").get("/v1/models")
    assert not other.paths


def misdirected(shard: object) -> Reply:
    return Reply(421, json.dumps({"detail": "another shard's", "shard": shard, "shards": 2}).encode())


def test_an_address_with_a_shard_leads_to_the_one_that_has_the_model(free_port: int) -> None:
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(scripted_exporter(f"127.0.0.{shard}", free_port)) for shard in (1, 2)
        )
        first.replies = [misdirected(2)]
        connection = stack.enter_context(Connection(f"http://127.0.0.{{shard}}:{free_port}/", "s3cret"))
        for number in range(2):
            assert connection.post_json("/v1/predictions", {"number": number}) == {}
        assert list(connection.chunks("/v1/audit")) == [b"{}"]
        assert [each.document for each in first.received] == [{"number": 0}]
        assert [each.document for each in second.received] == [{"number": 0}, {"number": 1}, None]
        second.replies = [misdirected(1)]
        assert list(connection.chunks("/v1/audit")) == [b"{}"]
        assert len(first.received) == 2
        first.replies, second.replies = [misdirected(2)], [misdirected(1)]  # while their number changes
        with pytest.raises(CallRefusedError, match=r"refused \(421\): another shard's"):
            connection.get("/v1/audit")


@pytest.mark.parametrize("shard", [0, 257, True, "2", "evil.example", None, 1.5])
def test_nothing_but_the_number_of_a_shard_gets_into_an_address(shard: object) -> None:
    with scripted_exporter() as exporter:
        exporter.replies = [misdirected(shard)]
        address = exporter.url.replace("127.0.0.1", "127.0.0.{shard}")
        with Connection(address) as connection, pytest.raises(CallRefusedError, match=r"refused \(421\)"):
            connection.get("/v1/models")
        assert len(exporter.received) == 1


def test_an_address_without_a_shard_stays_and_the_refusal_is_told() -> None:
    with scripted_exporter() as exporter:
        exporter.replies = [misdirected(2)]
        with Connection(exporter.url) as connection, pytest.raises(CallRefusedError, match="another shard's"):
            connection.get("/v1/models")
        assert len(exporter.received) == 1


def test_a_long_answer_comes_in_parts(web_server: Serve) -> None:
    body = b"x" * 200_000
    parts = list(Connection(web_server(Answer(200, body)).uri).chunks("/v1/audit"))
    assert b"".join(parts) == body
    assert len(parts) > 1
    with pytest.raises(CallRefusedError, match="Not Found"):
        list(Connection(web_server(Answer(404, b"")).uri).chunks("/v1/audit"))


def test_an_answer_that_is_no_json_is_told(web_server: Serve) -> None:
    with pytest.raises(UnreachableError, match="does not answer as an exporter does"):
        Connection(web_server(Answer(200, b"<html>")).uri).get("/v1/models")


def test_an_exporter_that_is_away_is_told() -> None:
    with pytest.raises(UnreachableError, match=r"^the exporter at 127.0.0.1:9 cannot be reached: Connection"):
        Connection("http://127.0.0.1:9").get("/v1/models")


def test_an_exporter_that_never_answers_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="cannot be reached: "):
            Connection(url, timeout_seconds=0.05).get("/v1/models")


NO_ADDRESSES = ["", "exporter:19464", "ftp://exporter", "http://", "http://[", "http://a b", 3]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="is no address such as http://127"):
        Connection(url)


def test_an_address_is_told_without_its_password() -> None:
    with pytest.raises(ConfigError, match=r"'ftp://\*\*\*@exporter' is no address"):
        Connection("ftp://ada:secret@exporter")


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "s3crét", "\x7f"])
def test_a_token_that_cannot_be_sent_is_told(token: str) -> None:
    with pytest.raises(ConfigError, match="a token has printable ASCII characters"):
        Connection("http://127.0.0.1", token)
