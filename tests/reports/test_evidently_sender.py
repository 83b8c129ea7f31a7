"""Reports in a real Evidently UI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.config.reports import ReportsConfig
from exporter.errors import SendingError
from exporter.reports.evidently_sender import EvidentlySender, project_id
from exporter.storage.store import Store
from tests.support.done_reports import add_done_report
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.web_server import Answer, WebServer

# As Evidently's `Snapshot.dumps` writes it, without metrics.
SNAPSHOT = {
    "report": {"items": []},
    "name": "fraud 1",
    "timestamp": "2023-11-14T22:13:20",
    "metadata": {"model_version": "1"},
    "tags": ["4f2a"],
    "metric_results": {},
    "top_level_metrics": [],
    "widgets": [],
    "tests_widgets": [],
}


@pytest.fixture
def embedded(open_store: Callable[[str], Store], tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'exporter.db'}")


@pytest.fixture(scope="module")
def evidently_ui(
    tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]
) -> Iterator[str]:
    """URL of Evidently's UI, which takes reports with the secret `s3cret`."""
    directory = tmp_path_factory.mktemp("evidently")
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "evidently.cli", "ui", "--workspace", str(directory)]
    command += ["--port", str(port), "--secret", "s3cret"]
    with (directory / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "DO_NOT_TRACK": "1"}, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                get(url, "/api/version")
                break
            except OSError:
                assert process.poll() is None, (directory / "ui.log").read_text()[-2000:]
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(TIMEOUT_SECONDS)


def get(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}{path}", timeout=TIMEOUT_SECONDS) as answer:
        return json.load(answer)


def make_sender(store: Store, url: str, secret_file: Path | None = None) -> EvidentlySender:
    config = ReportsConfig().model_copy(
        update={"evidently_url": url, "evidently_secret_file": secret_file and str(secret_file)}
    )
    return EvidentlySender(store, lambda: config)


@pytest.mark.slow
def test_a_report_is_in_the_project_of_its_model_once(
    embedded: Store, evidently_ui: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    report = add_done_report(embedded, files={"snapshot": json.dumps(SNAPSHOT).encode()})
    sender = make_sender(embedded, f"{evidently_ui}/", secret)
    with pytest.raises(SendingError) as refused:
        sender.send(report)
    assert (refused.value.down, "wrong" in str(refused.value)) == (False, False)

    secret.write_text("s3cret\n")
    run_id = sender.send(report)
    # An attempt that came through without an answer is found, and another report is another run.
    assert sender.send(replace(report, send_after=1.0)) == run_id
    other = {**SNAPSHOT, "tags": ["77aa"]}
    add_done_report(embedded, "77aa", files={"snapshot": json.dumps(other).encode()})
    other_id = sender.send(replace(report, id="77aa"))

    project = project_id("fraud")
    assert [(each["id"], each["name"]) for each in get(evidently_ui, "/api/projects")] == [
        (str(project), "fraud")
    ]
    runs = get(evidently_ui, f"/api/projects/{project}/snapshots")
    assert {run["id"]: run["tags"] for run in runs} == {run_id: ["4f2a"], other_id: ["77aa"]}


@pytest.mark.parametrize(
    ("status", "body", "down", "problem"),
    [
        (503, b"busy", True, "it answers 503: busy"),
        (404, b"<html>no such page", False, "it answers 404: <html>no such page"),
        (413, b"", False, "it answers 413; its option --litestar-request-max-body-size"),
    ],
    ids=["busy", "another server", "too large"],
)
def test_an_answer_that_is_no_success_is_told(
    embedded: Store,
    web_server: Callable[[Answer], WebServer],
    status: int,
    body: bytes,
    down: bool,
    problem: str,
) -> None:
    with pytest.raises(SendingError, match=problem) as refused:
        make_sender(embedded, web_server(Answer(status, body)).uri).send(add_done_report(embedded))
    assert refused.value.down == down


def test_a_secret_that_is_sent_back_is_not_told(
    embedded: Store, web_server: Callable[[Answer], WebServer], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    url = web_server(Answer(400, b"evidently-secret: s3cret")).uri
    with pytest.raises(SendingError, match=r"it answers 400: evidently-secret: \*\*\*"):
        make_sender(embedded, url, secret).send(add_done_report(embedded))


def test_an_id_of_any_length_is_stored(embedded: Store, web_server: Callable[[Answer], WebServer]) -> None:
    runs = [{"id": "\0" + "7" * 2**16, "tags": ["4f2a"]}]
    sender = make_sender(embedded, web_server(Answer(200, json.dumps(runs).encode())).uri)
    assert sender.send(replace(add_done_report(embedded), send_after=1.0)) == "7" * 63 + "…"


def test_without_a_connection_or_its_secret_nothing_is_sent(
    embedded: Store, free_port: int, tmp_path: Path
) -> None:
    report = add_done_report(embedded)
    for secret_file, problem in ((None, "no connection to"), (tmp_path / "none", "cannot be read: No such")):
        with pytest.raises(SendingError, match=problem) as unsent:
            make_sender(embedded, f"http://127.0.0.1:{free_port}", secret_file).send(report)
        assert unsent.value.down


def test_it_is_on_where_a_url_is_configured(embedded: Store) -> None:
    assert make_sender(embedded, "http://evidently:8000").is_on()
    assert not make_sender(embedded, "").is_on()
