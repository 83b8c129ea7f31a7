"""Sentences about the exporter itself that concern every version, for the status page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.service import Service

NEAR_LIMIT = 0.9  # of the store


@dataclass(frozen=True)
class Notice:
    """A sentence, what to do, and the alert whose runbook says more; empty if there is none."""

    text: str
    advice: str
    runbook: str = ""


def find_notices(service: Service) -> tuple[Notice, ...]:
    """Return what keeps the page from being complete, or asks for a person."""
    return tuple(_notices(service))


def _notices(service: Service) -> Iterator[Notice]:
    telemetry = service.telemetry
    if fault := service.fault():
        yield Notice(f"The exporter is faulty: {fault}.", "Restart it.", "MLflowExporterDown")
    if not service.ready.is_set():
        yield Notice("The exporter is starting.", "States are known once it has evaluated what is stored.")
    if telemetry.mlflow_up is False:
        yield Notice(
            f"MLflow does not answer: {service.discovery.error}.",
            "Known versions go on being monitored; new ones and moved aliases are not seen.",
            "MLflowUnreachable",
        )
    if missing := telemetry.unmonitored_versions:
        are = "version with an alias is" if missing == 1 else "versions with an alias are"
        yield Notice(
            f"{missing} {are} not monitored: {service.settings.max_versions} is the limit.",
            "Raise EXPORTER_MAX_VERSIONS.",
            "MLflowExporterVersionsUnmonitored",
        )
    if telemetry.config_successful is False:
        yield Notice(
            "The configuration file was not taken; the one before is in force.",
            "Run mlflow-exporter check-config.",
            "MLflowExporterConfigReloadFailed",
        )
    if (telemetry.store_bytes or 0) > NEAR_LIMIT * service.settings.store_limit_bytes:
        yield Notice(
            "The store is nearly full, and a full one refuses predictions.",
            "Raise EXPORTER_STORE_LIMIT_BYTES, or keep ids for a shorter time.",
            "MLflowExporterStoreNearLimit",
        )
    ledger = telemetry.remediation.ledger
    pending = ledger.pending if ledger is not None else {}
    waiting = sum(count for (_, state), count in pending.items() if state == "awaiting_approval")
    if waiting:
        yield Notice(
            f"{waiting} {'action waits' if waiting == 1 else 'actions wait'} for approval.",
            "See GET /v1/remediations?state=awaiting_approval.",
            "MLflowExporterRemediationApprovalWaiting",
        )
