"""Databricks jobs (Jobs API 2.2).

https://docs.databricks.com/api/workspace/jobs/runnow and https://docs.databricks.com/api/workspace/jobs/getrun.

`idempotency_token`, at most 64 characters, guarantees that one run is launched; a repeated request returns
its id. A run that does not exist gives 400.
"""

from __future__ import annotations

from typing import Any

from exporter.config.targets import Databricks
from exporter.remediation.targets.exchange import Answer, Call, url
from exporter.remediation.targets.orchestrator import Orchestrator, Run, linked, state_of, text_of
from exporter.remediation.targets.outcome import Job, Progress

_API = ("api", "2.2", "jobs")
_SUCCEEDED = {"SUCCESS", "SUCCESS_WITH_FAILURES"}
# States of the life cycle that end a run; only TERMINATED has a result.
_ENDED = {"TERMINATED", "SKIPPED", "INTERNAL_ERROR"}


class DatabricksJob(Orchestrator):
    """Runs of a job of Databricks."""

    def __init__(self, config: Databricks) -> None:
        self.config = config

    def create(self, job: Job, body: Any) -> Call:
        request = {
            "job_id": self.config.job_id,
            "idempotency_token": job.action_id,
            "job_parameters": body,
            "queue": {"enabled": True},  # else it is skipped while another run of the job is active
        }
        return Call("POST", url(self.config.url, *_API, "run-now"), request)

    def created(self, job: Job, answer: Answer) -> Run:
        return Run(text_of(answer.json, "run_id"))

    def status(self, run: str) -> Call:
        return Call("GET", url(self.config.url, *_API, "runs", "get", run_id=run))

    def progress(self, answer: Answer) -> Progress:
        word = text_of(answer.json, "state", "life_cycle_state")
        if word in _ENDED:
            state = answer.json["state"]
            word = str(state.get("result_state") or word)
            return state_of(word, _SUCCEEDED, {word}, linked(answer.json, "run_page_url"))
        return state_of(word, (), (), linked(answer.json, "run_page_url"))

    def is_missing(self, answer: Answer) -> bool:
        code = answer.json.get("error_code")
        return answer.status in (400, 404) and code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
