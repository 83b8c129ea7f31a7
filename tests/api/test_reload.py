"""Reloading the configuration over HTTP, and what is said of it there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.server import Server
from tests.api.test_predictions import assert_problem

Serve = Callable[..., Server]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "exporter.yml"
    path.write_text("models: {fraud: {target: late}}\n")
    return path


def problems(server: Server) -> list[str]:
    found: dict[str, Any] = server.client.get("/v1/models/fraud/versions/1").json()
    return list(found["problems"])


def test_a_reload_takes_the_file_and_says_what_of_it_has_no_effect(serve: Serve, file: Path) -> None:
    server = serve(config=str(file))
    assert problems(server) == []
    file.write_text(
        "models: {fraud: {drift_thresholds: {aeg: 0.3}, segments: [land], columns: {exclude: [country]}}}\n"
    )
    answer = server.client.post("/-/reload")
    assert (answer.status_code, answer.text) == (200, "reloaded\n")
    assert problems(server) == [
        "the reference has no column 'aeg'",
        "the reference has no column 'land'",
        "column 'country' is left out of the next reference, not of this one",
    ]


def test_a_file_that_cannot_be_used_is_a_problem_with_its_line(serve: Serve, file: Path) -> None:
    server = serve(config=str(file))
    file.write_text("models:\n  fraud:\n    segment: country\n")
    answer = server.client.post("/-/reload")
    message = f"{file}:3: models.fraud.segment: unknown key; did you mean segments?"
    assert_problem(answer, 500, "Configuration not taken", message)


def test_without_a_file_there_is_nothing_to_do(serve: Serve) -> None:
    assert serve().client.post("/-/reload").status_code == 200


def test_where_a_token_is_set_it_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    client = serve(api_token_file=str(token)).client
    assert client.post("/-/reload").status_code == 401
    assert client.post("/-/reload", headers={"Authorization": "Bearer secret"}).status_code == 200
