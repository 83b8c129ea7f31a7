"""Fixtures of targets: a server of fakes, and secrets in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.remediation.targets import Job, Targets
from exporter.remediation.targets.exchange import Limits
from tests.support.orchestrators import PASSWORD, TOKEN, Fake, OrchestratorServer, orchestrator_server
from tests.support.rig import NOON

ACTION_ID = "5f" * 20
JOB = Job(
    ACTION_ID,
    {
        "action_id": ACTION_ID,
        "policy": "retrain-on-drift",
        "alertname": "ModelFeatureDrift",
        "severity": "critical",
        "starts_at": "2025-06-02T12:00:00Z",
        "model": 'x", "admin": true, "y": "',
        "model_version": "3",
        "alias": "champion",
        "labels.column": "amount=1,b",
    },
    NOON,
)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[OrchestratorServer]:
    with orchestrator_server() as server:
        yield server


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return {"token_file": str(tmp_path / "token"), "password_file": str(tmp_path / "password")}


@pytest.fixture
def targets(shared_server: OrchestratorServer, secrets: dict[str, str]) -> Callable[..., Targets]:
    """Makes the server be a fake, and returns `Targets` with the one target `it`."""

    def make(fake: Fake, total_seconds: float = 10, **settings: Any) -> Targets:
        shared_server.reset(fake)
        config = fake.config(shared_server.url, fake.secrets(**secrets), **settings)
        limits = Limits(connect_seconds=5, read_seconds=total_seconds * 0.8, total_seconds=total_seconds)
        return Targets({"it": config}, limits=limits, sleep=lambda seconds: None)

    return make
