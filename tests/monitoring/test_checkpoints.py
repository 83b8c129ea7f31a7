"""Checkpoints of the audit trail leave the store: to the log, to /metrics, to MLflow."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from exporter.audit.anchors import tag_anchor
from exporter.audit.checkpoint import checkpoints
from exporter.errors import RegistryAuthError
from exporter.monitoring.checkpoints import Checkpoints
from exporter.registry.models import CHECKPOINT_TAG
from tests.support.monitored import make_registry
from tests.support.rig import NOON, Rig, make_table
from tests.support.trail import bodies

Start = Callable[..., Rig]
INFO = "mlflow_exporter_audit_checkpoint_info"


def test_a_checkpoint_is_in_the_store_the_log_the_metrics_and_mlflow(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        rig.service.checkpoints.run()
    with rig.service.store.reading() as connection:
        (made,) = checkpoints(connection)
    digest = made.digest.hex()
    assert made.seq == bodies(rig.service.store)[-1]["seq"]
    assert f"checkpoint of the audit trail: {made.seq} {digest}" in caplog.text
    assert list(rig.series(INFO)) == [f'{INFO}{{digest="{digest}",seq="{made.seq}"}}']
    tag = rig.registry.model_tags("fraud")[CHECKPOINT_TAG]
    anchor = tag_anchor(tag, "MLflow")
    assert (anchor.seq, anchor.digest) == (made.seq, made.digest)


def test_mlflow_is_left_alone_while_another_exporter_may_lead(rig: Rig) -> None:
    service = rig.service
    parts = (rig.settings, service.store, None, service.fleet, service.telemetry, rig.registry, rig.clock)
    Checkpoints(*parts, lambda: False).run()
    assert CHECKPOINT_TAG not in rig.registry.model_tags("fraud")
    Checkpoints(*parts, lambda: True).run()
    assert CHECKPOINT_TAG in rig.registry.model_tags("fraud")


def test_the_tag_is_no_change_of_the_model(rig: Rig) -> None:
    rig.service.checkpoints.run()
    before = bodies(rig.service.store)
    rig.poll()
    assert bodies(rig.service.store) == before
    assert rig.version().facts.problems == ()


def test_models_keep_it_in_turn(start: Start) -> None:
    registry = make_registry(make_table())
    for model in ("churn", "spam"):
        registry.register(model, make_table(50), alias="champion")
    rig = start(registry=registry)
    kept = set()
    for made in range(1, 4):
        rig.service.checkpoints.run()
        rig.clock.advance(3600)
        kept |= {name for name in ("churn", "fraud", "spam") if CHECKPOINT_TAG in registry.model_tags(name)}
        assert len(kept) == made


def test_mlflow_that_refuses_the_tag_is_told_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.registry.failure = RegistryAuthError("MLflow refuses us (HTTP 403)")
    for _ in range(3):
        rig.clock.advance(3600)
        rig.service.checkpoints.run()
    assert caplog.text.count("MLflow does not keep checkpoints of the audit trail") == 1
    assert rig.sample("mlflow_exporter_audit_checkpoint_timestamp_seconds") == NOON + 3 * 3600


def test_the_last_checkpoint_includes_the_stop(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    rig = start()
    rig.service.journal.start("")
    with caplog.at_level(logging.INFO):
        rig.service.journal.stop()
        rig.service.checkpoints.close()
    *_, last = bodies(rig.service.store)
    assert last["kind"] in ("stopped", "checkpoint_key")
    assert f"checkpoint of the audit trail: {last['seq']} " in caplog.text
