"""The calls that the README shows are really made, one after the other, and answered as it says."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from exporter.cli import _parser
from tests.api.server import Server
from tests.fakes import FakeRegistry
from tests.rig import make_table

README = (Path(__file__).parents[2] / "README.md").read_text()
CALL = re.compile(r"^\$ (curl [^']*'[^']*' -d '[^']*')\n(.+)$", re.M)


def at_our_time(document: dict[str, object]) -> dict[str, object]:
    """Times of the README are past retention one day."""
    for row in document.get("predictions", document.get("labels")):  # type: ignore[attr-defined]
        if "timestamp" in row:
            row["timestamp"] = time.time()
    return document


def test_every_call_is_answered_as_shown(serve: Callable[..., Server]) -> None:
    registry = FakeRegistry()
    for _ in range(3):
        version = registry.register("fraud", make_table())
    registry.set_alias("fraud", "champion", version)
    server = serve(registry)
    server.await_ready(version="3")
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


def test_every_command_that_replaces_a_reference_is_one() -> None:
    commands = re.findall(r"^\$ mlflow-exporter (rebaseline .+)$", README, re.M)
    assert len(commands) == 2
    for command in commands:
        assert _parser().parse_args(shlex.split(command)).model == "fraud"
