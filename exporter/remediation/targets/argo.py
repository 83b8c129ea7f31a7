"""Argo Workflows (server API of 3.5 to 3.7).

https://argo-workflows.readthedocs.io/en/latest/rest-api/, `WorkflowSubmitRequest` and `SubmitOpts` of
`pkg/apiclient/workflow/workflow.proto`.

The workflow's name is ours, and Kubernetes refuses a second one with 409. A workflow whose time to live ended
is found in the archive, if there is one; its name can be taken again.
"""

from __future__ import annotations

from typing import Any

from exporter.config.targets import Argo
from exporter.remediation.targets.exchange import Answer, Call, url
from exporter.remediation.targets.orchestrator import Orchestrator, Run, state_of, text_of
from exporter.remediation.targets.outcome import Job, Progress

_FIELDS = "metadata.name,status.phase"  # the whole has a node for each step


class ArgoTemplate(Orchestrator):
    """Workflows of a template of Argo Workflows."""

    exists = frozenset({409})

    def __init__(self, config: Argo) -> None:
        self.config = config

    def create(self, job: Job, body: Any) -> Call:
        request = {
            "namespace": self.config.namespace,
            "resourceKind": "ClusterWorkflowTemplate" if self.config.cluster_template else "WorkflowTemplate",
            "resourceName": self.config.template,
            "submitOptions": {
                "name": job.name,
                "parameters": [f"{key}={value}" for key, value in body.items()],
                "labels": f"mlflow-exporter/action-id={job.action_id}",
            },
        }
        return Call("POST", self._workflows("submit"), request)

    def created(self, job: Job, answer: Answer) -> Run:
        name = text_of(answer.json, "metadata", "name")
        return Run(name, url(self.config.url, "workflows", self.config.namespace, name))

    def look_up(self, job: Job) -> Call:
        return self.status(job.name)

    def status(self, run: str) -> Call:
        return Call("GET", self._workflows(run) + f"?fields={_FIELDS}")

    def progress(self, answer: Answer) -> Progress:
        text_of(answer.json, "metadata", "name")
        status = answer.json.get("status")
        phase = status.get("phase") if isinstance(status, dict) else None
        # A workflow that the controller has not seen yet has no phase.
        return state_of(str(phase or "Pending"), {"Succeeded"}, {"Failed", "Error"})

    def _workflows(self, name: str) -> str:
        return url(self.config.url, "api", "v1", "workflows", self.config.namespace, name)
