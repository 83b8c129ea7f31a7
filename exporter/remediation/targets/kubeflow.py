"""Kubeflow Pipelines (API v2beta1 of 2.0 to 2.5).

https://www.kubeflow.org/docs/components/pipelines/reference/api/kubeflow-pipeline-api-spec/, message `Run` of
`backend/api/v2beta1/run.proto`.

The server makes the run's id and lets names repeat, so there is no idempotency: runs of the experiment are
listed first, by the name, which holds the action's id.
"""

from __future__ import annotations

from typing import Any

import orjson

from exporter.config.targets import Kubeflow
from exporter.remediation.targets.exchange import Answer, Call, url
from exporter.remediation.targets.orchestrator import NotUnderstoodError, Orchestrator, Run, state_of, text_of
from exporter.remediation.targets.outcome import Job, Progress

_API = ("apis", "v2beta1", "runs")


class KubeflowPipeline(Orchestrator):
    """Runs of a pipeline of Kubeflow Pipelines."""

    idempotent = False

    def __init__(self, config: Kubeflow) -> None:
        self.config = config

    def create(self, job: Job, body: Any) -> Call:
        request = {
            "display_name": job.name,
            "experiment_id": self.config.experiment_id,
            "pipeline_version_reference": {
                "pipeline_id": self.config.pipeline_id,
                "pipeline_version_id": self.config.pipeline_version_id,
            },
            "runtime_config": {"parameters": body},
        }
        if self.config.service_account is not None:
            request["service_account"] = self.config.service_account
        return Call("POST", url(self.config.url, *_API), request)

    def created(self, job: Job, answer: Answer) -> Run:
        return self._run(answer.json)

    def look_up(self, job: Job) -> Call:
        named = {"operation": "EQUALS", "key": "display_name", "string_value": job.name}
        listed = url(
            self.config.url,
            *_API,
            experiment_id=self.config.experiment_id,
            page_size=1,
            filter=orjson.dumps({"predicates": [named]}).decode(),
        )
        return Call("GET", listed)

    def found(self, job: Job, answer: Answer) -> Run | None:
        # JSON of protobuf may leave out what is empty.
        runs = [] if answer.json == {} and answer.body.strip() == b"{}" else answer.json.get("runs")
        if not isinstance(runs, list):
            raise NotUnderstoodError("its answer has no runs")
        for run in runs:
            if isinstance(run, dict) and run.get("display_name") == job.name:
                return self._run(run)
        if runs:
            raise NotUnderstoodError("it lists other runs than those asked for")
        return None

    def status(self, run: str) -> Call:
        return Call("GET", url(self.config.url, *_API, run))

    def progress(self, answer: Answer) -> Progress:
        word = text_of(answer.json, "state")
        return state_of(word, {"SUCCEEDED", "SKIPPED"}, {"FAILED", "CANCELED"})

    def _run(self, value: dict[str, Any]) -> Run:
        run = text_of(value, "run_id")
        return Run(run, f"{self.config.url}/#/runs/details/{run}")
