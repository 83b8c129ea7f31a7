"""The calls in the documentation have the answers that it shows."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import requests

from exporter.cli import parser
from tests.support.api_server import Server
from tests.support.docs import page
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.rig import make_table

README, EXPORTER = page("README.md"), page("exporter/README.md")
CALL = re.compile(r"^\$ (curl [^']*'[^']*' -d '[^']*')\n(.+)$", re.M)


def at_our_time(document: dict[str, object]) -> dict[str, object]:
    """Return the document with current times: the README's will be too old one day."""
    for row in document.get("predictions", document.get("labels")):  # type: ignore[attr-defined]
        if "timestamp" in row:
            row["timestamp"] = time.time()
    return document


@pytest.fixture(scope="module")
def server(serve_module: Callable[..., Server]) -> Server:
    """An exporter that monitors the README's model: version 3 of `fraud` is the champion."""
    registry = FakeRegistry()
    for _ in range(3):
        version = registry.register("fraud", make_table())
    registry.set_alias("fraud", "champion", version)
    server = serve_module(registry)
    server.await_ready(version="3")
    return server


def test_every_call_is_answered_as_shown(server: Server) -> None:
    calls = CALL.findall(README)
    assert len(calls) == len(re.findall(r"^\$ curl", README, re.M)) == 2
    for call, shown in calls:
        _, url, _, header, _, body = shlex.split(call)
        name, _, value = header.partition(": ")
        answer = server.client.post(
            url.removeprefix("http://localhost:19464"),
            content=json.dumps(at_our_time(json.loads(body))),
            headers={name: value},
        )
        assert (answer.status_code, answer.text) == (202, shown)


def test_the_monitor_sends_the_prediction_that_is_shown(server: Server) -> None:
    [example] = re.findall(r"```python\n(from exporter.client .+?)```", README, re.S)
    before, given = server.rows("accepted"), dict[str, Any]()
    here = {"http://localhost:19464": str(server.client.base_url), '"a1"': '"sent by the monitor"'}
    for said, meant in here.items():
        example = example.replace(said, meant)
    exec(example, given)
    monitor = given["monitor"]
    assert monitor.flush(TIMEOUT_SECONDS)
    monitor.close()
    assert (server.rows("accepted") - before, monitor.dropped) == (1, {})
    assert not server.service.fleet.versions["fraud", "3"].unknown_columns


def test_the_example_with_parquet_is_taken(server: Server) -> None:
    [example] = re.findall(r"```python\n(batch = .+?)```", EXPORTER, re.S)
    frame = make_table().to_pandas()[:3].set_index(pd.Index([7, 8, 9]))
    inputs = frame.drop(columns=["prediction", "score"])
    answers = []

    def post(url: str, **options: Any) -> requests.Response:
        answers.append(
            requests.request(
                "POST",
                url.replace("http://localhost:19464", str(server.client.base_url).rstrip("/")),
                **options,
            )
        )
        return answers[-1]

    given = {
        "requests": SimpleNamespace(post=post),
        "inputs": inputs,
        "ids": ["p1", "p2", "p3"],
        "model": SimpleNamespace(predict=lambda _: frame["prediction"]),
    }
    exec(example, given)
    assert answers[0].json() == {"accepted": 3, "duplicates": 0, "conflicts": 0}
    assert not server.service.fleet.versions["fraud", "3"].unknown_columns


def test_every_command_that_replaces_a_reference_is_one() -> None:
    commands = re.findall(r"^\$ mlflow-exporter (rebaseline .+)$", EXPORTER, re.M)
    assert len(commands) == 2
    for command in commands:
        assert parser().parse_args(shlex.split(command)).model == "fraud"
