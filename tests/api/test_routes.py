"""Health, reload, and behaviour that all routes share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_server import Server, assert_problem, post
from tests.support.fakes import FakeRegistry
from tests.support.rig import make_document, make_rows

Serve = Callable[..., Server]


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_it_is_healthy_and_ready(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 200
    assert server.client.head(path).status_code == 200


def test_a_thread_that_died_is_seen(serve: Serve) -> None:
    server = serve(FakeRegistry())
    server.service.writer.stop()
    answer = server.client.get("/-/healthy")
    assert (answer.status_code, answer.text) == (503, "a thread has died\n")


def test_a_store_that_was_deleted_is_seen(serve: Serve) -> None:
    server = serve(FakeRegistry())
    path = Path(server.service.settings.store.removeprefix("sqlite:///"))
    path.unlink()
    answer = server.client.get("/-/healthy")
    assert answer.status_code == 503
    assert answer.text == f"{path} is gone while it is in use (No such file or directory)\n"


def test_unknown_paths_and_methods_are_problems(server: Server) -> None:
    assert_problem(server.client.get("/nowhere"), 404, "Not Found", "Not Found")
    answer = server.client.get("/v1/predictions")
    assert_problem(answer, 405, "Method Not Allowed", "Method Not Allowed")
    assert answer.headers["allow"] == "POST"
    assert_problem(server.client.post("/metrics"), 405, "Method Not Allowed", "Method Not Allowed")


def test_a_bug_is_a_problem_without_details_and_logged(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(server.service, "submit", fail)
    with caplog.at_level(logging.ERROR):
        answer = post(server, make_document(make_rows(1)))
    assert_problem(answer, 500, "Internal error", "ZeroDivisionError; the log says more")
    assert "secret" not in answer.text
    assert "secret" in caplog.text


# -- reload -------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "exporter.yml"
    path.write_text("models: {fraud: {target: late}}\n")
    return path


def shown_problems(server: Server) -> list[str]:
    found: dict[str, Any] = server.client.get("/v1/models/fraud/versions/1").json()
    return list(found["problems"])


def test_a_reload_takes_the_file_and_says_what_of_it_has_no_effect(serve: Serve, file: Path) -> None:
    server = serve(config=str(file))
    assert shown_problems(server) == []
    file.write_text(
        "models: {fraud: {drift_thresholds: {aeg: 0.3}, segments: [land], columns: {exclude: [country]}}}\n"
    )
    answer = server.client.post("/-/reload")
    assert (answer.status_code, answer.text) == (200, "reloaded\n")
    assert shown_problems(server) == [
        "the reference has no column 'aeg'",
        "the reference has no column 'land'",
        "column 'country' is left out of the next reference, not of this one",
    ]


def test_a_reload_of_a_file_that_cannot_be_used_is_a_problem_with_its_line(serve: Serve, file: Path) -> None:
    server = serve(config=str(file))
    file.write_text("models:\n  fraud:\n    segment: country\n")
    answer = server.client.post("/-/reload")
    message = f"{file}:3: models.fraud.segment: unknown key; did you mean segments?"
    assert_problem(answer, 500, "Configuration not taken", message)


def test_a_reload_without_a_file_does_nothing(serve: Serve) -> None:
    assert serve().client.post("/-/reload").status_code == 200


def test_a_reload_needs_the_token_if_one_is_set(serve: Serve, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    client = serve(api_token_file=str(token)).client
    assert client.post("/-/reload").status_code == 401
    assert client.post("/-/reload", headers={"Authorization": "Bearer secret"}).status_code == 200
