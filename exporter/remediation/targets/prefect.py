"""Prefect deployments (REST API of Prefect 3.9, self-hosted or Cloud).

https://docs.prefect.io/v3/api-ref/rest-api/server/deployments/create-flow-run-from-deployment, model
`DeploymentFlowRunCreate`, which refuses unknown keys.

Flow runs are unique by flow and `idempotency_key`; a repeated request returns the run that exists, with 200
instead of 201. Parameters that do not fit the flow's schema give 409.
"""

from __future__ import annotations

from typing import Any

from exporter.config.targets import Prefect
from exporter.remediation.targets.exchange import Answer, Call, url
from exporter.remediation.targets.orchestrator import Orchestrator, Run, state_of, text_of
from exporter.remediation.targets.outcome import Job, Progress


class PrefectDeployment(Orchestrator):
    """Flow runs of a deployment of Prefect."""

    def __init__(self, config: Prefect) -> None:
        self.config = config

    def create(self, job: Job, body: Any) -> Call:
        request = {
            "name": job.name,
            "parameters": body,
            "idempotency_key": job.action_id,
            "tags": ["mlflow-exporter"],
        }
        return Call(
            "POST", url(self.config.url, "deployments", self.config.deployment_id, "create_flow_run"), request
        )

    def created(self, job: Job, answer: Answer) -> Run:
        return Run(text_of(answer.json, "id"))

    def status(self, run: str) -> Call:
        return Call("GET", url(self.config.url, "flow_runs", run))

    def progress(self, answer: Answer) -> Progress:
        word = text_of(answer.json, "state_type")
        return state_of(word, {"COMPLETED"}, {"FAILED", "CRASHED", "CANCELLED"})
