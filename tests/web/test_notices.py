"""Sentences about the exporter itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exporter.errors import RegistryUnreachableError
from exporter.exposition.remediation import LedgerView
from exporter.web.notices import find_notices
from tests.support.rig import Rig

RUNBOOKS = {path.stem for path in (Path(__file__).parents[2] / "prometheus" / "runbooks").iterdir()}


def test_an_exporter_that_starts_says_so(rig: Rig) -> None:
    assert [notice.text for notice in find_notices(rig.service)][-1] == "The exporter is starting."


def test_what_concerns_every_version_is_told_with_its_runbook(start: Callable[..., Rig]) -> None:
    rig = start()
    service = rig.service
    service.ready.set()
    rig.registry.failure = RegistryUnreachableError("it does not answer: <b>")
    rig.poll()
    telemetry = service.telemetry
    telemetry.unmonitored_versions = 2
    telemetry.config_successful = False
    telemetry.store_bytes = service.settings.store_limit_bytes
    telemetry.remediation.ledger = LedgerView({("rollback", "awaiting_approval"): 1, ("tag", "planned"): 1})
    notices = find_notices(service)
    texts = [notice.text for notice in notices]
    assert "MLflow does not answer: it does not answer: <b>." in texts
    assert "2 versions with an alias are not monitored: 200 is the limit." in texts
    assert "The configuration file was not taken; the one before is in force." in texts
    assert "The store is nearly full, and a full one refuses predictions." in texts
    assert "1 action waits for approval." in texts
    assert {notice.runbook for notice in notices} <= RUNBOOKS
    assert all(notice.advice for notice in notices)
